//! Bodies of requests that were refused by their heads: what comes of them takes no room from others.

use crate::support::h2::frames::{data, flag, headers, kind};
use crate::support::h2::{Peer, balancer, fields, origin};

/// Bytes that a client may send ahead over one stream, and over all.
const WINDOW: usize = 256 * 1024;
const CONNECTION_WINDOW: usize = 1024 * 1024;

#[test]
fn bodies_that_nobody_wants_do_not_use_up_the_window_of_their_connection() {
    let origin = origin();
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
    let mut window = 65_535_i64 - CONNECTION_WINDOW as i64;
    while window < CONNECTION_WINDOW as i64 / 4 {
        let more = peer.first(|frame| frame.kind == kind::WINDOW_UPDATE && frame.stream == 0);
        window += i64::from(more.expect("room for more").number(0));
    }
}
