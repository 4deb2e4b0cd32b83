//! What responses that clients do not read may hold of our memory: a bound for each connection over all its streams.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use crate::support::h2::frames::{flag, headers, kind, setting, settings, window_update};
use crate::support::h2::{Peer, balancer, fields};
use crate::support::{Evenkeel, Gate, Origin, eventually, ms, ok};

const CONNECTIONS: usize = 8;
const STREAMS: u32 = 100;
/// Of each response.
const LENGTH: usize = 10 << 20;

/// Opens so many streams of a connection, whose windows would take everything, and reads nothing.
fn attack(evenkeel: &Evenkeel, streams: u32, stream_window: u32) -> Peer {
    let mut peer = Peer::greeted(evenkeel.client());
    peer.send(settings(&[(setting::INITIAL_WINDOW_SIZE, stream_window)])).unwrap();
    peer.send(window_update(0, (1 << 31) - 1 - 65_535)).unwrap();
    let requests = (0..streams).flat_map(|at| headers(2 * at + 1, flag::WHOLE, fields::get()));
    peer.send(requests.collect::<Vec<u8>>()).unwrap();
    peer
}

/// Waits until the process grows no more; by how much it did.
fn grown(evenkeel: &Evenkeel, before: usize) -> usize {
    let mut last = (evenkeel.allocated(), Instant::now());
    eventually("memory settles", || {
        let now = evenkeel.allocated();
        if now > last.0 + (1 << 20) {
            last = (now, Instant::now());
        }
        last.1.elapsed() > ms(2_000)
    });
    last.0.saturating_sub(before)
}

/// How many bytes of responses wait for their clients, once these are no longer more from moment to moment.
fn waiting(evenkeel: &Evenkeel) -> f64 {
    let mut last = (0.0, Instant::now());
    eventually("as many wait as will", || {
        let now = evenkeel.metric("evenkeel_unsent_bytes", &[]);
        if now > last.0 {
            last = (now, Instant::now());
        }
        last.0 > 0.0 && last.1.elapsed() > ms(3_000)
    });
    last.0
}

#[test]
fn unread_responses_hold_little_memory() {
    let origin = Origin::bytes(ok(&"x".repeat(LENGTH)));
    // One whose windows are open and whose socket is full, and one whose windows are shut; and what each connection may hold.
    for (window, each_max) in [((1 << 31) - 1, 3 << 20), (0, 3 << 19)] {
        let evenkeel = balancer(&origin, "");
        let mut other = Peer::greeted(evenkeel.client());
        let before = (evenkeel.allocated(), origin.count());
        let peers: Vec<Peer> = (0..CONNECTIONS).map(|_| attack(&evenkeel, STREAMS, window)).collect();
        let asked = CONNECTIONS * STREAMS as usize;
        eventually("the servers have all requests", || origin.count() == before.1 + asked);
        let grown = grown(&evenkeel, before.0);
        assert!(
            grown < CONNECTIONS * each_max,
            "{grown} bytes for {CONNECTIONS} connections that read nothing (window {window})"
        );
        // Others are served meanwhile.
        other.send(headers(1, flag::WHOLE, fields::get())).unwrap();
        other.frame(kind::DATA).unwrap();
        drop(peers);
        eventually("all are gone", || evenkeel.metric("evenkeel_connections", &[]) <= 1.0);
    }
}

#[test]
fn all_connections_together_hold_what_the_process_may() {
    // With fewer streams than the bound for a connection is for.
    const CONNECTIONS: usize = 100;
    const STREAMS: u32 = 4;
    let origin = Origin::bytes(ok(&"x".repeat(LENGTH)));
    let held = |limits: &str| {
        let evenkeel = balancer(&origin, limits);
        let before = origin.count();
        let _peers: Vec<Peer> = (0..CONNECTIONS).map(|_| attack(&evenkeel, STREAMS, 0)).collect();
        eventually("the server has all requests", || {
            origin.count() == before + CONNECTIONS * STREAMS as usize
        });
        waiting(&evenkeel)
    };
    let (usual, little) = (held(""), held("[limits]\nunsent_memory = \"1MiB\"\n"));
    assert!(little < usual / 2.0, "{little} bytes with a limit, {usual} without");
}

#[test]
fn small_responses_that_wait_count_as_well() {
    const LENGTH: usize = 12 * 1024;
    let gates = [Gate::default(), Gate::default()];
    let (open, asked) = (gates.clone(), AtomicUsize::new(0));
    // None answers before all are there, and wait.
    let origin = Origin::start(move |_, wire| {
        open[asked.fetch_add(1, Relaxed) / STREAMS as usize].wait();
        wire.send(ok(&"x".repeat(LENGTH)));
    });
    let evenkeel = balancer(&origin, "[limits]\nunsent_memory = \"1MiB\"\n");
    let has_all = |round: usize| {
        eventually("the server has all requests", || origin.count() == round * STREAMS as usize);
        gates[round - 1].open();
    };
    // Each stream gets a connection to the server, which is kept.
    let mut peer = attack(&evenkeel, STREAMS, (1 << 31) - 1);
    has_all(1);
    (0..STREAMS).for_each(|_| peer.response_end().unwrap());
    drop(peer);
    let _peer = attack(&evenkeel, STREAMS, 0);
    has_all(2);
    let waiting = waiting(&evenkeel);
    assert_eq!(origin.connections(), STREAMS as usize);
    assert!(waiting < (STREAMS as usize * LENGTH / 2) as f64, "{waiting} bytes");
}
