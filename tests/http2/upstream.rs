//! Requests as streams of a server: they wait for one, are cancelled, refused and cut short, and share what there is.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use crate::support::h2::fields::{Blocks, literal, values};
use crate::support::h2::frames::{
    Code, Frame, data, flag, frame, goaway_after, headers, kind, rst_stream, setting, settings, window_update,
};
use crate::support::h2::{Serving, serving};
use crate::support::{Client, DEADLINE, Evenkeel, Fault, eventually, ms};

fn balancer(servers: &[SocketAddr]) -> Evenkeel {
    let servers: Vec<String> = servers.iter().map(|server| format!("\"{server}\"")).collect();
    Evenkeel::start(&format!(
        "[server]\nworkers = 1\n[pool.app]\nprotocol = \"http2\"\nbackends = [{}]\n",
        servers.join(", ")
    ))
}

fn status(stream: u32, flags: u8, status: &str) -> Vec<u8> {
    headers(stream, flags, literal(":status", status))
}

/// Answers each request at once by its stream and the number of its connection.
fn answering_all(server: &mut Serving<'_>, connection: usize) -> Result<(), Fault> {
    loop {
        let stream = server.frame(kind::HEADERS)?.stream;
        let text = format!("{connection}/{stream}");
        server
            .send([status(stream, flag::END_HEADERS, "200"), data(stream, flag::END_STREAM, text)].concat());
    }
}

/// A server, and what it tells.
fn telling<T: Send + 'static>(
    serve: impl Fn(&mut Serving<'_>, &dyn Fn(T)) -> Result<(), Fault> + Send + Sync + 'static,
) -> (SocketAddr, Receiver<T>) {
    let (tells, told) = channel();
    let tells = Mutex::new(tells);
    let address =
        serving(move |wire| serve(&mut Serving::greet(wire)?, &|it| tells.lock().unwrap().send(it).unwrap()));
    (address, told)
}

/// What a server tells next.
fn heard<T>(told: &Receiver<T>) -> T {
    told.recv_timeout(DEADLINE).expect("the server was asked in time")
}

#[test]
fn a_client_that_leaves_has_its_stream_reset() {
    let (server, told) = telling(|server, tell| {
        let begun = server.frame(kind::HEADERS)?.stream;
        server.send(status(begun, flag::END_HEADERS, "200"));
        server.send(data(begun, flag::NONE, "begin"));
        for _ in 0..3 {
            let reset = server.frame(kind::RST_STREAM)?;
            tell((reset.stream, Code(reset.number(0))));
        }
        answering_all(server, 0)
    });
    let evenkeel = balancer(&[server]);
    let mut reading = evenkeel.client();
    reading.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    assert!(reading.head().unwrap().start.contains("200"));
    reading.reset();
    drop(reading);
    assert_eq!(heard(&told), (1, Code::CANCEL), "within the answer");
    let mut waiting = evenkeel.client();
    waiting.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    eventually("it is under way", || evenkeel.metric("evenkeel_backend_in_flight", &[]) == 1.0);
    waiting.reset();
    drop(waiting);
    assert_eq!(heard(&told), (3, Code::CANCEL), "before the answer");
    let mut sending = evenkeel.client();
    sending.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 9\r\n\r\nbody");
    eventually("it is under way", || evenkeel.metric("evenkeel_backend_in_flight", &[]) == 1.0);
    sending.reset();
    drop(sending);
    assert_eq!(heard(&told), (5, Code::CANCEL), "within the request");
    assert_eq!(evenkeel.get("/").text(), "0/7", "the connection goes on");
}

