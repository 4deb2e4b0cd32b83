//! Most streams ask for what one server answers at once. Whatever comes in the way, they get what other requests get.

use std::collections::HashMap;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::h2::frames::{
    Code, Frame, data, flag, headers, kind, rst_stream, setting, settings, window_update,
};
use crate::support::h2::{Peer, balancer, fields};
use crate::support::{Client, Evenkeel, Gate, Origin, answer, chunked, eventually, ok, pool};

/// A client that asks over one stream after the other.
struct Streams {
    peer: Peer,
    blocks: fields::Blocks,
    next: u32,
}

/// What came over a stream, up to its end.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    /// Heads and trailers, without what differs from request to request.
    heads: Vec<Vec<(String, String)>>,
    body: Vec<u8>,
    reset: Option<u32>,
}

impl Streams {
    fn over(client: Client) -> Self {
        Self { peer: Peer::greeted(client), blocks: fields::Blocks::new(), next: 1 }
    }

    /// Asks for `target`; yields the stream.
    fn ask(&mut self, method: &'static str, target: &str, more: &[fields::Field], body: Option<&str>) -> u32 {
        let stream = self.next;
        self.next += 2;
        let of_target = [fields::literal(":method", method), fields::literal(":path", target)].concat();
        let rest: Vec<fields::Field> = [fields::GET[1], fields::GET[3]].iter().chain(more).copied().collect();
        let block = [of_target, fields::block(&rest)].concat();
        // In one piece: most clients have all of a small request there at once.
        let bytes = match body {
            None => headers(stream, flag::WHOLE, block),
            Some(body) => {
                [headers(stream, flag::END_HEADERS, block), data(stream, flag::END_STREAM, body)].concat()
            }
        };
        self.peer.send(bytes).unwrap();
        stream
    }

    fn get(&mut self, target: &str) -> u32 {
        self.ask("GET", target, &[], None)
    }

    /// The next frame of a stream.
    fn frame(&mut self) -> Frame {
        self.peer.first(|frame| frame.stream > 0 && frame.kind != kind::WINDOW_UPDATE).unwrap()
    }

    /// What comes over this stream up to its end, where nothing comes over others.
    #[track_caller]
    fn end(&mut self, stream: u32) -> Seen {
        let mut all = self.ends(&[stream]);
        all.remove(&stream).unwrap()
    }

    /// What comes over these streams up to their ends.
    #[track_caller]
    fn ends(&mut self, streams: &[u32]) -> HashMap<u32, Seen> {
        let mut seen: HashMap<u32, Seen> = streams.iter().map(|stream| (*stream, Seen::default())).collect();
        let mut open = streams.len();
        while open > 0 {
            let frame = self.frame();
            let of = seen.get_mut(&frame.stream).expect("one of these streams");
            match frame.kind {
                kind::HEADERS => {
                    let mut head = self.blocks.read(&frame.payload);
                    head.retain(|(name, value)| {
                        !["date", "x-request-id"].contains(&name.as_str())
                            || ["now", "theirs"].contains(&value.as_str())
                    });
                    of.heads.push(head);
                }
                kind::DATA => of.body.extend(&frame.payload),
                kind::RST_STREAM => of.reset = Some(frame.number(0)),
                _ => continue,
            }
            let ends = frame.kind == kind::RST_STREAM || frame.has(flag::END_STREAM);
            open -= usize::from(ends);
        }
        seen
    }
}

impl Seen {
    /// The status of the final head.
    fn status(&self) -> &str {
        let mut statuses = self.heads.iter().flat_map(|head| fields::values(head, ":status"));
        statuses.rfind(|status| !status.starts_with('1')).unwrap_or_default()
    }
}

/// Requests, of which the first segment of the path says how they are answered.
const REQUESTS: [(&str, &str, &[fields::Field], Option<&str>); 19] = [
    ("GET", "/ok?a=1&b", &[("user-agent", "me"), ("referer", "there"), ("accept", "*/*")], None),
    ("GET", "/ok", &[("x-forwarded-for", "1.2.3.4"), ("te", "trailers"), ("x-request-id", "mine")], None),
    ("GET", "/ok", &[("cookie", "a=1"), ("cookie", "b=2")], None),
    ("HEAD", "/ok", &[], None),
    ("POST", "/ok", &[("content-length", "5")], Some("hello")),
    ("POST", "/ok", &[], Some("hello")),
    ("POST", "/ok", &[("content-length", "0")], None),
    ("PUT", "/ok", &[], None),
    ("GET", "/ok", &[], Some("")),
    ("GET", "/fields", &[], None),
    ("GET", "/empty", &[], None),
    ("GET", "/unmodified", &[], None),
    ("GET", "/chunked", &[], None),
    ("HEAD", "/chunks", &[], None),
    ("GET", "/chunks", &[], None),
    ("GET", "/no-chunks", &[], None),
    ("GET", "/spelled", &[], None),
    ("GET", "/interim", &[], None),
    ("GET", "/error", &[], None),
];

