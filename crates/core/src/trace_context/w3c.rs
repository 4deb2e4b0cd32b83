//! `traceparent` of W3C Trace Context: `00-TRACE-SPAN-FLAGS`.

use super::{Incoming, SpanId, TraceId, lower_digit, read_hex, write_hex};

/// Bytes of version 00; later ones may have more behind a further `-`.
const LENGTH: usize = 55;

/// Reads it (Trace Context, 3.2 and 4.3); `None` if it is malformed.
pub(super) fn read(value: &[u8]) -> Option<Incoming> {
    let (known, more) = value.split_at_checked(LENGTH)?;
    let version = [lower_digit(known[0])?, lower_digit(known[1])?];
    let is_long = !more.is_empty();
    if version == [15, 15] || is_long && (version == [0, 0] || more[0] != b'-') {
        return None;
    }
    if [2, 35, 52].iter().any(|at| known[*at] != b'-') {
        return None;
    }
    let trace = TraceId::read(&known[3..35])?;
    let span = SpanId(read_hex(&known[36..52], lower_digit)?);
    let flags = lower_digit(known[53])? << 4 | lower_digit(known[54])?;
    Some(Incoming { parent: Some((trace, span)), sampled: Some(flags & 1 == 1), is_w3c: true })
}

/// Writes it, in version 00.
pub fn traceparent(trace: TraceId, span: SpanId, sampled: bool) -> [u8; LENGTH] {
    let mut out = *b"00-00000000000000000000000000000000-0000000000000000-00";
    write_hex(&trace.0, &mut out[3..35]);
    write_hex(&span.0, &mut out[36..52]);
    out[54] = b'0' + u8::from(sampled);
    out
}
