//! A chunked body means the same however the network cuts it, and never yields more than came in.
#![no_main]

use evenkeel_proxy::http::chunks::{Decoder, Malformed, Step};
use evenkeel_proxy::http::framing::Framing;
use libfuzzer_sys::fuzz_target;

/// Room for trailers; small, so that its end is reached.
const TRAILERS_MAX: usize = 256;

/// What became of a body.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    data: Vec<u8>,
    trailers: Vec<u8>,
    used: usize,
    ended: Result<(), Malformed>,
}

// The first byte says how many of the next ones are the sizes of the pieces, over and over.
fuzz_target!(|input: &[u8]| {
    let Some((&count, rest)) = input.split_first() else { return };
    let (sizes, wire) = rest.split_at(usize::from(count % 8).min(rest.len()));
    for framing in [Framing::Chunked, Framing::Length(wire.len() as u64 / 2), Framing::UntilClose] {
        let whole = decode(framing, wire, &[]);
        let pieces = decode(framing, wire, sizes);
        // In which piece a fault lies differs, what came before it does not.
        assert_eq!(whole, pieces);
        assert!(whole.data.len() + whole.trailers.len() <= whole.used);
        assert!(whole.trailers.len() <= TRAILERS_MAX);
        if whole.ended.is_ok() && framing == Framing::Chunked {
            check_chunks(&whole, &wire[..whole.used]);
        }
        if let Framing::Length(length) = framing {
            assert_eq!((whole.data.len() as u64, whole.ended), (length, Ok(())));
        }
    }
});

fn decode(framing: Framing, wire: &[u8], sizes: &[u8]) -> Decoded {
    let mut decoder = Decoder::new(framing, TRAILERS_MAX);
    let mut data = Vec::new();
    let mut at = 0;
    // Where the piece ends that is being read.
    let mut end = 0;
    let mut sizes = sizes.iter().map(|size| usize::from(*size) + 1).cycle();
    while !decoder.is_done() && at < wire.len() {
        if at == end {
            end = sizes.next().map_or(wire.len(), |size| (at + size).min(wire.len()));
        }
        match decoder.step(&wire[at..end]) {
            Ok(Step::Data { start, end: to }) => {
                assert!(start < to && to <= end - at, "a step without progress, or beyond the input");
                data.extend_from_slice(&wire[at + start..at + to]);
                at += to;
            }
            Ok(Step::More) => at = end,
            Ok(Step::End(used)) => {
                assert!(decoder.is_done());
                at += used;
            }
            Err(fault) => {
                // How far it got within a piece is not told; the position of the fault is not compared.
                let used = wire.len();
                return Decoded { data, trailers: Vec::new(), used, ended: Err(fault) };
            }
        }
    }
    let ended = decoder.finish();
    Decoded { data, trailers: decoder.trailers().to_vec(), used: at, ended }
}

/// Reads the same body as simply as can be, by the grammar of RFC 9112, 7.1, and expects the same.
fn check_chunks(decoded: &Decoded, mut wire: &[u8]) {
    let mut data = Vec::new();
    loop {
        let line = line(&mut wire);
        let digits = line.split(|b| *b == b';').next().unwrap_or_default();
        assert!(!digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit), "size {line:?}");
        let digits = std::str::from_utf8(digits).expect("hexadecimal digits are ASCII");
        let size = usize::from_str_radix(digits, 16).expect("a size that was accepted fits");
        if size == 0 {
            break;
        }
        let (chunk, rest) = wire.split_at(size);
        data.extend_from_slice(chunk);
        wire = rest.strip_prefix(b"\r\n").expect("a chunk ends with CRLF");
    }
    assert_eq!(decoded.data, data);
    assert!(decoded.trailers == wire || (decoded.trailers.is_empty() && wire == b"\r\n"));
    while !line(&mut wire).is_empty() {}
    assert!(wire.is_empty(), "something behind the trailers was used");
}

/// Takes a line off, of which no part may hold CR or LF.
fn line<'w>(wire: &mut &'w [u8]) -> &'w [u8] {
    let end = wire.windows(2).position(|pair| pair == b"\r\n").expect("a line ends with CRLF");
    let (line, rest) = wire.split_at(end);
    assert!(!line.contains(&b'\n'));
    *wire = &rest[2..];
    line
}
