//! Servers of HTTP/2: what they may send ahead, in which pieces, and what they must not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::http1::date::assert_date;
use crate::support::Evenkeel;
use crate::support::h2::frames::{data, flag, headers, kind, setting};
use crate::support::h2::{Serving, fields, serving};

/// Answers each request by the frames that `answer` makes for its stream.
fn answering(answer: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static) -> SocketAddr {
    serving(move |wire| {
        let mut server = Serving::greet(wire)?;
        loop {
            let frame = server.next()?;
            if frame.kind == kind::HEADERS {
                server.send(answer(frame.stream));
            }
        }
    })
}

fn balancer(server: SocketAddr) -> Evenkeel {
    Evenkeel::start(&format!(
        "[server]\nworkers = 1\n[pool.app]\nbackends = [\"{server}\"]\nprotocol = \"http2\"\n"
    ))
}

fn head(stream: u32, status: &str) -> Vec<u8> {
    headers(stream, flag::END_HEADERS, fields::literal(":status", status))
}

#[test]
fn a_body_where_there_is_none_never_reaches_the_client() {
    for status in ["204", "304"] {
        let evil = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
        let server =
            answering(move |stream| [head(stream, status), data(stream, flag::END_STREAM, evil)].concat());
        let evenkeel = balancer(server);
        let mut client = evenkeel.client();
        client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        let seen = String::from_utf8(client.until_end().unwrap_or_default()).unwrap();
        assert!(!seen.contains("evil") && !seen.contains("200 OK"), "{status}: {seen}");
        let ended = evenkeel.record(|record| record["pool"] == "app")["ended"].clone();
        assert_eq!(ended, "backend_aborted", "{status}");
    }
}

#[test]
fn an_end_behind_a_head_that_is_all_is_no_body() {
    let server = answering(|stream| [head(stream, "204"), data(stream, flag::END_STREAM, "")].concat());
    let evenkeel = balancer(server);
    let mut client = evenkeel.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").status, 204);
    }
}

#[test]
fn a_client_that_takes_nothing_leaves_the_others_their_share_of_the_connection() {
    let windows = Arc::new([(); 2].map(|()| AtomicU32::new(65_535)));
    let theirs = windows.clone();
    let server = serving(move |wire| {
        let mut server = Serving::greet(wire)?;
        loop {
            let frame = server.next()?;
            match frame.kind {
                kind::SETTINGS => {
                    let mut values = frame.payload.chunks_exact(6);
                    let id = setting::INITIAL_WINDOW_SIZE.to_be_bytes();
                    if let Some(value) = values.find(|value| value[..2] == id) {
                        let value = u32::from_be_bytes(value[2..].try_into().unwrap());
                        theirs[0].store(value, Ordering::SeqCst);
                    }
                }
                kind::WINDOW_UPDATE if frame.stream == 0 => {
                    theirs[1].fetch_add(frame.number(0), Ordering::SeqCst);
                }
                kind::HEADERS => {
                    server.send(
                        [head(frame.stream, "200"), data(frame.stream, flag::END_STREAM, "ok")].concat(),
                    );
                }
                _ => {}
            }
        }
    });
    let evenkeel = balancer(server);
    assert_eq!(evenkeel.get("/").text(), "ok");
    let [stream, all] = [0, 1].map(|at| windows[at].load(Ordering::SeqCst));
    assert!(all >= 100 * stream, "{all} for all, {stream} for each of a hundred streams");
}

#[test]
fn a_burst_of_small_pieces_is_passed_on() {
    const PIECES: usize = 20_000;
    let server = answering(|stream| {
        let mut answer = head(stream, "200");
        (0..PIECES).for_each(|_| answer.extend(data(stream, flag::NONE, "ten bytes.")));
        answer.extend(data(stream, flag::END_STREAM, ""));
        answer
    });
    let evenkeel = balancer(server);
    let answer = evenkeel.get("/");
    assert_eq!((answer.status, answer.text().len()), (200, 10 * PIECES));
}

#[test]
fn a_response_without_a_date_gets_one() {
    let server = answering(|stream| [head(stream, "200"), data(stream, flag::END_STREAM, "ok")].concat());
    let evenkeel = balancer(server);
    let response = evenkeel.get("/");
    assert_eq!(response.text(), "ok");
    assert_date(&response.headers("date"));
}