fn respond(path: &str) -> String {
    match path {
        "/fields" => answer(
            404,
            "Date: now\r\nX-Request-Id: theirs\r\nConnection: keep-alive, x-theirs\r\nX-Theirs: 1\r\nKeep-Alive: 5\r\npriority: u=1\r\nserver:  x \r\n",
            "gone",
        ),
        "/empty" => "HTTP/1.1 204 No Content\r\nx: 1\r\n\r\n".into(),
        "/unmodified" => "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\netag: \"e\"\r\n\r\n".into(),
        "/chunked" => {
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: 1\r\n\r\n".into()
        }
        "/chunks" => chunked(&["abc", &"0".repeat(1_000), "\r\n"], ""),
        "/no-chunks" => chunked(&[], ""),
        "/spelled" => {
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0A;x\r\n0123456789\r\n0\r\n\r\n".into()
        }
        "/interim" => format!("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n{}", ok("late")),
        "/error" => answer(500, "", "wrong"),
        _ => ok("fine"),
    }
}

/// An answer, what the server got for it, and the log's line, without what differs from request to request.
fn see(
    evenkeel: &Evenkeel,
    listener: &str,
    origin: &Origin,
    client: &mut Streams,
    (method, target, more, body): (&'static str, &str, &[fields::Field], Option<&str>),
    n: usize,
) -> (Seen, String, Value) {
    // The query tells this request from the others in the log.
    let mark = format!("{}n={n}", if target.contains('?') { "&" } else { "?" });
    let stream = client.ask(method, &format!("{target}{mark}"), more, body);
    let seen = client.end(stream);
    let is_this = |record: &Value| {
        record["target"].as_str().is_some_and(|target| target.ends_with(&mark))
            && record["listener"] == listener
    };
    let mut log = evenkeel.record(is_this);
    let differs =
        ["time", "client_port", "duration_ms", "connect_ms", "first_byte_ms", "request_id", "listener"];
    differs.iter().for_each(|key| log[*key] = Value::Null);
    let asked = String::from_utf8(origin.last().raw).unwrap();
    let asked = asked
        .lines()
        .filter(|line| !line.starts_with("x-request-id: ") && !line.starts_with("x-forwarded-port: "));
    (seen, asked.collect::<Vec<_>>().join("\n"), log)
}

#[test]
fn a_plain_stream_gets_what_it_would_get_in_the_general_path() {
    let origin = Origin::answering(|request| {
        let whole = respond(request.target().split('?').next().unwrap());
        let head = whole.find("\r\n\r\n").unwrap() + 4;
        if request.method() == "HEAD" { whole[..head].into() } else { whole }
    });
    // A listener that serves clients whose side has ended is none for plain exchanges.
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\n\
         [listener.other]\nbind = [\"127.0.0.1:0\"]\nhalf_close = \"serve\"\n\
         [[route]]\nname = \"all\"\npool = \"app\"\n{}",
        pool(&[&origin], "")
    ));
    let mut plain = Streams::over(evenkeel.client());
    let first = plain.get("/ok");
    assert_eq!(plain.end(first).body, b"fine", "a connection to the server is kept from here on");
    let mut other = Streams::over(Client::connect(evenkeel.listener("other")));
    for (n, request) in REQUESTS.into_iter().enumerate() {
        let one = see(&evenkeel, "web", &origin, &mut plain, request, n);
        let two = see(&evenkeel, "other", &origin, &mut other, request, n);
        assert_eq!(one, two, "{request:?}");
        assert!(!one.0.status().is_empty(), "{request:?}: {one:?}");
    }
    assert_eq!(origin.connections(), 1);
}

/// Answers at once, but what begins with `/held` only when the gate opens.
fn holding(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |request, wire| {
        if request.target().starts_with("/held") {
            gate.wait();
        }
        wire.send(ok("done"));
    })
}

