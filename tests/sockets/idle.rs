//! What connections hold of our memory that have nothing to ask.

use std::time::Instant;

use crate::support::h2::frames::{flag, headers};
use crate::support::h2::{Peer, fields};
use crate::support::{Evenkeel, Origin, eventually, ms, pool};

const CONNECTIONS: usize = 1_000;

/// Bytes that each of many connections holds which `open` has made, once the last has had nothing to ask for a while.
fn weight<C>(evenkeel: &Evenkeel, mut open: impl FnMut() -> C) -> usize {
    // What is made once, or for requests under way, does not count.
    drop((0..CONNECTIONS / 10).map(|_| open()).collect::<Vec<_>>());
    eventually("they are gone", || evenkeel.metric("evenkeel_connections", &[]) == 0.0);
    let before = evenkeel.allocated();
    let open: Vec<C> = (0..CONNECTIONS).map(|_| open()).collect();
    let mut last = (0, Instant::now());
    eventually("memory settles", || {
        let now = evenkeel.allocated();
        if now != last.0 {
            last = (now, Instant::now());
        }
        last.1.elapsed() > ms(2_000)
    });
    last.0.saturating_sub(before) / open.len()
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
    println!("{http1} {http2}");
    assert!(http1 < 2_600, "{http1} bytes for a connection of HTTP/1.1");
    assert!(http2 < 5_200, "{http2} bytes for a connection of HTTP/2");
}
