//! HTTP/2 frames as bytes (RFC 9113, sections 4 and 6): right ones, and any wrong one a test asks for.

/// The frame types of RFC 9113, section 6.
pub mod kind {
    /// DATA.
    pub const DATA: u8 = 0;
    /// HEADERS.
    pub const HEADERS: u8 = 1;
    /// PRIORITY.
    pub const PRIORITY: u8 = 2;
    /// RST_STREAM.
    pub const RST_STREAM: u8 = 3;
    /// SETTINGS.
    pub const SETTINGS: u8 = 4;
    /// PUSH_PROMISE.
    pub const PUSH_PROMISE: u8 = 5;
    /// PING.
    pub const PING: u8 = 6;
    /// GOAWAY.
    pub const GOAWAY: u8 = 7;
    /// WINDOW_UPDATE.
    pub const WINDOW_UPDATE: u8 = 8;
    /// CONTINUATION.
    pub const CONTINUATION: u8 = 9;
    /// A type that no RFC defines.
    pub const UNKNOWN: u8 = 0x16;
}

/// The flags, by what they mean for the frames that carry them.
pub mod flag {
    /// None.
    pub const NONE: u8 = 0;
    /// SETTINGS and PING: an acknowledgement.
    pub const ACK: u8 = 1;
    /// DATA and HEADERS: the last of the stream.
    pub const END_STREAM: u8 = 1;
    /// HEADERS, PUSH_PROMISE and CONTINUATION: the last of the field block.
    pub const END_HEADERS: u8 = 4;
    /// DATA, HEADERS and PUSH_PROMISE: a pad length stands first.
    pub const PADDED: u8 = 8;
    /// HEADERS: five bytes of priority stand before the block.
    pub const PRIORITY: u8 = 0x20;
    /// HEADERS that are a whole request.
    pub const WHOLE: u8 = END_STREAM | END_HEADERS;
}

/// The settings of RFC 9113, section 6.5.2.
pub mod setting {
    /// SETTINGS_HEADER_TABLE_SIZE.
    pub const HEADER_TABLE_SIZE: u16 = 1;
    /// SETTINGS_ENABLE_PUSH.
    pub const ENABLE_PUSH: u16 = 2;
    /// SETTINGS_MAX_CONCURRENT_STREAMS.
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    /// SETTINGS_INITIAL_WINDOW_SIZE.
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    /// SETTINGS_MAX_FRAME_SIZE.
    pub const MAX_FRAME_SIZE: u16 = 5;
    /// SETTINGS_MAX_HEADER_LIST_SIZE.
    pub const MAX_HEADER_LIST_SIZE: u16 = 6;
    /// SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441, section 3).
    pub const ENABLE_CONNECT_PROTOCOL: u16 = 8;
}

/// The error codes of RFC 9113, section 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(pub u32);

impl Code {
    /// NO_ERROR.
    pub const NO_ERROR: Self = Self(0);
    /// PROTOCOL_ERROR.
    pub const PROTOCOL: Self = Self(1);
    /// INTERNAL_ERROR.
    pub const INTERNAL: Self = Self(2);
    /// FLOW_CONTROL_ERROR.
    pub const FLOW_CONTROL: Self = Self(3);
    /// STREAM_CLOSED.
    pub const STREAM_CLOSED: Self = Self(5);
    /// FRAME_SIZE_ERROR.
    pub const FRAME_SIZE: Self = Self(6);
    /// REFUSED_STREAM.
    pub const REFUSED: Self = Self(7);
    /// CANCEL.
    pub const CANCEL: Self = Self(8);
    /// COMPRESSION_ERROR.
    pub const COMPRESSION: Self = Self(9);
    /// ENHANCE_YOUR_CALM.
    pub const CALM: Self = Self(11);
}

/// What every client sends first (RFC 9113, section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a frame header (RFC 9113, section 4.1).
pub const HEADER: usize = 9;

