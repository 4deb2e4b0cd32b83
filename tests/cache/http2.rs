//! Hits over HTTP/2: whole, without a body, in part, and broken off.

use crate::support::cache::fresh;
use crate::support::h2::Peer;
use crate::support::h2::fields::{self, Blocks};
use crate::support::h2::frames::{flag, headers, kind};
use crate::support::{Evenkeel, Gate, Origin, pool};

/// A listener of HTTP/2 in front of a route with a cache.
fn start(origin: &Origin) -> Evenkeel {
    Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\nhttp = [\"2\"]\n\
         [[route]]\nname = \"main\"\npath = \"/*\"\npool = \"app\"\ncache = true\n{}",
        pool(&[origin], "")
    ))
}

/// Status, `Cache-Status`, the number of bytes, and whether the stream ended in good order.
fn ask(
    peer: &mut Peer,
    blocks: &mut Blocks,
    stream: u32,
    method: &'static str,
    extra: &[fields::Field],
) -> (String, String, usize, bool) {
    let mut all = vec![(":method", method), fields::GET[1], fields::GET[2], fields::GET[3]];
    all.extend(extra);
    peer.send(headers(stream, flag::WHOLE, fields::block(&all))).unwrap();
    let (mut status, mut said, mut bytes) = (String::new(), String::new(), 0);
    loop {
        let wanted = [kind::HEADERS, kind::DATA, kind::RST_STREAM];
        let frame = peer.first(|frame| wanted.contains(&frame.kind) && frame.stream == stream).unwrap();
        match frame.kind {
            kind::HEADERS => {
                let block = blocks.read(&frame.payload);
                status = fields::values(&block, ":status").concat();
                said = fields::values(&block, "cache-status").concat();
            }
            kind::DATA => bytes += frame.payload.len(),
            _ => return (status, said, bytes, false),
        }
        if frame.has(flag::END_STREAM) {
            return (status, said, bytes, true);
        }
    }
}

#[test]
fn a_kept_response_answers_get_head_conditions_and_ranges() {
    let origin = Origin::answering(|_| fresh("etag: \"one\"\r\n", &"x".repeat(10_000)));
    let evenkeel = start(&origin);
    let (mut peer, mut blocks) = (Peer::greeted(evenkeel.client()), Blocks::new());
    let mut stream = 1;
    for (method, extra, status, count) in [
        ("GET", &[][..], "200", 10_000),
        ("GET", &[], "200", 10_000),
        ("HEAD", &[], "200", 0),
        ("GET", &[("if-none-match", "\"one\"")], "304", 0),
        ("GET", &[("range", "bytes=5-104")], "206", 100),
        ("GET", &[("range", "bytes=10000-")], "416", 0),
        ("GET", &[], "200", 10_000),
    ] {
        let (seen, said, bytes, ended) = ask(&mut peer, &mut blocks, stream, method, extra);
        assert_eq!((seen.as_str(), bytes, ended), (status, count, true), "{method} {extra:?}");
        assert_eq!(said.contains("hit"), stream > 1, "{said}");
        stream += 2;
    }
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_fetch_that_breaks_off_resets_the_stream_alone() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |request, wire| {
        if request.header("x-cut").is_some() {
            wire.send("HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 100\r\n\r\nhello");
            theirs.wait();
            wire.close();
        } else {
            wire.send(fresh("", "whole"));
        }
    });
    let evenkeel = start(&origin);
    let (mut peer, mut blocks) = (Peer::greeted(evenkeel.client()), Blocks::new());
    gate.open();
    let (_, _, _, ended) = ask(&mut peer, &mut blocks, 1, "GET", &[("x-cut", "1")]);
    assert!(!ended || origin.count() > 1);
    let (status, _, bytes, ended) = ask(&mut peer, &mut blocks, 3, "GET", &[]);
    assert_eq!((status.as_str(), bytes, ended), ("200", 5, true));
}
