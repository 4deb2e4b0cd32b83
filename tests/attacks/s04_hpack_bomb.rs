//! S4: field blocks that are small on the wire and large in memory (CVE-2016-6581), and responses that nobody takes.

use std::time::Instant;

use crate::support::h2::frames::{flag, headers, kind, setting, settings};
use crate::support::h2::{Case, Expect, Peer, balancer, case, check_in_clear, fields};
use crate::support::{Origin, ms};

/// HEADERS of a GET with one more field, which is sent once and then `count` times as one byte: an index.
fn bomb(name: &str, value: &str, count: usize) -> Vec<u8> {
    let entry = [vec![0x40], fields::string(name), fields::string(value)].concat();
    headers(1, flag::WHOLE, fields::get_then(&[entry, vec![0xbe; count]].concat()))
}

const CASES: &[Case] = &[
    case("s4/1", "an HPACK bomb", |p| p.send(bomb("x-test", &"x".repeat(4000), 10_000)), Expect::Refused),
    case("s4/2", "cookie crumbs", |p| p.send(bomb("cookie", "a", 10_000)), Expect::Refused),
    case("s4/3", "empty fields", |p| p.send(bomb("x", "", 10_000)), Expect::Refused),
    case(
        "s4/4",
        "crumbs that are many rather than large",
        |p| p.send(bomb("cookie", "", 150)),
        Expect::Refused,
    ),
];

#[test]
fn s4_what_grows_too_large_is_refused() {
    check_in_clear(CASES);
}

#[test]
fn s4_a_window_that_stays_shut_times_out() {
    let origin = Origin::named("a");
    let evenkeel = balancer(&origin, "timeout = { write = \"300ms\" }");
    let mut peer = Peer::greeted(evenkeel.client());
    let begun = Instant::now();
    peer.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 0)])).unwrap();
    peer.send(headers(1, flag::WHOLE, fields::get())).unwrap();
    peer.frame(kind::RST_STREAM).unwrap();
    assert!(begun.elapsed() >= ms(300));
}
