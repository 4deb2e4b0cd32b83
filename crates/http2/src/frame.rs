//! Frames on the wire (RFC 9113, section 4 and 6): their headers, and writing those that carry no fields.

use crate::error::Code;

/// Bytes of a frame's header.
pub(crate) const HEADER: usize = 9;
/// What a client sends before its first frame (RFC 9113, 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The largest stream id, window and increment of a window.
pub(crate) const MAX_31: u32 = u32::MAX >> 1;

/// Types of frames.
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PUSH_PROMISE: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
    /// RFC 8336.
    pub(crate) const ORIGIN: u8 = 0xc;
    /// RFC 9218.
    pub(crate) const PRIORITY_UPDATE: u8 = 0x10;
}

/// Flags of frames.
pub(crate) mod flag {
    pub(crate) const NONE: u8 = 0;
    pub(crate) const ACK: u8 = 0x1;
    pub(crate) const END_STREAM: u8 = 0x1;
    pub(crate) const END_HEADERS: u8 = 0x4;
    pub(crate) const PADDED: u8 = 0x8;
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Bytes of the payload.
    pub(crate) len: usize,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    /// Without the reserved bit.
    pub(crate) stream: u32,
}

impl Frame {
    #[inline]
    pub(crate) fn read(bytes: &[u8; HEADER]) -> Self {
        let [a, b, c, kind, flags, s @ ..] = *bytes;
        let len = u32::from_be_bytes([0, a, b, c]) as usize;
        Self { len, kind, flags, stream: u32::from_be_bytes(s) & MAX_31 }
    }

    #[inline]
    pub(crate) fn bytes(self) -> [u8; HEADER] {
        let [_, a, b, c] = (self.len as u32).to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        [a, b, c, self.kind, self.flags, s0, s1, s2, s3]
    }

    pub(crate) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Appends a frame's header.
#[inline]
pub(crate) fn header(out: &mut Vec<u8>, len: usize, kind: u8, flags: u8, stream: u32) {
    out.extend_from_slice(&Frame { len, kind, flags, stream }.bytes());
}

/// Appends RST_STREAM.
pub(crate) fn rst_stream(out: &mut Vec<u8>, stream: u32, code: Code) {
    header(out, 4, kind::RST_STREAM, flag::NONE, stream);
    out.extend_from_slice(&code.0.to_be_bytes());
}

/// Appends SETTINGS.
pub(crate) fn settings(out: &mut Vec<u8>, values: &[(u16, u32)]) {
    header(out, values.len() * 6, kind::SETTINGS, flag::NONE, 0);
    for (id, value) in values {
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Appends an acknowledgement of SETTINGS.
pub(crate) fn settings_ack(out: &mut Vec<u8>) {
    header(out, 0, kind::SETTINGS, flag::ACK, 0);
}

/// Appends PING.
pub(crate) fn ping(out: &mut Vec<u8>, flags: u8, payload: [u8; 8]) {
    header(out, 8, kind::PING, flags, 0);
    out.extend_from_slice(&payload);
}

/// Appends GOAWAY, whose debug data is text.
pub(crate) fn goaway(out: &mut Vec<u8>, last: u32, code: Code, text: &str) {
    header(out, 8 + text.len(), kind::GOAWAY, flag::NONE, 0);
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&code.0.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Appends WINDOW_UPDATE.
pub(crate) fn window_update(out: &mut Vec<u8>, stream: u32, increment: u32) {
    header(out, 4, kind::WINDOW_UPDATE, flag::NONE, stream);
    out.extend_from_slice(&increment.to_be_bytes());
}

/// The first four bytes of a payload as a number.
pub(crate) fn number(payload: &[u8]) -> u32 {
    payload.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_without_the_reserved_bit() {
        let frame = Frame { len: 0x00ab_cdef, kind: 9, flags: 0x25, stream: MAX_31 };
        let mut bytes = frame.bytes();
        bytes[5] |= 0x80;
        assert_eq!(Frame::read(&bytes), frame);
    }

    #[test]
    fn frames_have_the_length_that_their_header_says() {
        let mut out = Vec::new();
        rst_stream(&mut out, 1, Code::CANCEL);
        settings(&mut out, &[(1, 2), (3, 4)]);
        settings_ack(&mut out);
        ping(&mut out, flag::ACK, [7; 8]);
        goaway(&mut out, 9, Code::NO_ERROR, "text");
        window_update(&mut out, 0, 5);
        let mut kinds = Vec::new();
        let mut rest = &out[..];
        while let Some((header, after)) = rest.split_first_chunk::<HEADER>() {
            let frame = Frame::read(header);
            kinds.push(frame.kind);
            rest = &after[frame.len..];
        }
        assert_eq!(kinds, [3, 4, 4, 6, 7, 8]);
    }
}
