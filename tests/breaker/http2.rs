//! Limits of a pool whose clients or servers speak HTTP/2: it is streams that wait, are refused and leave.

use std::collections::HashMap;

use super::max_connections::{ask, pool_of};
use crate::support::h2::frames::{Code, flag, headers, kind, rst_stream};
use crate::support::h2::{Peer, balancer, fields};
use crate::support::{Evenkeel, Gate, Origin, answer, eventually, ok};

/// Holds `/hold` until the gate opens.
fn holding(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |request, wire| {
        if request.target() == "/hold" {
            gate.wait();
        }
        wire.send(ok("a"));
    })
}

/// A client with several streams on one connection.
struct Streams {
    peer: Peer,
    decoder: loona_hpack::Decoder<'static>,
    next: u32,
}

impl Streams {
    fn connect(evenkeel: &Evenkeel) -> Self {
        Self { peer: Peer::greeted(evenkeel.client()), decoder: loona_hpack::Decoder::new(), next: 1 }
    }

    /// Asks over a stream of its own; returns which.
    fn ask(&mut self, target: &'static str) -> u32 {
        let stream = self.next;
        self.next += 2;
        let [method, scheme, _, authority] = fields::GET;
        let block = fields::block(&[method, scheme, (":path", target), authority]);
        self.peer.send(headers(stream, flag::WHOLE, block)).unwrap();
        stream
    }

    /// The fields of the next head that comes, and on which stream.
    fn head(&mut self) -> (u32, HashMap<String, String>) {
        let head = self.peer.frame(kind::HEADERS).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let fields = self.decoder.decode(&head.payload).unwrap();
        (head.stream, fields.iter().map(|(name, value)| (text(name), text(value))).collect())
    }

    /// The next head is on this stream and has this status.
    #[track_caller]
    fn answered(&mut self, stream: u32, status: &str) -> HashMap<String, String> {
        let (on, head) = self.head();
        assert_eq!((on, head[":status"].as_str()), (stream, status), "{head:?}");
        head
    }
}

fn waiting(evenkeel: &Evenkeel) -> f64 {
    evenkeel.metric("evenkeel_queue_length", &[])
}

fn nothing_is_left(evenkeel: &Evenkeel) {
    eventually("nothing is left in flight", || {
        waiting(evenkeel) == 0.0
            && evenkeel.metric("evenkeel_backend_in_flight", &[]) == 0.0
            && evenkeel.status()["pools"][0]["breaker"]["in_flight"] == 0
    });
}

#[test]
fn a_stream_waits_for_a_place_while_its_connection_goes_on() {
    let gate = Gate::default();
    let server = holding(&gate);
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\npath = \"/direct\"\nrespond = {{ status = 204 }}\n[[route]]\npool = \"app\"\n{}",
        pool_of(&[&server], 1, "queue = { wait = \"15s\" }")
    ));
    let mut client = Streams::connect(&evenkeel);
    let held = client.ask("/hold");
    eventually("the place is taken", || server.count() == 1);
    let waits = client.ask("/");
    eventually("it waits", || waiting(&evenkeel) == 1.0);
    let direct = client.ask("/direct");
    client.answered(direct, "204");
    gate.open();
    client.answered(held, "200");
    client.answered(waits, "200");
    nothing_is_left(&evenkeel);
}

#[test]
fn a_stream_that_finds_no_place_is_answered_and_its_connection_goes_on() {
    for (keys, retry_after) in
        [("", "1"), ("queue = { wait = \"15s\" }\nbreaker = { max_pending = 1 }", "15")]
    {
        let gate = Gate::default();
        let server = holding(&gate);
        let evenkeel = Evenkeel::start(&pool_of(&[&server], 1, keys));
        let held = ask(&evenkeel, "/hold");
        eventually("the place is taken", || server.count() == 1);
        let queued = (!keys.is_empty()).then(|| ask(&evenkeel, "/"));
        eventually("the queue is full", || waiting(&evenkeel) == f64::from(queued.is_some()));
        let mut client = Streams::connect(&evenkeel);
        let refused = client.ask("/");
        assert_eq!(client.answered(refused, "503")["retry-after"], retry_after, "{keys}");
        gate.open();
        assert_eq!(held.join().unwrap().0, 200);
        nothing_is_left(&evenkeel);
        let served = client.ask("/");
        client.answered(served, "200");
        queued.into_iter().for_each(|queued| assert_eq!(queued.join().unwrap().0, 200));
    }
}

