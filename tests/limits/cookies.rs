//! A cookie that a client of HTTP/2 sends in crumbs (RFC 9113, section 8.2.3) is one field, as long as all of them.

use crate::support::h2::frames::{continuation, flag, headers, kind};
use crate::support::h2::{Peer, balancer, fields};
use crate::support::{Evenkeel, Origin};

/// A GET with these fields behind those that it must have; the status of its response.
fn status(evenkeel: &Evenkeel, more: &[u8]) -> String {
    let mut peer = Peer::greeted(evenkeel.client());
    let block = [&fields::get(), more].concat();
    let (first, rest) = block.split_at(block.len().min(16_000));
    let parts: Vec<&[u8]> = rest.chunks(16_000).collect();
    let ends = if parts.is_empty() { flag::END_HEADERS } else { flag::NONE };
    peer.send(headers(1, flag::END_STREAM | ends, first)).unwrap();
    for (at, part) in parts.iter().enumerate() {
        let ends = if at + 1 == parts.len() { flag::END_HEADERS } else { flag::NONE };
        peer.send(continuation(1, ends, part)).unwrap();
    }
    let head = peer.frame(kind::HEADERS).unwrap();
    fields::values(&fields::Blocks::new().read(&head.payload), ":status").join(",")
}

fn crumbs(count: usize, length: usize) -> Vec<u8> {
    (0..count).flat_map(|at| fields::literal("cookie", &format!("c{at}={}", "x".repeat(length)))).collect()
}

#[test]
fn crumbs_of_a_cookie_count_as_one_field() {
    let origin = Origin::named("a");
    let evenkeel = balancer(&origin, "");
    assert_eq!(status(&evenkeel, &crumbs(110, 1)), "200");
    let whole: Vec<String> = (0..110).map(|at| format!("c{at}=x")).collect();
    assert_eq!(origin.last().headers("cookie"), [whole.join("; ")]);
    assert_eq!(status(&evenkeel, &[crumbs(110, 1), fields::short(90)].concat()), "200");
    assert_eq!(status(&evenkeel, &[crumbs(110, 1), fields::short(110)].concat()), "431");
    assert_eq!(origin.count(), 2);
}

#[test]
fn crumbs_of_a_cookie_count_by_their_bytes() {
    let origin = Origin::named("a");
    let evenkeel = balancer(&origin, "");
    assert_eq!(status(&evenkeel, &crumbs(110, 200)), "200");
    assert_eq!(status(&evenkeel, &crumbs(110, 400)), "431", "44 KB where 32 KiB are allowed");
    assert_eq!(origin.count(), 1);
}
