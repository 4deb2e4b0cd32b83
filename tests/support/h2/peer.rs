//! A client that speaks HTTP/2 frame by frame over one connection.

use std::collections::BTreeMap;

use super::super::message::latin1;
use super::super::{Client, Fault};
use super::frames::{Code, Frame, HEADER, PREFACE, flag, kind, setting, settings, settings_ack};

/// How a step of a case went; what was seen instead when it went wrong.
pub type Step = Result<(), String>;

/// One connection to the balancer.
pub struct Peer {
    client: Client,
    unread: Vec<u8>,
    /// The settings that the balancer announced.
    pub settings: BTreeMap<u16, u32>,
}

impl Peer {
    /// Speaks over `client`, on which nothing was sent yet.
    pub fn over(client: Client) -> Self {
        Self { client, unread: Vec::new(), settings: BTreeMap::new() }
    }

    /// The same, and shakes hands.
    pub fn greeted(client: Client) -> Self {
        let mut peer = Self::over(client);
        peer.handshake().unwrap();
        peer
    }

    /// Sends preface and SETTINGS, reads those of the balancer, and waits until both sides acknowledged.
    pub fn handshake(&mut self) -> Step {
        self.send(PREFACE)?;
        self.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 65_535)]))?;
        let (mut acknowledged, mut greeted) = (false, false);
        while !(acknowledged && greeted) {
            match self.next() {
                Ok(frame) if frame.kind == kind::SETTINGS && frame.has(flag::ACK) => acknowledged = true,
                Ok(frame) if frame.kind == kind::SETTINGS => {
                    greeted = true;
                    let values = frame.payload.chunks_exact(6);
                    self.settings.extend(values.map(|v| {
                        (u16::from_be_bytes([v[0], v[1]]), u32::from_be_bytes([v[2], v[3], v[4], v[5]]))
                    }));
                    self.send(settings_ack())?;
                }
                Ok(_) => {}
                Err(end) => return Err(format!("no handshake: {end:?}")),
            }
        }
        Ok(())
    }

    /// Writes all of `bytes`; a balancer that is gone is noticed by the next read. It never fails, so that it can
    /// stand at the end of a script.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> Step {
        self.client.send(bytes);
        Ok(())
    }

    /// Ends the connection, by a reset or in good order.
    pub fn leave(mut self, by_reset: bool) {
        if by_reset { self.client.reset() } else { self.client.close() }
    }

    /// The next frame, or why there is none.
    pub fn next(&mut self) -> Result<Frame, Fault> {
        self.fill(HEADER)?;
        if self.unread.starts_with(b"HTTP/1.1 ") {
            self.unread.extend(self.client.until_end()?);
            return Err(Fault::Malformed(latin1(&self.unread)));
        }
        let (frame, length) = Frame::announced(&self.unread);
        self.fill(HEADER + length)?;
        let payload = self.unread.drain(..HEADER + length).skip(HEADER).collect();
        Ok(Frame { payload, ..frame })
    }

    /// The first frame of that type.
    pub fn frame(&mut self, wanted: u8) -> Result<Frame, String> {
        self.first(|frame| frame.kind == wanted)
    }

    /// The first frame that is `like` this.
    pub fn first(&mut self, like: impl Fn(&Frame) -> bool) -> Result<Frame, String> {
        let mut last = None;
        loop {
            match self.next() {
                Ok(frame) if like(&frame) => return Ok(frame),
                Ok(frame) => last = Some(frame),
                Err(end) => return Err(seen(&end, last.as_ref())),
            }
        }
    }

    /// Waits for the acknowledgement of SETTINGS.
    pub fn settings_ack(&mut self) -> Step {
        let frame = self.frame(kind::SETTINGS)?;
        if frame.has(flag::ACK) { Ok(()) } else { Err(tell(&frame)) }
    }

    /// Waits for the end of the response on the only stream.
    pub fn response_end(&mut self) -> Step {
        self.first(|frame| match frame.kind {
            kind::DATA | kind::HEADERS => frame.has(flag::END_STREAM),
            kind::RST_STREAM => frame.number(0) == Code::NO_ERROR.0,
            _ => false,
        })?;
        Ok(())
    }

    /// A setting of the balancer, or the default of RFC 9113.
    pub fn setting(&self, id: u16, default: u32) -> usize {
        usize::try_from(*self.settings.get(&id).unwrap_or(&default)).unwrap()
    }

    fn fill(&mut self, count: usize) -> Result<(), Fault> {
        while self.unread.len() < count {
            match self.client.some() {
                Ok(bytes) => self.unread.extend(bytes),
                Err(Fault::Closed) if !self.unread.is_empty() => return Err(Fault::Cut),
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }
}

/// An end, and the last thing before it, in words.
pub fn seen(end: &Fault, last: Option<&Frame>) -> String {
    last.map_or_else(|| format!("{end:?}"), |frame| format!("{}, then {end:?}", tell(frame)))
}

/// A frame in words.
pub fn tell(frame: &Frame) -> String {
    let Frame { kind: type_, flags, stream, payload } = frame;
    match *type_ {
        kind::RST_STREAM => format!("RST_STREAM({stream}) {}", name(Code(frame.number(0)))),
        kind::GOAWAY => format!("GOAWAY {}", name(Code(frame.number(4)))),
        kind::HEADERS => format!("HEADERS({stream})"),
        kind::DATA => format!("DATA({stream}) of {}", payload.len()),
        kind::SETTINGS => format!("SETTINGS flags {flags:#x}"),
        kind::PING => format!("PING flags {flags:#x}"),
        kind::WINDOW_UPDATE => format!("WINDOW_UPDATE({stream})"),
        other => format!("frame of type {other}"),
    }
}

fn name(code: Code) -> String {
    let names = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
    ];
    names.get(code.0 as usize).map_or_else(|| format!("{:#x}", code.0), |name| (*name).to_owned())
}
