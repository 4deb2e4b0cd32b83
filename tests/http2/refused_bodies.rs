//! Bodies of requests that were refused by their heads: what comes of them takes no room from others.

use crate::support::h2::frames::{Frame, data, flag, headers, kind};
use crate::support::h2::{Peer, balancer, fields};
use crate::support::{Gate, Origin, ok};

/// Bytes that a client may send ahead over one stream, and over all.
const WINDOW: usize = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

#[test]
fn unwanted_bodies_do_not_use_up_the_window_of_their_connection() {
    let gate = Gate::default();
    let held = gate.clone();
    let origin = Origin::start(move |_, wire| {
        held.wait();
        wire.send(ok("late"));
    });
    let evenkeel = balancer(&origin, "");
    let mut peer = Peer::greeted(evenkeel.client());
    // One stream goes on all the while, so that the connection never rests.
    peer.send(headers(1, flag::WHOLE, fields::hold())).unwrap();
    let streams: Vec<u32> = (1..=4).map(|i| 2 * i + 1).collect();
    let refused = fields::post_with("expect", "more");
    let heads = streams.iter().flat_map(|stream| headers(*stream, flag::END_HEADERS, &refused));
    peer.send(heads.collect::<Vec<u8>>()).unwrap();
    let piece = "x".repeat(16 * 1024);
    for stream in &streams {
        for _ in 0..WINDOW / piece.len() {
            peer.send(data(*stream, flag::NONE, &piece)).unwrap();
        }
    }
    let is_room = |frame: &Frame| frame.kind == kind::WINDOW_UPDATE && frame.stream == 0;
    let mut room = 0;
    while room < CONNECTION_WINDOW / 4 {
        let more = peer.first(is_room).expect("room for more").number(0);
        // The first one, which the handshake may have read, makes the default as large as ours.
        room += if more == CONNECTION_WINDOW - 65_535 { 0 } else { more };
    }
    gate.open();
}
