//! S2: requests that we are made to reset ourselves (CVE-2025-8671).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::s01_rapid_reset::assert_cancelled;
use crate::support::h2::frames::{
    Code, data, flag, headers, kind, ping, priority, rst_stream, window_update,
};
use crate::support::h2::{Case, Expect, Peer, balancer, case, check_in_clear, fields};
use crate::support::{Origin, eventually};

const CUT: Expect = Expect::Cut;

const CASES: &[Case] = &[
    case(
        "s2/1",
        "made you reset: WINDOW_UPDATE by 0",
        |p| p.send(fields::held(5000, |id| window_update(id, 0))),
        CUT,
    ),
    case(
        "s2/2",
        "made you reset: a window above 2^31 - 1",
        |p| p.send(fields::held(5000, |id| window_update(id, (1 << 31) - 1))),
        CUT,
    ),
    case(
        "s2/3",
        "made you reset: trailers that do not end",
        |p| p.send(fields::held(5000, |id| headers(id, flag::END_HEADERS, fields::literal("x-test", "ok")))),
        CUT,
    ),
    case(
        "s2/4",
        "made you reset: a dependency on itself",
        |p| p.send(fields::held(5000, |id| priority(id, id))),
        CUT,
    ),
    case(
        "s2/7",
        "made you reset: DATA beyond content-length",
        |p| {
            let block = fields::post_with("content-length", "1");
            let one = |id| [headers(id, flag::END_HEADERS, &block), data(id, flag::NONE, "ab")].concat();
            p.send((0..5000).flat_map(|i| one(2 * i + 1)).collect::<Vec<u8>>())
        },
        CUT,
    ),
    case(
        "s2/5",
        "made you reset: malformed requests",
        |p| {
            let block = fields::get_with("connection", "close");
            p.send((0..5000).flat_map(|i| headers(2 * i + 1, flag::WHOLE, &block)).collect::<Vec<u8>>())
        },
        CUT,
    ),
    case(
        "s2/6",
        "made you refuse: more streams than allowed",
        |p| p.send(fields::held(20_000, |_| Vec::new())),
        CUT,
    ),
];

#[test]
fn s2_resets_that_we_are_made_to_send_end_the_connection() {
    check_in_clear(CASES);
}

#[test]
fn s2_what_we_are_made_to_reset_is_cancelled_at_the_server() {
    assert_cancelled(|id| window_update(id, (1 << 31) - 1));
}

/// Streams that a client may make us reset before its connection ends, generously: it may reset some 1,000 itself.
const STREAMS_MAX: u32 = 1_300;
/// Requests that servers may be at work on meanwhile for it.
const WORKING_MAX: usize = 150;

/// A server that is at work on each request until it is cancelled: how many it has begun, is at work on, and was at most.
pub fn silent() -> (Origin, [Arc<AtomicUsize>; 3]) {
    let counts: [Arc<AtomicUsize>; 3] = Default::default();
    let kept = counts.clone();
    let origin = Origin::on_head(move |_, wire| {
        let [begun, working, most] = &kept;
        most.fetch_max(working.fetch_add(1, SeqCst) + 1, SeqCst);
        begun.fetch_add(1, SeqCst);
        wire.hold();
        working.fetch_sub(1, SeqCst);
        wire.close();
    });
    (origin, counts)
}

/// Makes us reset stream after stream, each once its server is surely at work, until the connection ends.
#[track_caller]
fn assert_bounded(name: &str, block: &[u8], wrong: fn(u32) -> Vec<u8>) {
    let (origin, [begun, working, most]) = silent();
    let evenkeel = balancer(&origin, "");
    let mut peer = Peer::greeted(evenkeel.client());
    let mut streams = 0;
    loop {
        let batch: Vec<u32> = (streams..streams + 20).map(|at| 2 * at + 1).collect();
        let before = begun.load(SeqCst);
        peer.send(batch.iter().flat_map(|id| headers(*id, flag::END_HEADERS, block)).collect::<Vec<u8>>())
            .unwrap();
        peer.send(ping(&[7; 8])).unwrap();
        if peer.frame(kind::PING).is_err() {
            break;
        }
        // The first batch may take as long as it likes; later ones may be refused.
        if streams == 0 {
            eventually("the server is at work", || begun.load(SeqCst) == before + batch.len());
        }
        peer.send(batch.into_iter().flat_map(wrong).collect::<Vec<u8>>()).unwrap();
        peer.send(ping(&[8; 8])).unwrap();
        if peer.frame(kind::PING).is_err() {
            break;
        }
        streams += 20;
        assert!(streams <= STREAMS_MAX, "{name}: {streams} streams, and the connection goes on");
    }
    let most = most.load(SeqCst);
    assert!(most <= WORKING_MAX, "{name}: {most} requests at the servers at a time");
    eventually("no server is at work any more", || working.load(SeqCst) == 0);
}

#[test]
fn s2_a_window_that_overflows_costs_as_much_as_a_reset() {
    assert_bounded("a window above 2^31 - 1", &fields::get(), |id| window_update(id, (1 << 31) - 1));
}

#[test]
fn s2_a_window_update_by_0_costs_as_much_as_a_reset() {
    assert_bounded("WINDOW_UPDATE by 0", &fields::get(), |id| window_update(id, 0));
}

#[test]
fn s2_a_dependency_on_itself_costs_as_much_as_a_reset() {
    assert_bounded("a dependency on itself", &fields::get(), |id| priority(id, id));
}

#[test]
fn s2_data_beyond_content_length_costs_as_much_as_a_reset() {
    let post = fields::post_with("content-length", "1");
    assert_bounded("DATA beyond content-length", &post, |id| data(id, flag::NONE, "ab"));
}

#[test]
fn s2_resets_of_the_client_and_of_ours_are_counted_together() {
    assert_bounded("every other by a window", &fields::get(), |id| {
        if id % 4 == 1 { rst_stream(id, Code::CANCEL) } else { window_update(id, (1 << 31) - 1) }
    });
    assert_bounded("every other by a dependency", &fields::get(), |id| {
        if id % 4 == 1 { rst_stream(id, Code::CANCEL) } else { priority(id, id) }
    });
    let post = fields::post_with("content-length", "1");
    assert_bounded("every other by DATA", &post, |id| {
        if id % 4 == 1 { rst_stream(id, Code::CANCEL) } else { data(id, flag::NONE, "ab") }
    });
}
