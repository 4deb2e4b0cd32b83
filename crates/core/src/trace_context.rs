//! Trace contexts: what a request says of the trace that it belongs to, and whether it is traced here.
//!
//! [W3C Trace Context](https://www.w3.org/TR/trace-context/) and [B3](https://github.com/openzipkin/b3-propagation).

mod b3;
mod w3c;

use evenkeel_config::{ParentDecides, Propagation, Share};

pub use b3::{b3, is_b3_name};
pub use w3c::traceparent;

/// The header of W3C Trace Context that carries the ids.
pub const TRACEPARENT: &str = "traceparent";
/// The header of W3C Trace Context that carries what vendors add.
pub const TRACESTATE: &str = "tracestate";
/// The single header of B3.
pub const B3: &str = "b3";
/// The headers of B3 where it has one for each value: the trace, the span, and the decision.
pub const B3_MULTI: [&str; 3] = ["x-b3-traceid", "x-b3-spanid", "x-b3-sampled"];

/// The id of a trace; not all of it is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(pub [u8; 16]);

impl TraceId {
    /// The id that is written like this: 32 hexadecimal digits in lower case, not all zero.
    pub fn read(text: &[u8]) -> Option<Self> {
        read_hex(text, lower_digit).map(Self)
    }
}

/// The id of a span; not all of it is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId(pub [u8; 8]);

impl SpanId {
    /// The id that is made of a random number.
    pub fn of(drawn: u64) -> Self {
        Self(drawn.max(1).to_be_bytes())
    }
}

/// What a request says of its trace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Incoming {
    /// The trace, and the span that the request comes from.
    pub parent: Option<(TraceId, SpanId)>,
    /// Whether it is to be traced; `None` where that is left to us.
    pub sampled: Option<bool>,
    /// It was said in W3C Trace Context, so that `tracestate` belongs to it.
    pub is_w3c: bool,
}

/// Reads what a request says, in the first of `forms` in which it is valid; what is malformed counts as missing. `header` is the
/// value of the header of that name, if there is exactly one.
pub fn read<'h>(forms: &[Propagation], header: impl Fn(&str) -> Option<&'h [u8]>) -> Incoming {
    let mut decided = Incoming::default();
    for form in forms {
        let found = match form {
            Propagation::TraceContext => header(TRACEPARENT).and_then(w3c::read).unwrap_or_default(),
            Propagation::B3 | Propagation::B3Multi => b3::read(&header),
        };
        if found.parent.is_some() {
            return found;
        }
        // B3 can decide about a trace that begins with the receiver.
        decided.sampled = decided.sampled.or(found.sampled);
    }
    decided
}

/// Whether a request is traced: as it says if its peer may decide that, else by the share that is traced. `is_trusted` says that the peer
/// is a trusted proxy, and `drawn` is a random number.
pub fn is_sampled(
    said: Option<bool>,
    (decides, is_trusted): (ParentDecides, bool),
    share: Share,
    drawn: impl FnOnce() -> u64,
) -> bool {
    let may_decide = match decides {
        ParentDecides::Trusted => is_trusted,
        ParentDecides::All => true,
        ParentDecides::None => false,
    };
    match said {
        Some(sampled) if may_decide => sampled,
        _ => share.holds(drawn()),
    }
}

/// Bytes as lower-case hexadecimal digits, two for each.
pub fn write_hex(bytes: &[u8], out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(out.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// The bytes that these digits stand for, if there are as many as that and not all are zero.
fn read_hex<const N: usize>(text: &[u8], digit: impl Fn(u8) -> Option<u8>) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (pair, byte) in text.chunks_exact(2).zip(&mut bytes) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    (bytes != [0; N]).then_some(bytes)
}

/// The value of a digit in lower case.
fn lower_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
