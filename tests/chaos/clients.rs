//! Clients that leave at every point of an exchange, in every way: nothing is left of them, and no other client notices.

use std::thread;

use crate::support::chaos::{descriptors, descriptors_at_rest};
use crate::support::h2::Peer;
use crate::support::h2::fields::{self, GET, POST};
use crate::support::h2::frames::{Code, PREFACE, data, flag, headers, rst_stream, settings};
use crate::support::{Client, Evenkeel, Origin, Traffic, eventually, ms, ok, pool};

/// How often each point is tried: what is lost once in a while shows in the sum.
const ROUNDS: usize = 5;

/// How a client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    Close,
    Reset,
    /// Only the stream, where there are streams.
    Stream,
}

/// What a client of HTTP/1.1 has sent when it leaves, and how much of an answer it waits for.
const HTTP1: [(&str, &str, usize); 12] = [
    ("at once", "", 0),
    ("within the method", "GE", 0),
    ("within a field", "GET / HTTP/1.1\r\nhost: te", 0),
    ("before the empty line", "GET / HTTP/1.1\r\nhost: test\r\n", 0),
    ("while the server works", "GET /hold HTTP/1.1\r\nhost: test\r\n\r\n", 0),
    ("within a large answer", "GET /large HTTP/1.1\r\nhost: test\r\n\r\n", 1000),
    ("before a large answer is read", "GET /large HTTP/1.1\r\nhost: test\r\n\r\n", 0),
    ("behind the head of a POST", "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 9\r\n\r\n", 0),
    ("within a body", "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 99\r\n\r\nhello", 0),
    ("within a chunk", "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhel", 0),
    ("within trailers", "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: ", 0),
    (
        "within a tunnel",
        "GET /tunnel HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        20,
    ),
];

fn server() -> Origin {
    Origin::start(|request, wire| match request.target() {
        "/hold" => {
            wire.hold();
            wire.close();
        }
        "/large" => {
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n");
            let block = vec![b'x'; 64 * 1024];
            while wire.send(&block) {}
            wire.close();
        }
        "/tunnel" => {
            wire.send(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
            );
            wire.hold();
            wire.close();
        }
        _ => drop(wire.send(ok("a"))),
    })
}

fn leave_http1(mut client: Client, sent: &str, awaited: usize, how: Leave) {
    client.send(sent);
    if awaited > 0 {
        client.exactly(awaited).unwrap();
    }
    match how {
        Leave::Reset => client.reset(),
        Leave::Close | Leave::Stream => client.close(),
    }
}

/// What a client of HTTP/2 does on stream 1.
fn http2_points() -> Vec<(&'static str, Vec<u8>)> {
    let path = |path| fields::block(&[GET[0], GET[1], (":path", path), GET[3]]);
    vec![
        ("nothing", Vec::new()),
        ("a head without its end", headers(1, flag::END_STREAM, fields::get())),
        ("while the server works", headers(1, flag::WHOLE, path("/hold"))),
        ("within a large answer", headers(1, flag::WHOLE, path("/large"))),
        ("a head whose body is due", headers(1, flag::END_HEADERS, fields::block(&POST))),
        (
            "within a body",
            [headers(1, flag::END_HEADERS, fields::block(&POST)), data(1, flag::NONE, "hello")].concat(),
        ),
        ("many streams", fields::held(50, |_| Vec::new())),
    ]
}

fn leave_http2(client: Client, sent: &[u8], how: Leave) {
    let mut peer = Peer::over(client);
    peer.send([PREFACE, &settings(&[]), sent].concat()).unwrap();
    if how == Leave::Stream && !sent.is_empty() {
        let _ = peer.send(rst_stream(1, Code::CANCEL));
    }
    peer.leave(how == Leave::Reset);
}

#[test]
fn clients_that_leave_at_any_point_leave_nothing_behind() {
    let (server, healthy) = (server(), Origin::named("healthy"));
    let evenkeel = Evenkeel::start(&format!(
        "[server]\nworkers = 2\n[log]\naccess = \"off\"\n\
         [listener.web]\nbind = [\"127.0.0.1:0\"]\nhttp = [\"1.1\", \"2\"]\npool = \"app\"\n\
         [[route]]\npath = \"/healthy\"\npool = \"healthy\"\n[pool.healthy]\nbackends = [\"{}\"]\n{}",
        healthy.address(),
        // Who merely closes may still be listening, so the server is waited for.
        pool(&[&server], "timeout = { response = \"2s\" }")
    ));
    let before = descriptors_at_rest(&evenkeel);
    let others = Traffic::paced_at(evenkeel.address(), "/healthy", 2, ms(5));
    thread::scope(|scope| {
        for how in [Leave::Close, Leave::Reset, Leave::Stream] {
            let evenkeel = &evenkeel;
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    for (_, sent, awaited) in HTTP1 {
                        leave_http1(evenkeel.client(), sent, awaited, how);
                    }
                    for (_, sent) in http2_points() {
                        leave_http2(evenkeel.client(), &sent, how);
                    }
                }
            });
        }
    });
    others.more(10);
    let others = others.stop();
    assert!(others.lost.is_empty(), "others lost {:?}", others.lost);
    for gauge in ["requests_in_flight", "connections", "backend_in_flight", "tunnels"] {
        eventually(&format!("{gauge} is back at 0"), || {
            evenkeel.metric(&format!("evenkeel_{gauge}"), &[]) == 0.0
        });
    }
    eventually("no descriptor is left", || descriptors(&evenkeel) <= before);
    let failures = |labels: &[&str]| evenkeel.metric("evenkeel_backend_failures_total", labels);
    assert_eq!(failures(&[]), failures(&["kind=\"timeout\""]), "a server is blamed for its clients");
}
