//! Random lists of fields, both ways, against an HPACK of other authors: what one encodes the other decodes to the same.
#![allow(clippy::unwrap_used)]

use evenkeel_http2::{Decoder, Encoder, Head, HeadLimits};
use fastrand::Rng;

/// Lists that are encoded and decoded.
const LISTS: usize = 100_000;
/// Lists that share a connection, and so a table.
const CONNECTION: usize = 50;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

const NAMES: [&str; 24] = [
    "accept",
    "accept-encoding",
    "age",
    "authorization",
    "cache-control",
    "content-type",
    "cookie",
    "date",
    "etag",
    "host",
    "location",
    "set-cookie",
    "user-agent",
    "vary",
    "via",
    "x-request-id",
    "x-forwarded-for",
    "x",
    "x-a-name-that-is-longer-than-most-of-the-names-that-anybody-would-use-for-a-field",
    "grpc-status",
    "te",
    "server",
    "content-length",
    "a-b",
];

fn value(random: &mut Rng) -> Vec<u8> {
    let len = match random.u8(..50) {
        0..=4 => 0,
        5..=34 => random.usize(1..20),
        35..=48 => random.usize(20..150),
        _ => random.usize(200..3000),
    };
    let any = random.u8(..8) == 0;
    let byte = |random: &mut Rng| {
        if any { random.u8(..) } else { *random.choice(b"abcdefghijklmnop 0123456789-/=;,.").unwrap() }
    };
    let text: Vec<u8> =
        (0..len).map(|_| byte(random)).filter(|byte| *byte >= b' ' && *byte != 0x7f).collect();
    text.trim_ascii().to_vec()
}

/// Lists as connections have them: names repeat, and so do most values.
fn list(random: &mut Rng, values: &mut Vec<Vec<u8>>) -> Fields {
    (0..random.usize(1..15))
        .map(|_| {
            let name = match random.u8(..8) {
                0 => (0..random.usize(1..12)).map(|_| random.lowercase() as u8).collect(),
                _ => random.choice(NAMES).unwrap().as_bytes().to_vec(),
            };
            if values.is_empty() || random.u8(..3) == 0 {
                values.push(value(random));
            }
            (name, values[random.usize(..values.len())].clone())
        })
        .collect()
}

fn decoded(decoder: &mut Decoder, head: &mut Head, block: &[u8]) -> Fields {
    head.clear(HeadLimits { size: usize::MAX, fields: usize::MAX });
    decoder.decode(block, head).unwrap();
    head.fields().map(|field| (field.name.to_vec(), field.value.to_vec())).collect()
}

#[test]
fn what_the_other_encodes_we_decode() {
    let mut random = Rng::with_seed(1);
    let mut head = Head::new();
    for _ in 0..LISTS / CONNECTION {
        let (mut theirs, mut ours) = (loona_hpack::Encoder::new(), Decoder::new(4096));
        let mut values = Vec::new();
        for _ in 0..CONNECTION {
            let fields = list(&mut random, &mut values);
            let block = theirs.encode(fields.iter().map(|(name, value)| (&name[..], &value[..])));
            assert_eq!(decoded(&mut ours, &mut head, &block), fields);
        }
    }
}

#[test]
fn what_we_encode_the_other_decodes() {
    let mut random = Rng::with_seed(2);
    let mut head = Head::new();
    for _ in 0..LISTS / CONNECTION {
        let size = random.choice([4096, 4096, 1024, 200]).unwrap();
        let mut ours = Encoder::new(size);
        let (mut theirs, mut own) = (loona_hpack::Decoder::new(), Decoder::new(4096));
        let mut values = Vec::new();
        for at in 0..CONNECTION {
            if random.u8(..20) == 0 {
                let limit = random.u32(..5000).min(4096);
                ours.limit(limit);
                theirs.set_max_allowed_table_size(limit as usize);
                own.limit(limit);
            }
            if random.u8(..20) == 0 {
                ours.forget();
            }
            let mut fields = list(&mut random, &mut values);
            let mut block = Vec::new();
            ours.begin(&mut block);
            // The case of names does not matter to it.
            let cased = |name: &[u8]| if at % 2 == 0 { name.to_ascii_uppercase() } else { name.to_vec() };
            // Theirs takes no block that consists of a new size alone.
            let is_one_left = fields.iter().any(|(name, _)| name != b"te");
            if !is_one_left || random.bool() {
                for (name, value) in &fields {
                    ours.field(&cased(name), value, &mut block);
                }
            } else {
                let colon = random.choice([": ", ":", ":  "]).unwrap().as_bytes();
                let line =
                    |(name, value): &(Vec<u8>, Vec<u8>)| [&cased(name), colon, value, b"\r\n"].concat();
                let section: Vec<u8> = fields.iter().flat_map(line).chain(*b"\r\nx: y\r\n").collect();
                ours.lines(&section, |name| name.eq_ignore_ascii_case(b"te"), &mut block);
                fields.retain(|(name, _)| name != b"te");
            }
            assert_eq!(theirs.decode(&block).unwrap(), fields);
            assert_eq!(decoded(&mut own, &mut head, &block), fields);
        }
    }
}