/// A frame as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream, 0 for the connection.
    pub stream: u32,
    /// What follows the header.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A frame without its payload, and how long that is, from its header.
    pub fn announced(header: &[u8]) -> (Self, usize) {
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        let stream = u32::from_be_bytes([header[5] & 0x7f, header[6], header[7], header[8]]);
        let frame = Self { kind: header[3], flags: header[4], stream, payload: Vec::new() };
        (frame, usize::try_from(length).unwrap())
    }

    /// True when `flag` is set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The 32-bit number that begins at `offset` of the payload; 0 when there is none.
    pub fn number(&self, offset: usize) -> u32 {
        let bytes = self.payload.get(offset..offset + 4);
        bytes.map_or(0, |b| u32::from_be_bytes(b.try_into().unwrap()))
    }
}

/// A frame header alone; `length` may lie.
pub fn header(length: usize, kind: u8, flags: u8, stream: u32) -> Vec<u8> {
    let mut bytes = u32::try_from(length).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes
}

/// Any frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    [header(payload.len(), kind, flags, stream), payload.to_vec()].concat()
}

/// DATA.
pub fn data(stream: u32, flags: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(kind::DATA, flags, stream, payload)
}

/// HEADERS with a field block.
pub fn headers(stream: u32, flags: u8, block: impl AsRef<[u8]>) -> Vec<u8> {
    frame(kind::HEADERS, flags, stream, block)
}

/// CONTINUATION of a field block.
pub fn continuation(stream: u32, flags: u8, block: impl AsRef<[u8]>) -> Vec<u8> {
    frame(kind::CONTINUATION, flags, stream, block)
}

/// `content` with a pad length before it and as many zeros behind it.
pub fn padded(content: &[u8], pad: u8) -> Vec<u8> {
    [&[pad], content, &vec![0; usize::from(pad)]].concat()
}

/// The five bytes that say what a stream depends on (RFC 7540, section 6.3); `weight` as on the wire.
pub fn dependency(on: u32, exclusive: bool, weight: u8) -> Vec<u8> {
    let mut bytes = (on | u32::from(exclusive) << 31).to_be_bytes().to_vec();
    bytes.push(weight);
    bytes
}

/// PRIORITY with weight 256.
pub fn priority(stream: u32, on: u32) -> Vec<u8> {
    frame(kind::PRIORITY, flag::NONE, stream, dependency(on, false, 255))
}

/// RST_STREAM.
pub fn rst_stream(stream: u32, code: Code) -> Vec<u8> {
    frame(kind::RST_STREAM, flag::NONE, stream, code.0.to_be_bytes())
}

/// SETTINGS.
pub fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = values
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    frame(kind::SETTINGS, flag::NONE, 0, payload)
}

/// SETTINGS with ACK.
pub fn settings_ack() -> Vec<u8> {
    frame(kind::SETTINGS, flag::ACK, 0, [])
}

/// PING.
pub fn ping(data: &[u8; 8]) -> Vec<u8> {
    frame(kind::PING, flag::NONE, 0, data)
}

/// GOAWAY that names stream 0 as the last one.
pub fn goaway(code: Code, debug: &[u8]) -> Vec<u8> {
    goaway_after(0, code, debug)
}

/// GOAWAY that names the last stream which was looked at.
pub fn goaway_after(last: u32, code: Code, debug: &[u8]) -> Vec<u8> {
    frame(kind::GOAWAY, flag::NONE, 0, [&last.to_be_bytes(), &code.0.to_be_bytes(), debug].concat())
}

/// WINDOW_UPDATE.
pub fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, flag::NONE, stream, increment.to_be_bytes())
}

/// PUSH_PROMISE with a whole field block.
pub fn push_promise(stream: u32, promised: u32, block: &[u8]) -> Vec<u8> {
    frame(kind::PUSH_PROMISE, flag::END_HEADERS, stream, [&promised.to_be_bytes(), block].concat())
}
