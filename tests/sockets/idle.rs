//! What connections hold of our memory that have nothing to ask.

use std::time::Instant;

use crate::support::h2::frames::{flag, headers};
use crate::support::h2::{Peer, fields};
use crate::support::{Evenkeel, Origin, eventually, ms, pool};

const CONNECTIONS: usize = 2_000;

/// Waits until the process holds no more and no less memory than a while before; how much that is.
fn settled(evenkeel: &Evenkeel) -> usize {
    let mut last = (0, Instant::now());
    eventually("memory settles", || {
        let now = evenkeel.allocated();
        if now != last.0 {
            last = (now, Instant::now());
        }
        last.1.elapsed() > ms(1_500)
    });
    last.0
}

/// Bytes that each of many connections holds which `open` has made, once the last has had nothing to ask for a while.
fn weight<C>(evenkeel: &Evenkeel, mut open: impl FnMut() -> C) -> usize {
    // The first ones take what was free already.
    let mut all: Vec<C> = (0..CONNECTIONS / 2).map(|_| open()).collect();
    let before = settled(evenkeel);
    all.extend((0..CONNECTIONS).map(|_| open()));
    settled(evenkeel).saturating_sub(before) / CONNECTIONS
}

#[test]
fn idle_connections_hold_little_memory() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&format!("[server]\nworkers = 1\n{}", pool(&[&origin], "")));
    let http1 = weight(&evenkeel, || {
        let mut client = evenkeel.client();
        assert_eq!(client.get("/").text(), "a");
        client
    });
    let http2 = weight(&evenkeel, || {
        let mut peer = Peer::greeted(evenkeel.client());
        peer.send(headers(1, flag::WHOLE, fields::get())).unwrap();
        peer.response_end().unwrap();
        peer
    });
    assert!(http1 < 2_048, "{http1} bytes for a connection of HTTP/1.1");
    assert!(http2 < 4_096, "{http2} bytes for a connection of HTTP/2");
}
