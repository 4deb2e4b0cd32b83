//! S1: requests that are reset as soon as they are made (CVE-2023-44487).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::h2::frames::{Code, flag, headers, kind, ping, rst_stream};
use crate::support::h2::peer::{Peer, Step};
use crate::support::h2::{Case, Expect, balancer, case, check_in_clear, fields};
use crate::support::{Origin, eventually};

/// Resets requests once they have surely been handed to the server.
fn reset_under_way(peer: &mut Peer) -> Step {
    let ids: Vec<u32> = (1..4000).step_by(2).collect();
    for batch in ids.chunks(50) {
        let requests = batch.iter().flat_map(|id| headers(*id, flag::WHOLE, fields::hold()));
        peer.send(requests.collect::<Vec<u8>>())?;
        peer.send(ping(&[7; 8]))?;
        if peer.frame(kind::PING).is_err() {
            break;
        }
        peer.send(batch.iter().flat_map(|id| rst_stream(*id, Code::CANCEL)).collect::<Vec<u8>>())?;
    }
    Ok(())
}

const CASES: &[Case] = &[
    case(
        "s1/1",
        "rapid reset",
        |p| p.send(fields::held(5000, |id| rst_stream(id, Code::CANCEL))),
        Expect::Cut,
    ),
    case("s1/2", "reset of requests that are under way", reset_under_way, Expect::Cut),
];

#[test]
fn s1_rapid_reset_ends_the_connection() {
    check_in_clear(CASES);
}

/// Resets requests that the server is at work on; it must see each of them given up, and the connection goes on.
#[track_caller]
pub fn assert_cancelled(reset: impl Fn(u32) -> Vec<u8>) {
    let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (begun.clone(), ended.clone());
    let origin = Origin::on_head(move |_, wire| {
        counts.0.fetch_add(1, Ordering::SeqCst);
        counts.1.fetch_add(usize::from(wire.hold()), Ordering::SeqCst);
        wire.close();
    });
    let evenkeel = balancer(&origin, "");
    let mut peer = Peer::greeted(evenkeel.client());
    let streams = || (1..40).step_by(2);
    let requests = streams().flat_map(|id| headers(id, flag::WHOLE, fields::get()));
    peer.send(requests.collect::<Vec<u8>>()).unwrap();
    eventually("the server has all requests", || begun.load(Ordering::SeqCst) == 20);
    assert_eq!(ended.load(Ordering::SeqCst), 0);
    peer.send(streams().flat_map(reset).collect::<Vec<u8>>()).unwrap();
    eventually("the server has none any more", || ended.load(Ordering::SeqCst) == 20);
    peer.send(ping(&[7; 8])).unwrap();
    peer.frame(kind::PING).unwrap();
}

#[test]
fn s1_what_is_reset_is_cancelled_at_the_server() {
    assert_cancelled(|id| rst_stream(id, Code::CANCEL));
}
