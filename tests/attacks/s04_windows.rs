//! S4: responses that cannot be sent because their client opens no window, or opens it by a byte now and then.

use std::time::{Duration, Instant};

use crate::support::h2::bystander::{Bystander, ROUTES};
use crate::support::h2::frames::{Code, flag, headers, kind, setting, settings, window_update};
use crate::support::h2::{Peer, balancer, fields};
use crate::support::{Evenkeel, Origin, eventually, ms, ok};

const CONNECTIONS: usize = 4;
const STREAMS: u32 = 50;
const ALL: usize = CONNECTIONS * STREAMS as usize;
/// More than the socket of a server holds.
const LENGTH: usize = 4 << 20;
/// A client must take 240 bytes a second, but for the first ten seconds.
const FREE: Duration = Duration::from_secs(10);
/// By when such a client must be gone, generously.
const LATEST: Duration = Duration::from_secs(40);

/// Asks for as much as it may, and lets none of it be sent.
fn attack(evenkeel: &Evenkeel) -> Peer {
    let mut peer = Peer::greeted(evenkeel.client());
    peer.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 0)])).unwrap();
    peer.settings_ack().unwrap();
    peer.send(streams().flat_map(|id| headers(id, flag::WHOLE, fields::get())).collect::<Vec<u8>>()).unwrap();
    peer
}

fn streams() -> impl Iterator<Item = u32> {
    (0..STREAMS).map(|at| 2 * at + 1)
}

fn in_flight(evenkeel: &Evenkeel) -> f64 {
    evenkeel.metric("evenkeel_requests_in_flight", &[])
}

/// Reads on until each of the streams was reset.
fn assert_reset(peer: &mut Peer) {
    for left in (0..STREAMS).rev() {
        let reset = peer.frame(kind::RST_STREAM);
        assert!(reset.is_ok(), "{left} streams are left: {reset:?}");
        assert_eq!(Code(reset.unwrap().number(0)), Code::CANCEL);
    }
}

#[test]
fn s4_windows_that_stay_shut_time_out_on_every_stream() {
    let origin = Origin::bytes(ok(&"x".repeat(LENGTH)));
    let evenkeel = balancer(&origin, &format!("timeout = {{ write = \"2s\" }}\n{ROUTES}"));
    let other = Bystander::start(&evenkeel);
    let peers = (0..CONNECTIONS).map(|_| attack(&evenkeel)).collect::<Vec<_>>();
    eventually("the servers have all requests", || origin.count() == ALL);
    peers.into_iter().for_each(|mut peer| assert_reset(&mut peer));
    eventually("only the other client is left", || in_flight(&evenkeel) <= 1.0);
    let longest = other.longest();
    assert!(longest < ms(5_000), "another client waited for {longest:?}");
}

#[test]
fn s4_windows_that_are_opened_by_a_byte_now_and_then_are_too_slow() {
    let origin = Origin::bytes(ok(&"x".repeat(LENGTH)));
    let evenkeel = balancer(&origin, ROUTES);
    let other = Bystander::start(&evenkeel);
    let mut peers = (0..CONNECTIONS).map(|_| attack(&evenkeel)).collect::<Vec<_>>();
    eventually("the servers have all requests", || origin.count() == ALL);
    let begun = Instant::now();
    while in_flight(&evenkeel) > 1.0 {
        assert!(begun.elapsed() < LATEST, "{} requests go on without end", in_flight(&evenkeel));
        for peer in &mut peers {
            peer.send(streams().flat_map(|id| window_update(id, 1)).collect::<Vec<u8>>()).unwrap();
        }
        std::thread::sleep(ms(500));
    }
    assert!(begun.elapsed() >= FREE - ms(1_000), "cut off after {:?}", begun.elapsed());
    let record = evenkeel.record(|record| record["target"] == "/");
    assert!(record["reason"].as_str().is_some_and(|reason| reason.contains("limits.body_rate")), "{record}");
    let longest = other.longest();
    assert!(longest < ms(5_000), "another client waited for {longest:?}");
}
