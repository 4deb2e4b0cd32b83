//! A field block either is refused, or decodes to fields that are the same again when they are encoded.
#![no_main]

use evenkeel_http2::{Decoder, Encoder, Head, HeadLimits};
use libfuzzer_sys::fuzz_target;

const LIMITS: HeadLimits = HeadLimits { size: 16 * 1024, fields: 64 };

fuzz_target!(|input: &[u8]| {
    let (mut decoder, mut again) = (Decoder::new(4096), Decoder::new(4096));
    let mut encoder = Encoder::new(4096);
    let (mut head, mut other) = (Head::new(), Head::new());
    // Blocks of one connection, each with its length before it.
    let mut rest = input;
    while let Some((&len, after)) = rest.split_first() {
        let (block, after) = after.split_at(usize::from(len).min(after.len()));
        rest = after;
        head.clear(LIMITS);
        if decoder.decode(block, &mut head).is_err() {
            return;
        }
        // The crumbs of a cookie count as one.
        let count = head.fields().len() - head.cookies().saturating_sub(1);
        assert!(head.section().len() <= LIMITS.size && count <= LIMITS.fields);
        assert!(decoder.memory() <= 32 * 1024, "a table of {} bytes", decoder.memory());
        let fields: Vec<(Vec<u8>, Vec<u8>)> = head
            .fields()
            .filter(|field| !field.name.iter().any(u8::is_ascii_uppercase) && !field.name.starts_with(b":"))
            .map(|field| (field.name.to_vec(), field.value.to_vec()))
            .collect();
        let lines = section(&fields);
        for as_lines in [false, true, false, true] {
            let mut block = Vec::new();
            encoder.begin(&mut block);
            match &lines {
                Some(lines) if as_lines => {
                    encoder.lines(lines, |_| false, &mut block);
                }
                _ => fields.iter().for_each(|(name, value)| encoder.field(name, value, &mut block)),
            }
            other.clear(HeadLimits { size: usize::MAX, fields: usize::MAX });
            again.decode(&block, &mut other).expect("we encoded it");
            let same: Vec<_> =
                other.fields().map(|field| (field.name.to_vec(), field.value.to_vec())).collect();
            assert_eq!(same, fields);
        }
    }
});

/// The fields as lines of HTTP/1.1, if all of them can be.
fn section(fields: &[(Vec<u8>, Vec<u8>)]) -> Option<Vec<u8>> {
    let is_line = |(name, value): &(Vec<u8>, Vec<u8>)| {
        let is_text = |text: &[u8]| !text.iter().any(|byte| matches!(byte, b'\r' | b'\n'));
        !name.is_empty()
            && !name.contains(&b':')
            && is_text(name)
            && is_text(value)
            && value.trim_ascii() == value
    };
    let line = |(name, value): &(Vec<u8>, Vec<u8>)| [name, &b": "[..], value, b"\r\n"].concat();
    fields.iter().all(is_line).then(|| fields.iter().flat_map(line).collect())
}