#[test]
fn a_stream_that_is_reset_while_its_server_works_takes_its_request_along_and_no_other() {
    let gate = Gate::default();
    let (theirs, others) = (gate.clone(), Gate::default());
    let held = others.clone();
    let origin = Origin::start(move |request, wire| match request.target() {
        "/slow" => {
            assert!(wire.hold(), "the connection is closed");
            theirs.open();
        }
        "/held" => {
            held.wait();
            wire.send(ok("held"));
        }
        _ => {
            wire.send(ok("quick"));
        }
    });
    let evenkeel = balancer(&origin, "");
    let mut client = Streams::over(evenkeel.client());
    // Two kept connections to the server.
    let streams = [client.get("/1"), client.get("/2")];
    client.ends(&streams);
    let (slow, other) = (client.get("/slow"), client.get("/held"));
    eventually("the server has both", || origin.count() == 4);
    client.peer.send(rst_stream(slow, Code::CANCEL)).unwrap();
    gate.wait();
    let record = evenkeel.record(|record| record["target"] == "/slow");
    assert_eq!((&record["ended"], &record["tries"]), (&"client_aborted".into(), &1.into()), "{record}");
    others.open();
    let seen = client.end(other);
    assert_eq!((seen.status(), seen.body.as_slice()), ("200", b"held".as_slice()));
    let after = client.get("/after");
    assert_eq!(client.end(after).body, b"quick");
    assert_eq!(evenkeel.metric("evenkeel_requests_in_flight", &[]), 0.0);
}

#[test]
fn a_client_that_leaves_takes_all_its_requests_along() {
    let gate = Gate::default();
    let origin = holding(&gate);
    let evenkeel = balancer(&origin, "");
    for by_reset in [false, true] {
        let mut client = Streams::over(evenkeel.client());
        let first = client.get("/first");
        client.end(first);
        let before = origin.count();
        for _ in 0..5 {
            client.get(if by_reset { "/held/reset" } else { "/held/closed" });
        }
        eventually("the server has them", || origin.count() == before + 5);
        client.peer.leave(by_reset);
        eventually("all have ended", || evenkeel.metric("evenkeel_requests_in_flight", &[]) == 0.0);
    }
    let record = evenkeel.record(|record| record["target"] == "/held/reset");
    assert_eq!(record["ended"], "client_aborted", "{record}");
    gate.open();
}

#[test]
fn a_server_that_dies_over_a_kept_connection_is_made_good_where_that_may_be() {
    let origin = Origin::start(|request, wire| {
        // What came first over its connection is answered.
        if request.target() == "/first" || request.target() == "/again" && request.connection > 0 {
            wire.send(ok("good"));
        } else {
            wire.close();
        }
    });
    let evenkeel = balancer(&origin, "");
    let mut client = Streams::over(evenkeel.client());
    let first = client.get("/first");
    assert_eq!(client.end(first).body, b"good");
    let again = client.get("/again");
    let seen = client.end(again);
    assert_eq!((seen.status(), seen.body.as_slice()), ("200", b"good".as_slice()));
    let post = client.ask("POST", "/post", &[("content-length", "5")], Some("hello"));
    assert_eq!(client.end(post).status(), "502");
    assert_eq!(origin.requests().iter().filter(|request| request.target() == "/post").count(), 1);
    let record = evenkeel.record(|record| record["target"] == "/post");
    assert_eq!((&record["ended"], &record["bytes_in"]), (&"backend_aborted".into(), &5.into()), "{record}");
}

#[test]
fn a_small_body_goes_to_the_next_server_once_more() {
    let bad = Origin::start(|request, wire| {
        if request.target() == "/first" {
            wire.send(ok("first"));
        } else {
            wire.close();
        }
    });
    let good = Origin::named("good");
    let evenkeel = Evenkeel::start(&pool(&[&bad, &good], ""));
    let mut client = Streams::over(evenkeel.client());
    // A kept connection to both.
    let streams = [client.get("/first"), client.get("/first"), client.get("/first"), client.get("/first")];
    client.ends(&streams);
    for _ in 0..4 {
        let put = client.ask("PUT", "/put", &[("content-length", "11")], Some("hello world"));
        assert_eq!(client.end(put).body, b"good");
    }
    let bodies: Vec<String> = good
        .requests()
        .iter()
        .filter(|request| request.target() == "/put")
        .map(|request| request.body.text().to_owned())
        .collect();
    assert_eq!(bodies, ["hello world"; 4]);
    assert!(bad.requests().iter().any(|request| request.target() == "/put"));
}

