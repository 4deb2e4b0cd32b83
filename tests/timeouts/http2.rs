//! The same for clients of HTTP/2: a head that does not end, a connection without a request, and one that takes nothing.

use std::thread;
use std::time::Instant;

use crate::support::h2::frames::{flag, headers, kind, setting, settings, window_update};
use crate::support::h2::{Peer, fields};
use crate::support::{Evenkeel, Origin, eventually, ms, ok, pool};

fn start(origin: &Origin, timeout: &str) -> Evenkeel {
    Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\nhttp = [\"2\"]\ntimeout = {timeout}\n{}",
        pool(&[origin], "")
    ))
}

/// Reads on until the connection ends.
fn ends(peer: &mut Peer) {
    while let Ok(frame) = peer.next() {
        assert!(
            matches!(frame.kind, kind::GOAWAY | kind::SETTINGS | kind::PING | kind::WINDOW_UPDATE),
            "{frame:?}"
        );
    }
}

#[test]
fn the_first_request_has_as_long_as_its_head() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin, "{ head = \"300ms\", idle = \"1h\" }");
    let begun = Instant::now();
    ends(&mut Peer::greeted(evenkeel.client()));
    assert!(begun.elapsed() >= ms(300));
}

#[test]
fn a_head_that_does_not_end_ends_the_connection() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin, "{ head = \"1s\", idle = \"1h\" }");
    let begins = headers(3, flag::END_STREAM, fields::get());
    let half = headers(3, flag::WHOLE, fields::get());
    for begun in [&begins[..], &half[..half.len() - 1], &half[..5]] {
        let mut peer = Peer::greeted(evenkeel.client());
        peer.send(headers(1, flag::WHOLE, fields::get())).unwrap();
        peer.response_end().unwrap();
        let since = Instant::now();
        peer.send(begun).unwrap();
        ends(&mut peer);
        assert!(since.elapsed() >= ms(1000), "{begun:?}");
    }
    assert_eq!(origin.count(), 3);
    assert_eq!(evenkeel.metric("evenkeel_requests_refused_total", &["reason=\"head_timeout\""]), 3.0);
}

#[test]
fn an_upload_may_take_longer_than_a_head() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin, "{ head = \"1s\" }");
    let mut peer = Peer::greeted(evenkeel.client());
    let request = [
        headers(1, flag::END_HEADERS, fields::post()),
        crate::support::h2::frames::data(1, flag::END_STREAM, "slowly"),
    ]
    .concat();
    let (last, rest) = request.split_last().unwrap();
    peer.send(rest).unwrap();
    let since = Instant::now();
    eventually("a head's time is over", || since.elapsed() > ms(1500));
    peer.send([*last]).unwrap();
    peer.response_end().unwrap();
}

#[test]
fn a_client_that_takes_nothing_is_closed_with_all_its_streams() {
    const LARGE: usize = 64 << 20;
    let origin = Origin::bytes(ok(&"x".repeat(LARGE)));
    let evenkeel = start(&origin, "{ write = \"500ms\", idle = \"1h\" }");
    let mut peer = Peer::greeted(evenkeel.client());
    let huge = i32::MAX as u32;
    peer.send(settings(&[(setting::INITIAL_WINDOW_SIZE, huge)])).unwrap();
    peer.send(window_update(0, huge - 65_535)).unwrap();
    for stream in [1, 3] {
        peer.send(headers(stream, flag::WHOLE, fields::get())).unwrap();
    }
    // Nothing is read from here on.
    eventually("both are under way", || origin.count() == 2);
    eventually("it is closed", || evenkeel.metric("evenkeel_connections", &[]) == 0.0);
    assert_eq!(evenkeel.metric("evenkeel_requests_in_flight", &[]), 0.0);
    drop(peer);
}

#[test]
fn a_client_that_takes_a_little_now_and_then_is_served() {
    // So many that something always waits for the connection.
    const STREAMS: u32 = 64;
    const EACH: usize = 1 << 20;
    const ALL: usize = STREAMS as usize * EACH;
    let origin = Origin::bytes(ok(&"x".repeat(EACH)));
    let evenkeel = start(&origin, "{ write = \"2s\", idle = \"1h\" }");
    let mut peer = Peer::greeted(evenkeel.client());
    let huge = i32::MAX as u32;
    peer.send(settings(&[(setting::INITIAL_WINDOW_SIZE, huge)])).unwrap();
    peer.send(window_update(0, huge - 65_535)).unwrap();
    (0..STREAMS).for_each(|at| peer.send(headers(2 * at + 1, flag::WHOLE, fields::get())).unwrap());
    let (since, mut got) = (Instant::now(), 0);
    while got < ALL {
        let before = got;
        while got < ALL && got - before < ALL / 32 {
            got += peer.frame(kind::DATA).unwrap().payload.len();
        }
        // That is its pace.
        thread::sleep(ms(100));
    }
    assert!(since.elapsed() > ms(2000), "longer than it may take nothing");
}

#[test]
fn a_tunnel_in_which_the_server_alone_speaks_is_not_idle() {
    const WORDS: usize = 8;
    let origin = Origin::start(|_, wire| {
        wire.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
        for _ in 0..WORDS {
            thread::sleep(ms(100));
            wire.send("a word");
        }
        wire.finish();
        wire.hold();
        wire.close();
    });
    let evenkeel = start(&origin, "{}\n[[route]]\npool = \"app\"\ntimeout = { idle = \"500ms\" }");
    let mut peer = Peer::greeted(evenkeel.client());
    let connect = [(":method", "CONNECT"), fields::GET[1], fields::GET[2], fields::GET[3]];
    let block = [fields::block(&connect), fields::literal(":protocol", "websocket")].concat();
    peer.send(headers(1, flag::END_HEADERS, block)).unwrap();
    let mut heard = 0;
    loop {
        let frame = peer.first(|frame| frame.kind == kind::DATA || frame.kind == kind::RST_STREAM).unwrap();
        assert_eq!(frame.kind, kind::DATA, "after {heard} bytes");
        heard += frame.payload.len();
        if frame.has(flag::END_STREAM) {
            break;
        }
    }
    assert_eq!(heard, WORDS * "a word".len());
}