#[test]
fn a_server_that_takes_one_stream_at_a_time_gets_more_connections() {
    let connections = Arc::new(Mutex::new(0));
    let (held, holds) = channel();
    let held = Mutex::new(held);
    let server = serving(move |wire| {
        let mut server = Serving::greet_with(wire, &[(setting::MAX_CONCURRENT_STREAMS, 1)])?;
        let at = {
            let mut connections = connections.lock().unwrap();
            *connections += 1;
            *connections
        };
        if at == 1 {
            held.lock().unwrap().send(server.frame(kind::HEADERS)?.stream).unwrap();
            server.hold();
            return Ok(());
        }
        answering_all(&mut server, at)
    });
    let evenkeel = balancer(&[server]);
    let mut first = evenkeel.client();
    first.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    heard(&holds);
    for stream in [1, 3, 5] {
        assert_eq!(evenkeel.get("/").text(), format!("2/{stream}"));
    }
}

#[test]
fn a_request_waits_for_a_server_that_takes_no_stream_yet() {
    let (server, told) = telling(|server, tell| {
        server.send(settings(&[(setting::MAX_CONCURRENT_STREAMS, 1)]));
        let first = server.frame(kind::HEADERS)?.stream;
        // Behind the answer none is allowed for a while: a request of that time waits.
        server.send(settings(&[(setting::MAX_CONCURRENT_STREAMS, 0)]));
        server.frame(kind::SETTINGS)?;
        server.send(status(first, flag::WHOLE, "200"));
        tell(());
        server.send(settings(&[(setting::MAX_CONCURRENT_STREAMS, 10)]));
        answering_all(server, 0)
    });
    let evenkeel = balancer(&[server]);
    let mut clients: Vec<Client> = (0..4).map(|_| evenkeel.client()).collect();
    assert_eq!(clients[0].get("/").status, 200);
    heard(&told);
    clients.iter_mut().for_each(|client| assert_eq!(client.get("/").status, 200));
}

#[test]
fn what_a_server_has_not_looked_at_is_given_to_another_whatever_its_method() {
    for last_words in [
        |stream| rst_stream(stream, Code::REFUSED),
        |stream| goaway_after(stream - 1, Code::NO_ERROR, b""),
        |stream| goaway_after(stream - 1, Code::CALM, b"busy"),
    ] {
        let refusing = serving(move |wire| {
            let mut server = Serving::greet(wire)?;
            loop {
                let stream = server.frame(kind::HEADERS)?.stream;
                server.send(last_words(stream));
            }
        });
        let good = serving(|wire| answering_all(&mut Serving::greet(wire)?, 7));
        let evenkeel = balancer(&[refusing, good]);
        for _ in 0..4 {
            let response = evenkeel.ask("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 4\r\n\r\nbody");
            assert!(response.text().starts_with("7/"), "{}", response.text());
        }
    }
}

#[test]
fn a_server_that_leaves_ends_what_it_has_begun() {
    let server = {
        let connections = Mutex::new(0);
        serving(move |wire| {
            let mut server = Serving::greet(wire)?;
            let at = {
                let mut connections = connections.lock().unwrap();
                *connections += 1;
                *connections
            };
            if at > 1 {
                return answering_all(&mut server, at);
            }
            let stream = server.frame(kind::HEADERS)?.stream;
            server.send(goaway_after(stream, Code::NO_ERROR, b""));
            // PING: when it is answered, GOAWAY has been read.
            server.send(frame(kind::PING, flag::NONE, 0, [7; 8]));
            assert_eq!(server.frame(kind::PING)?.payload, [7; 8]);
            server.send(status(stream, flag::END_HEADERS, "200"));
            server.send(data(stream, flag::END_STREAM, "to the end"));
            server.hold();
            Ok(())
        })
    };
    let evenkeel = balancer(&[server]);
    assert_eq!(evenkeel.get("/").text(), "to the end");
    assert_eq!(evenkeel.get("/").text(), "2/1");
}