#[test]
fn an_answer_larger_than_the_windows_goes_out_as_they_open() {
    let origin = Origin::named("0123456789");
    let evenkeel = balancer(&origin, "");
    let mut client = Streams::over(evenkeel.client());
    client.peer.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 4)])).unwrap();
    client.peer.settings_ack().unwrap();
    for _ in 0..3 {
        let stream = client.get("/");
        let (head, piece) = (client.frame(), client.frame());
        client.blocks.read(&head.payload);
        assert_eq!((head.kind, piece.payload.as_slice()), (kind::HEADERS, b"0123".as_slice()));
        assert!(!piece.has(flag::END_STREAM));
        for (increment, expected) in [(5, "45678"), (1, "9")] {
            client.peer.send(window_update(stream, increment)).unwrap();
            let piece = client.frame();
            assert_eq!(piece.payload, expected.as_bytes());
            assert_eq!(piece.has(flag::END_STREAM), expected == "9");
        }
    }
    let record = evenkeel.record(|record| record["bytes_out"] == 10);
    assert_eq!(record["ended"], "complete", "{record}");
}

#[test]
fn an_answer_waits_where_the_window_of_the_connection_is_used_up() {
    const LENGTH: usize = 10_000;
    let origin = Origin::bytes(ok(&"x".repeat(LENGTH)));
    let evenkeel = balancer(&origin, "");
    let mut client = Streams::over(evenkeel.client());
    // Of 65,535 bytes, six answers and a half.
    let streams: Vec<u32> = (0..8).map(|_| client.get("/")).collect();
    let (mut taken, mut ended) = (0, 0);
    while taken < 65_535 {
        let frame = client.frame();
        taken += if frame.kind == kind::DATA { frame.payload.len() } else { 0 };
        ended += usize::from(frame.has(flag::END_STREAM));
    }
    assert_eq!((taken, ended), (65_535, 6), "of streams {streams:?}");
    client.peer.send(window_update(0, 1 << 20)).unwrap();
    while ended < 8 {
        let frame = client.frame();
        taken += if frame.kind == kind::DATA { frame.payload.len() } else { 0 };
        ended += usize::from(frame.has(flag::END_STREAM));
    }
    assert_eq!(taken, 8 * LENGTH);
}

#[test]
fn a_client_that_opens_no_window_is_given_up_on_its_stream_alone() {
    let origin = Origin::named("0123456789");
    let evenkeel = balancer(&origin, "timeout = { write = \"300ms\" }");
    let mut client = Streams::over(evenkeel.client());
    let first = client.get("/first");
    client.end(first);
    client.peer.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 4)])).unwrap();
    client.peer.settings_ack().unwrap();
    let stream = client.get("/late");
    let seen = client.end(stream);
    assert_eq!((seen.status(), seen.body.as_slice()), ("200", b"0123".as_slice()));
    assert_eq!(seen.reset, Some(Code::CANCEL.0));
    let record = evenkeel.record(|record| record["target"] == "/late");
    assert_eq!(record["ended"], "client_timeout", "{record}");
    client.peer.send(settings(&[(setting::INITIAL_WINDOW_SIZE, 1000)])).unwrap();
    client.peer.settings_ack().unwrap();
    let after = client.get("/after");
    assert_eq!(client.end(after).body, b"0123456789");
}

#[test]
fn a_server_that_is_silent_costs_its_stream_alone() {
    let gate = Gate::default();
    let origin = holding(&gate);
    let listener = "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\nhttp = [\"2\"]\n";
    let evenkeel =
        Evenkeel::start(&(listener.to_owned() + &pool(&[&origin], "timeout.response = \"300ms\"")));
    let mut client = Streams::over(evenkeel.client());
    let first = client.get("/first");
    client.end(first);
    let (silent, other) = (client.get("/held"), client.get("/other"));
    let seen = client.ends(&[silent, other]);
    assert_eq!((seen[&silent].status(), seen[&other].status()), ("504", "200"));
    let record = evenkeel.record(|record| record["target"] == "/held");
    assert_eq!(record["ended"], "backend_timeout", "{record}");
    gate.open();
    let after = client.get("/after");
    assert_eq!(client.end(after).status(), "200");
}

#[test]
fn streams_that_wait_when_the_process_leaves_get_their_answers() {
    let gate = Gate::default();
    let origin = holding(&gate);
    let mut evenkeel = balancer(&origin, "");
    let mut client = Streams::over(evenkeel.client());
    let first = client.get("/first");
    client.end(first);
    let streams: Vec<u32> = (0..5).map(|_| client.get("/held")).collect();
    eventually("the server has them", || origin.count() == 6);
    evenkeel.signal(Signal::TERM);
    client.peer.frame(kind::GOAWAY).unwrap();
    gate.open();
    let seen = client.ends(&streams);
    assert!(seen.values().all(|seen| seen.status() == "200" && seen.body == b"done"), "{seen:?}");
    drop(client);
    assert_eq!(evenkeel.wait_exit().code(), Some(0));
}
