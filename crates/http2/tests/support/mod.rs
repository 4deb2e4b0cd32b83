//! Frames by hand, and both roles of a connection put together in memory.
#![allow(dead_code, missing_docs)]

use evenkeel_http2::{Connection, ConnectionError, Event, Head};
use evenkeel_types::Time;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;
pub const WHOLE: u8 = END_STREAM | END_HEADERS;

/// Time stands still unless a test moves it.
pub const NOW: Time = Time::from_millis(1000);

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A block of literals without indexing.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            assert!(text.len() < 127);
            bytes.push(text.len() as u8);
            bytes.extend(text.bytes());
        }
    }
    bytes
}

pub fn get() -> Vec<u8> {
    block(&[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "test")])
}

pub fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

pub fn rst_stream(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

pub fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = values
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    frame(SETTINGS, 0, 0, &payload)
}

/// What a client greets with.
pub fn greeting() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &settings(&[]), &frame(SETTINGS, ACK, 0, &[])].concat()
}

/// A frame that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Seen {
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// The frames of an output; a last one that is cut is left out.
pub fn frames(mut bytes: &[u8]) -> Vec<Seen> {
    let mut seen = Vec::new();
    bytes = bytes.strip_prefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap_or(bytes);
    while bytes.len() >= 9 {
        let len = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize;
        if bytes.len() < 9 + len {
            break;
        }
        let stream = u32::from_be_bytes(bytes[5..9].try_into().unwrap());
        seen.push(Seen { kind: bytes[3], flags: bytes[4], stream, payload: bytes[9..9 + len].to_vec() });
        bytes = &bytes[9 + len..];
    }
    seen
}

/// Takes all output.
pub fn drain(connection: &mut Connection) -> Vec<u8> {
    let output = connection.output().to_vec();
    connection.sent(output.len());
    output
}

/// Hands in `input`, calls `act` for each event, and yields the error if it ends with one.
pub fn feed(
    connection: &mut Connection,
    input: &[u8],
    head: &mut Head,
    mut act: impl FnMut(&mut Connection, &Head, Event, &[u8]),
) -> Result<(), ConnectionError> {
    let mut taken = 0;
    loop {
        let received = connection.receive(&input[taken..], head, NOW)?;
        let rest = &input[taken..];
        taken += received.taken;
        match received.event {
            Some(event) => act(connection, head, event, rest),
            None => {
                assert_eq!(taken, input.len(), "without an event all input is taken");
                return Ok(());
            }
        }
    }
}

/// Hands in `input`; the events that came of it, and the error.
pub fn events(connection: &mut Connection, input: &[u8]) -> (Vec<Event>, Option<ConnectionError>) {
    let mut seen = Vec::new();
    let error = feed(connection, input, &mut Head::new(), |_, _, event, _| seen.push(event)).err();
    (seen, error)
}