#[test]
fn interim_heads_and_trailers_pass_both_ways() {
    let (server, told) = telling(|server, tell| {
        let mut blocks = Blocks::new();
        let stream = {
            let head = server.frame(kind::HEADERS)?;
            blocks.read(&head.payload);
            head.stream
        };
        let trailers = server.frame(kind::HEADERS)?;
        tell((trailers.has(flag::END_STREAM), blocks.read(&trailers.payload)));
        let early = [literal(":status", "103"), literal("link", "</a.css>")].concat();
        server.send(headers(stream, flag::END_HEADERS, early));
        server.send(status(stream, flag::END_HEADERS, "200"));
        server.send(data(stream, flag::NONE, "page"));
        server.send(headers(stream, flag::WHOLE, literal("x-sum", "1")));
        server.hold();
        Ok(())
    });
    let evenkeel = balancer(&[server]);
    let mut client = evenkeel.client();
    client.send("POST / HTTP/1.1\r\nhost: test\r\nte: trailers\r\nconnection: te\r\ntransfer-encoding: chunked\r\n\r\n");
    client.send("4\r\nbody\r\n0\r\nx-end: yes\r\n\r\n");
    let response = client.answer("POST");
    assert_eq!(response.interim[0].header("link"), Some("</a.css>"));
    assert_eq!(response.text(), "page");
    assert_eq!(response.body.trailers, [("x-sum".to_owned(), "1".to_owned())]);
    let (ends, trailers) = heard(&told);
    assert!(ends);
    assert_eq!(values(&trailers, "x-end"), ["yes"]);
}

#[test]
fn an_answer_before_the_end_of_the_request_is_passed_on() {
    let server = serving(|wire| {
        let mut server = Serving::greet(wire)?;
        loop {
            let stream = server.frame(kind::HEADERS)?.stream;
            server.send(status(stream, flag::END_HEADERS, "413"));
            server.send(data(stream, flag::END_STREAM, "too large"));
            // It needs the rest of the request no more (RFC 9113, 8.1).
            server.send(rst_stream(stream, Code::NO_ERROR));
        }
    });
    let evenkeel = balancer(&[server]);
    for _ in 0..3 {
        let mut client = evenkeel.client();
        client.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 100000000\r\n\r\nthe first of it");
        let response = client.answer("POST");
        assert_eq!((response.status, response.text().as_str()), (413, "too large"));
    }
    assert_eq!(evenkeel.metric("evenkeel_backend_failures_total", &[]), 0.0);
}

#[test]
fn an_answer_that_is_not_read_stops_its_server() {
    const ALL: usize = 64 << 20;
    let (server, told) = telling(|server, tell| {
        let stream = server.frame(kind::HEADERS)?.stream;
        server.send(status(stream, flag::END_HEADERS, "200"));
        let (mut window, mut sent) = (256 * 1024, 0);
        let piece = vec![b'x'; 16_384];
        while sent < ALL {
            if window >= piece.len() {
                server.send(data(stream, flag::NONE, &piece));
                (window, sent) = (window - piece.len(), sent + piece.len());
                continue;
            }
            tell(sent);
            loop {
                let update = server.frame(kind::WINDOW_UPDATE)?;
                if update.stream == stream {
                    window += usize::try_from(update.number(0)).unwrap();
                    break;
                }
            }
        }
        Ok(())
    });
    let evenkeel = balancer(&[server]);
    let mut client = Client::slow_reader(evenkeel.address());
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    let (mut sent, mut since) = (0, Instant::now());
    eventually("the server sends no more", || {
        while let Ok(more) = told.try_recv() {
            (sent, since) = (more, Instant::now());
        }
        sent > 0 && since.elapsed() > ms(700)
    });
    // What the kernel holds for the client counts as sent.
    assert!(sent < ALL / 4, "{sent} bytes");
    drop(client);
}

/// Takes what comes, and gives back the windows of it; says which streams have ended.
fn taking(server: &mut Serving<'_>, tell: &dyn Fn(u32)) -> Result<(), Fault> {
    loop {
        let Frame { kind: type_, stream, payload, flags } = server.next()?;
        if type_ != kind::DATA {
            continue;
        }
        if let Ok(size @ 1..) = u32::try_from(payload.len()) {
            server.send([window_update(0, size), window_update(stream, size)].concat());
        }
        if flags & flag::END_STREAM != 0 {
            server.send(status(stream, flag::WHOLE, "200"));
            tell(stream);
        }
    }
}

