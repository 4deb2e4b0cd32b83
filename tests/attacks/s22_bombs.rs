//! S22: what is small when it comes and huge when it is inflated. Nothing that passes through is inflated.

use crate::support::{Evenkeel, Origin, ok, pool};

/// Bytes that the bomb inflates to, for each of its own about 158.
const INFLATED: usize = 32 << 20;

/// A gzip member (RFC 1952) of one block with fixed codes (RFC 1951, 3.2.6): a zero, and "258 times the same" over and
/// over. Its checksum is wrong, which is seen when it is too late.
fn bomb() -> Vec<u8> {
    let mut bits = Bits::default();
    bits.push(&[1, 1, 0]);
    bits.push(&[0, 0, 1, 1, 0, 0, 0, 0]);
    for _ in 0..INFLATED / 258 {
        bits.push(&[1, 1, 0, 0, 0, 1, 0, 1]);
        bits.push(&[0; 5]);
    }
    bits.push(&[0; 7]);
    let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    [&header, &bits.bytes[..], &[0; 8]].concat()
}

/// Bits in the order in which deflate reads them.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: usize,
}

impl Bits {
    fn push(&mut self, bits: &[u8]) {
        for bit in bits {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= bit << (self.used % 8);
            self.used += 1;
        }
    }
}

const CODINGS: [&str; 6] = ["gzip", "br", "zstd", "deflate", "gzip, gzip, gzip, gzip", "x-unknown"];

#[test]
fn s22_answers_pass_as_they_are() {
    let body = bomb();
    let length = body.len();
    let origin = Origin::start(move |request, wire| {
        let coding = request.header("x-coding").unwrap();
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: {length}\r\n\r\n");
        wire.send([head.as_bytes(), &body].concat());
    });
    let body = bomb();
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let before = evenkeel.allocated();
    for coding in CODINGS {
        for accept in ["", "accept-encoding: identity\r\n", "accept-encoding: gzip, br\r\n"] {
            let response = evenkeel.client().get_with("/", &format!("x-coding: {coding}\r\n{accept}"));
            assert_eq!(response.header("content-encoding"), Some(coding));
            assert!(response.body.bytes == body, "{coding}: not the same bytes");
        }
    }
    let grown = evenkeel.allocated().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes more");
}

#[test]
fn s22_requests_pass_as_they_are_and_count_as_they_come() {
    let origin = Origin::answering(|request| ok(&request.body.bytes.len().to_string()));
    let (body, length) = (bomb(), bomb().len());
    let evenkeel = Evenkeel::start(&format!("[limits]\nrequest_body = {length}\n{}", pool(&[&origin], "")));
    for coding in CODINGS {
        let head = format!(
            "POST / HTTP/1.1\r\nhost: test\r\ncontent-encoding: {coding}\r\ncontent-length: {length}\r\n\r\n"
        );
        let response = evenkeel.ask([head.as_bytes(), &body].concat());
        assert_eq!(response.text(), length.to_string(), "{coding}");
        assert_eq!(origin.last().header("content-encoding"), Some(coding));
        assert!(origin.last().body.bytes == body);
    }
}

#[test]
fn s22_compressed_transfer_is_refused_from_either_side() {
    let origin =
        Origin::bytes_then_close("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    assert_eq!(evenkeel.get("/").status, 502);
    let before = origin.count();
    let request = "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(evenkeel.ask(request).status, 501);
    assert_eq!(origin.count(), before);
}

#[test]
fn s22_nothing_is_asked_for_that_the_client_did_not_ask_for() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    evenkeel.get("/");
    assert!(origin.last().headers("accept-encoding").is_empty());
    assert!(origin.last().headers("te").is_empty());
    evenkeel.client().get_with("/", "accept-encoding: gzip;q=0.5\r\n");
    assert_eq!(origin.last().headers("accept-encoding"), ["gzip;q=0.5"]);
}
