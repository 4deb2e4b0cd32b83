//! S10: thousands of uploads over HTTP/2 that are begun and do not go on.

use std::net::{SocketAddr, TcpListener};

use socket2::SockRef;

use crate::support::h2::bystander::{Bystander, ROUTES};
use crate::support::h2::frames::{data, flag, headers, kind, ping};
use crate::support::h2::{Peer, fields};
use crate::support::{Evenkeel, eventually, ms};

const CONNECTIONS: usize = 20;
const STREAMS: u32 = 100;
const ALL: usize = CONNECTIONS * STREAMS as usize;
/// What one upload may hold of our memory, generously.
const EACH_MAX: usize = 40 << 10;

/// A server that takes no connection: thousands of them cost it nothing, and none is ever answered.
fn silent() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    SockRef::from(&listener).listen(2 * ALL as i32).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Begins as many uploads as it may.
fn attack(evenkeel: &Evenkeel) -> Peer {
    let mut peer = Peer::greeted(evenkeel.client());
    let block = fields::post_with("content-length", "1000000");
    for id in (0..STREAMS).map(|at| 2 * at + 1) {
        peer.send([headers(id, flag::END_HEADERS, &block), data(id, flag::NONE, "x")].concat()).unwrap();
    }
    peer.send(ping(&[7; 8])).unwrap();
    peer.frame(kind::PING).unwrap();
    peer
}

/// Reads on until each of the streams was answered or reset.
fn assert_over(peer: &mut Peer) {
    let mut left = STREAMS;
    while left > 0 {
        let frame = peer.first(|frame| match frame.kind {
            kind::HEADERS | kind::DATA => frame.has(flag::END_STREAM),
            kind::RST_STREAM => frame.number(0) != 0,
            _ => false,
        });
        assert!(frame.is_ok(), "{left} uploads are left: {frame:?}");
        left -= 1;
    }
}

#[test]
fn s10_uploads_that_do_not_go_on_hold_little_and_time_out() {
    let (_server, address) = silent();
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\nhttp = \"2\"\ntimeout = {{ body = \"5s\" }}\n{ROUTES}\
         [pool.app]\nbackends = [\"{address}\"]\n"
    ));
    let other = Bystander::start(&evenkeel);
    let before = evenkeel.allocated();
    let peers = (0..CONNECTIONS).map(|_| attack(&evenkeel)).collect::<Vec<_>>();
    let in_flight = || evenkeel.metric("evenkeel_requests_in_flight", &[]);
    eventually("all are under way", || in_flight() >= ALL as f64);
    let grown = evenkeel.allocated().saturating_sub(before);
    assert!(grown < ALL * EACH_MAX, "{grown} bytes for {ALL} uploads");
    peers.into_iter().for_each(|mut peer| assert_over(&mut peer));
    eventually("only the other client is left", || in_flight() <= 1.0);
    let longest = other.longest();
    assert!(longest < ms(5_000), "another client waited for {longest:?}");
}