#[test]
fn uploads_share_the_window_of_their_connection() {
    const SHORT: usize = 1 << 20;
    let (server, told) = telling(taking);
    let evenkeel = balancer(&[server]);
    // Two that never end, and fill whatever window there is.
    let endless: Vec<_> = (0..2)
        .map(|_| {
            let mut client = evenkeel.client();
            client.send("POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n");
            let chunk = [b"8000\r\n".as_slice(), &[b'x'; 0x8000], b"\r\n"].concat();
            thread::spawn(move || while client.send(&chunk) {})
        })
        .collect();
    eventually("they are under way", || evenkeel.metric("evenkeel_backend_in_flight", &[]) == 2.0);
    for _ in 0..3 {
        let head = format!("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: {SHORT}\r\n\r\n");
        let mut client = evenkeel.client();
        client.send([head.as_bytes(), &vec![b'y'; SHORT]].concat());
        assert_eq!(client.answer("POST").status, 200);
        heard(&told);
    }
    drop(evenkeel);
    endless.into_iter().for_each(|client| client.join().unwrap());
}

#[test]
fn a_server_that_breaks_the_rules_is_named_with_the_rule() {
    let upper =
        |stream| headers(stream, flag::WHOLE, [literal(":status", "200"), literal("X-Upper", "1")].concat());
    let connection = |stream| {
        headers(stream, flag::WHOLE, [literal(":status", "200"), literal("connection", "close")].concat())
    };
    let without = |stream| headers(stream, flag::WHOLE, literal("x-status", "200"));
    type Answer = fn(u32) -> Vec<u8>;
    let cases: [(Answer, &str); 3] = [
        (upper, "an invalid field name"),
        (connection, "a field that belongs to a connection of HTTP/1.1"),
        (without, "no :status"),
    ];
    for (answer, why) in cases {
        let server = serving(move |wire| {
            let mut server = Serving::greet(wire)?;
            loop {
                let stream = server.frame(kind::HEADERS)?.stream;
                server.send(answer(stream));
            }
        });
        let evenkeel = balancer(&[server]);
        assert_eq!(evenkeel.get("/").status, 502, "{why}");
        let record = evenkeel.record(|record| record["status"] == 502);
        assert!(record["reason"].as_str().is_some_and(|detail| detail.contains(why)), "{why}: {record}");
    }
}

#[test]
fn trailers_beyond_the_limits_are_not_passed_on_in_part() {
    let server = serving(|wire| {
        let mut server = Serving::greet(wire)?;
        loop {
            let stream = server.frame(kind::HEADERS)?.stream;
            server.send(status(stream, flag::END_HEADERS, "200"));
            server.send(data(stream, flag::NONE, "page"));
            let many: Vec<u8> = (0..3000).flat_map(|at| literal(&format!("x-{at}"), "1")).collect();
            let (first, rest) = many.split_at(16_000);
            server.send(headers(stream, flag::END_STREAM, first));
            for (at, part) in rest.chunks(16_000).enumerate() {
                let is_last = (at + 1) * 16_000 >= rest.len();
                let flags = if is_last { flag::END_HEADERS } else { flag::NONE };
                server.send(frame(kind::CONTINUATION, flags, stream, part));
            }
        }
    });
    let evenkeel = balancer(&[server]);
    for _ in 0..2 {
        let mut client = evenkeel.client();
        client.send("GET / HTTP/1.1\r\nhost: test\r\nte: trailers\r\nconnection: te\r\n\r\n");
        let seen = client.until_end().unwrap_or_default();
        assert!(!seen.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&seen));
        let record = evenkeel.record(|record| record["ended"] == "backend_aborted");
        assert_eq!(
            record["status"].as_u64(),
            Some(200).filter(|_| !seen.starts_with(b"HTTP/1.1 502")).or(Some(502))
        );
    }
}