#[test]
fn a_stream_that_is_reset_while_it_waits_leaves_the_queue() {
    let gate = Gate::default();
    let server = holding(&gate);
    let evenkeel = Evenkeel::start(&pool_of(&[&server], 1, "queue = { wait = \"15s\" }"));
    let mut client = Streams::connect(&evenkeel);
    let held = client.ask("/hold");
    eventually("the place is taken", || server.count() == 1);
    let gone = client.ask("/gone");
    eventually("it waits", || waiting(&evenkeel) == 1.0);
    client.peer.send(rst_stream(gone, Code::CANCEL)).unwrap();
    eventually("it is forgotten", || waiting(&evenkeel) == 0.0);
    assert_eq!(evenkeel.metric("evenkeel_queue_refused_total", &["reason=\"gone\""]), 1.0);
    let next = client.ask("/");
    eventually("the next one waits", || waiting(&evenkeel) == 1.0);
    gate.open();
    client.answered(held, "200");
    client.answered(next, "200");
    assert!(server.requests().iter().all(|request| request.target() != "/gone"));
    nothing_is_left(&evenkeel);
}

#[test]
fn a_stream_that_is_reset_gives_its_place_to_who_waits() {
    let gate = Gate::default();
    let server = holding(&gate);
    let evenkeel = Evenkeel::start(&pool_of(&[&server], 1, "queue = { wait = \"15s\" }"));
    let mut client = Streams::connect(&evenkeel);
    let held = client.ask("/hold");
    eventually("the place is taken", || server.count() == 1);
    let next = client.ask("/");
    eventually("the next one waits", || waiting(&evenkeel) == 1.0);
    client.peer.send(rst_stream(held, Code::CANCEL)).unwrap();
    client.answered(next, "200");
    nothing_is_left(&evenkeel);
    gate.open();
}

#[test]
fn a_queued_request_leaves_with_its_connection() {
    let gate = Gate::default();
    let server = holding(&gate);
    let evenkeel = Evenkeel::start(&pool_of(&[&server], 1, "queue = { wait = \"15s\" }"));
    let held = ask(&evenkeel, "/hold");
    eventually("the place is taken", || server.count() == 1);
    for by_reset in [true, false] {
        let mut client = Streams::connect(&evenkeel);
        for _ in 0..3 {
            client.ask("/gone");
        }
        eventually("they wait", || waiting(&evenkeel) == 3.0);
        client.peer.leave(by_reset);
        eventually("they are forgotten", || waiting(&evenkeel) == 0.0);
    }
    gate.open();
    assert_eq!(held.join().unwrap().0, 200);
    assert!(server.requests().iter().all(|request| request.target() != "/gone"));
    nothing_is_left(&evenkeel);
}

/// The pool `app`, whose one server speaks HTTP/2: another balancer, `front`.
fn over_http2(front: &Evenkeel, keys: &str) -> Evenkeel {
    let address = front.address();
    Evenkeel::start(&format!(
        "[pool.app]\nprotocol = \"http2\"\nbackends = [{{ address = \"{address}\", name = \"front\" }}]\n{keys}\n"
    ))
}

#[test]
fn requests_to_a_server_of_http2_are_counted_though_they_share_a_connection() {
    let gate = Gate::default();
    let server = holding(&gate);
    let front = balancer(&server, "");
    let evenkeel = over_http2(&front, "breaker = { max_requests = 2 }");
    let held = [ask(&evenkeel, "/hold"), ask(&evenkeel, "/hold")];
    eventually("both places are taken", || server.count() == 2);
    assert_eq!(evenkeel.get("/").status, 503);
    assert_eq!(evenkeel.metric("evenkeel_breaker_refused_total", &["reason=\"max_requests\""]), 1.0);
    gate.open();
    held.into_iter().for_each(|request| assert_eq!(request.join().unwrap(), (200, "a".to_owned())));
    nothing_is_left(&evenkeel);
    assert_eq!(evenkeel.get("/").status, 200);
}

#[test]
fn a_server_of_http2_that_fails_opens_its_circuit_breaker() {
    let server = Origin::answering(|_| answer(503, "", "sick"));
    let front = balancer(&server, "");
    let keys = "server_breaker = { failures = \"50%\", requests_min = 3, open_for = \"1h\" }";
    let evenkeel = over_http2(&front, keys);
    (0..3).for_each(|_| assert_eq!(evenkeel.get("/").text(), "sick"));
    assert_eq!(evenkeel.server("app", "front")["breaker"], "open");
    assert_eq!(evenkeel.get("/").status, 503);
    assert_eq!(evenkeel.metric("evenkeel_breaker_refused_total", &["reason=\"servers_open\""]), 1.0);
    assert_eq!(server.count(), 3);
    nothing_is_left(&evenkeel);
}
