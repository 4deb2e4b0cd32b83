//! What a conformance case is: what the client does, and which answers are right.

use super::super::{Client, Fault};
use super::fields;
use super::frames::{Code, Frame, flag, kind};
use super::peer::{Peer, Step, seen, tell};

/// The answers that a case accepts. Those that end a stream or a connection leave a server some choice: a peer that may
/// end a stream may as well end the connection, and one that should say why may as well just close (RFC 9113,
/// section 5.4).
#[derive(Debug, Clone, Copy)]
pub enum Expect {
    /// GOAWAY with one of the codes, or the connection is closed.
    ConnectionError(&'static [Code]),
    /// RST_STREAM or GOAWAY with one of the codes, or the connection is closed.
    StreamError(&'static [Code]),
    /// The connection is closed.
    Close,
    /// The connection is closed; before that, GOAWAY or an answer for a peer that speaks HTTP/1.1 (RFC 9113, section 3.4).
    NotSpoken,
    /// GOAWAY, whatever its code.
    GoAway,
    /// GOAWAY, and the first one has this code.
    GoAwayWith(Code),
    /// RST_STREAM, and the first one is for stream 1 and has this code.
    ResetWith(Code),
    /// A response on stream 1.
    Response,
    /// DATA, and the first frame holds so many bytes.
    Data(usize),
    /// DATA, of any length.
    AnyData,
    /// A PING with ACK and these bytes, and no other PING before it.
    Pong([u8; 8]),
    /// A PING with ACK and these bytes, or the connection is closed.
    PongOrClose([u8; 8]),
    /// A response with this status.
    RefusedWith(&'static str),
    /// A 4xx response, or an error of the stream or connection, whatever its code.
    Refused,
    /// GOAWAY because of what would be too much, or the connection is closed, even by a reset.
    Cut,
    /// SETTINGS with ACK.
    SettingsAck,
    /// SETTINGS without ACK as the very first frame.
    Greeting,
}

/// One case.
pub struct Case {
    /// Group, section and number, as `http2/6.5.3/2`.
    pub id: &'static str,
    /// What the client does, in words.
    pub name: &'static str,
    opens: bool,
    script: fn(&mut Peer) -> Step,
    expect: Expect,
}

/// A case that begins once both sides agreed on their settings.
pub const fn case(
    id: &'static str,
    name: &'static str,
    script: fn(&mut Peer) -> Step,
    expect: Expect,
) -> Case {
    Case { id, name, opens: true, script, expect }
}

/// A case that begins with the very first byte.
pub const fn bare(
    id: &'static str,
    name: &'static str,
    script: fn(&mut Peer) -> Step,
    expect: Expect,
) -> Case {
    Case { id, name, opens: false, script, expect }
}

/// Runs each of `cases` over a connection of its own, and fails with the ids of those that fail.
#[track_caller]
pub fn check(cases: &[Case], connect: impl Fn() -> Client) {
    let failure = |case: &Case| {
        let seen = case.run(connect()).err()?;
        Some(format!("{} {}: {seen}, expected {:?}", case.id, case.name, case.expect))
    };
    let failed: Vec<String> = cases.iter().filter_map(failure).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

impl Case {
    /// Runs it; what was seen instead when it failed.
    fn run(&self, client: Client) -> Step {
        let mut peer = Peer::over(client);
        if self.opens {
            peer.handshake()?;
        }
        (self.script)(&mut peer)?;
        self.expect.follows(&mut peer)
    }
}

impl Expect {
    /// Reads until it is certain whether it holds; what was seen instead when it does not.
    pub fn follows(self, peer: &mut Peer) -> Step {
        let mut last = None;
        loop {
            match peer.next() {
                Ok(frame) => match self.judge(&frame) {
                    Some(true) => return Ok(()),
                    Some(false) => return Err(tell(&frame)),
                    None => last = Some(frame),
                },
                Err(end) if self.allows(&end) => return Ok(()),
                Err(end) => return Err(seen(&end, last.as_ref())),
            }
        }
    }

    /// True or false when `frame` decides the case.
    fn judge(self, frame: &Frame) -> Option<bool> {
        let among = |codes: &[Code], at| codes.contains(&Code(frame.number(at)));
        match (self, frame.kind) {
            (Self::ConnectionError(codes) | Self::StreamError(codes), kind::GOAWAY) => {
                among(codes, 4).then_some(true)
            }
            (Self::StreamError(codes), kind::RST_STREAM) => among(codes, 0).then_some(true),
            (Self::GoAway, kind::GOAWAY) => Some(true),
            (Self::GoAwayWith(code), kind::GOAWAY) => Some(among(&[code], 4)),
            (Self::ResetWith(code), kind::RST_STREAM) => Some(frame.stream == 1 && among(&[code], 0)),
            (Self::Response, kind::HEADERS) => Some(frame.stream == 1),
            (Self::Data(length), kind::DATA) => Some(frame.payload.len() == length),
            (Self::AnyData, kind::DATA) => Some(true),
            (Self::Pong(data), kind::PING) => Some(frame.has(flag::ACK) && frame.payload == data),
            (Self::PongOrClose(data), kind::PING) => {
                (frame.has(flag::ACK) && frame.payload == data).then_some(true)
            }
            (Self::RefusedWith(status), kind::HEADERS) => {
                Some(fields::status(&frame.payload).is_some_and(|found| found == status))
            }
            (Self::Refused, kind::HEADERS) => {
                Some(fields::status(&frame.payload).is_some_and(|status| status.starts_with('4')))
            }
            (Self::Refused, kind::GOAWAY | kind::RST_STREAM) => Some(true),
            (Self::Cut, kind::GOAWAY) => {
                among(&[Code::CALM, Code::PROTOCOL, Code::COMPRESSION, Code::STREAM_CLOSED], 4)
                    .then_some(true)
            }
            (Self::SettingsAck, kind::SETTINGS) => Some(frame.has(flag::ACK)),
            (Self::Greeting, _) => Some(frame.kind == kind::SETTINGS && !frame.has(flag::ACK)),
            _ => None,
        }
    }

    fn allows(self, end: &Fault) -> bool {
        match self {
            Self::ConnectionError(_) | Self::StreamError(_) | Self::Close | Self::PongOrClose(_) => {
                *end == Fault::Closed
            }
            Self::NotSpoken => matches!(end, Fault::Closed | Fault::Malformed(_)),
            Self::Cut => end.is_end(),
            _ => false,
        }
    }
}
