//! A fair share of the worker's time: a connection with thousands of requests under way does not delay another one's by more
//! than a part of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

use crate::support::h2::bystander::{ROUTES, ask_else};
use crate::support::h2::frames::{flag, headers, window_update};
use crate::support::h2::{Peer, balancer, fields};
use crate::support::{Evenkeel, Origin, eventually};

/// Requests that the busy connection has under way.
const STREAMS: u32 = 10_000;
/// How many of those may be answered between a request of another connection and its response.
const BETWEEN_MAX: usize = 2_000;
/// Requests of the other connection.
const ASKED: u32 = 50;
const WINDOW_MAX: u32 = (1 << 31) - 1;

fn get() -> Vec<u8> {
    fields::block(&[fields::GET[0], fields::GET[1], (":path", "/else"), fields::GET[3]])
}

/// Asks again as soon as it is answered, until it is to end.
fn busy(evenkeel: &Evenkeel, answered: &AtomicUsize, is_over: &AtomicBool) {
    let mut peer = Peer::greeted(evenkeel.client());
    peer.send(window_update(0, WINDOW_MAX - 65_535)).unwrap();
    let block = get();
    let mut next = 1;
    let mut more = |peer: &mut Peer, count: u32| {
        let streams = (0..count).map(|at| next + 2 * at);
        peer.send(streams.flat_map(|id| headers(id, flag::WHOLE, &block)).collect::<Vec<u8>>()).unwrap();
        next += 2 * count;
    };
    more(&mut peer, STREAMS);
    while !is_over.load(SeqCst) {
        for _ in 0..100 {
            peer.response_end().unwrap();
            answered.fetch_add(1, SeqCst);
        }
        more(&mut peer, 100);
    }
}

#[test]
fn a_connection_with_thousands_of_requests_leaves_others_their_turn() {
    let origin = Origin::named("a");
    let evenkeel = balancer(&origin, &format!("limits = {{ http2_streams = {STREAMS} }}\n{ROUTES}"));
    let (answered, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    thread::scope(|scope| {
        let busy = scope.spawn(|| busy(&evenkeel, &answered, &is_over));
        let mut peer = Peer::greeted(evenkeel.client());
        eventually("the other connection is busy", || answered.load(SeqCst) > 1_000 || busy.is_finished());
        let mut between = Vec::new();
        for at in 0..ASKED {
            let before = answered.load(SeqCst);
            ask_else(&mut peer, 2 * at + 1);
            between.push(answered.load(SeqCst) - before);
        }
        is_over.store(true, SeqCst);
        busy.join().unwrap();
        let most = between.iter().max().copied().unwrap_or_default();
        assert!(most <= BETWEEN_MAX, "{most} requests came first: {between:?}");
    });
}
