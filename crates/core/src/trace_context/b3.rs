//! B3, in a single header (`TRACE-SPAN-DECISION-PARENT`, or a decision alone) or in several.

use super::{B3, B3_MULTI, Incoming, SpanId, TraceId, read_hex, write_hex};

/// The header that says by `1` that all of a trace is wanted; that is a decision to trace.
const FLAGS: &str = "x-b3-flags";

/// True for the headers that carry it.
pub fn is_b3_name(name: &[u8]) -> bool {
    let multi = b"x-b3-";
    name.eq_ignore_ascii_case(B3.as_bytes())
        || name.get(..multi.len()).is_some_and(|start| start.eq_ignore_ascii_case(multi))
}

/// Reads either form; what is malformed counts as missing.
pub(super) fn read<'h>(header: &impl Fn(&str) -> Option<&'h [u8]>) -> Incoming {
    if let Some(found) = header(B3).and_then(single) {
        return found;
    }
    let [trace, span, sampled] = B3_MULTI;
    let ids = header(trace).and_then(trace_id).zip(header(span).and_then(span_id));
    let wants_all = header(FLAGS) == Some(b"1");
    let sampled = if wants_all { Some(true) } else { header(sampled).and_then(decision) };
    Incoming { parent: ids, sampled, is_w3c: false }
}

fn single(value: &[u8]) -> Option<Incoming> {
    let mut parts = value.split(|byte| *byte == b'-');
    let first = parts.next()?;
    let Some(second) = parts.next() else {
        return Some(Incoming { sampled: Some(decision(first)?), ..Incoming::default() });
    };
    let ids = (trace_id(first)?, span_id(second)?);
    let sampled = match parts.next() {
        Some(said) => Some(decision(said)?),
        None => None,
    };
    // What came before the span is of no use here, but must be an id.
    if let Some(before) = parts.next() {
        span_id(before)?;
    }
    parts.next().is_none().then_some(Incoming { parent: Some(ids), sampled, is_w3c: false })
}

/// 32 digits, or 16, which stand for the lower half.
fn trace_id(text: &[u8]) -> Option<TraceId> {
    if text.len() == 16 {
        let mut id = [0; 16];
        id[8..].copy_from_slice(&read_hex::<8>(text, digit)?);
        return Some(TraceId(id));
    }
    read_hex(text, digit).map(TraceId)
}

fn span_id(text: &[u8]) -> Option<SpanId> {
    read_hex(text, digit).map(SpanId)
}

/// Digits are in lower case, but some senders write them otherwise.
fn digit(byte: u8) -> Option<u8> {
    super::lower_digit(byte.to_ascii_lowercase())
}

fn decision(text: &[u8]) -> Option<bool> {
    match text {
        b"1" | b"d" | b"true" => Some(true),
        b"0" | b"false" => Some(false),
        _ => None,
    }
}

/// Writes the single header.
pub fn b3(trace: TraceId, span: SpanId, sampled: bool) -> [u8; 51] {
    let mut out = *b"00000000000000000000000000000000-0000000000000000-0";
    write_hex(&trace.0, &mut out[..32]);
    write_hex(&span.0, &mut out[33..49]);
    out[50] = b'0' + u8::from(sampled);
    out
}
