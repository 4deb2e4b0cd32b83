//! The role of a client against that of a server, in memory, by random scripts: what one side says the other one hears.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use evenkeel_http2::{Code, CommandError, Config, Connection, Event, Head, HeadKind, Request, StreamId};
use proptest::prelude::*;
use support::*;

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// The client makes a request with a body of so many bytes; `None` without one.
    Request(Option<usize>),
    /// The server answers a request with so many bytes, and with trailers if so.
    Respond(usize, usize, bool),
    Interim(usize),
    /// Either side gives a stream up.
    ResetByClient(usize),
    ResetByServer(usize),
    /// What is written so far arrives, in pieces of so many bytes.
    ToServer(usize),
    ToClient(usize),
    Ping,
    Leave,
    Shrink,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => prop::option::of(0..200_000usize).prop_map(Step::Request),
        4 => (any::<usize>(), 0..200_000usize, any::<bool>()).prop_map(|(at, len, trailers)| Step::Respond(at, len, trailers)),
        1 => any::<usize>().prop_map(Step::Interim),
        1 => any::<usize>().prop_map(Step::ResetByClient),
        1 => any::<usize>().prop_map(Step::ResetByServer),
        6 => prop_oneof![1..50usize, 1..70_000usize].prop_map(Step::ToServer),
        6 => prop_oneof![1..50usize, 1..70_000usize].prop_map(Step::ToClient),
        1 => Just(Step::Ping),
        1 => prop::bool::weighted(0.1).prop_map(|leave| if leave { Step::Leave } else { Step::Shrink }),
    ];
    prop::collection::vec(step, 1..60)
}

/// What one side knows of a message that it sends.
#[derive(Debug)]
struct Outgoing {
    stream: StreamId,
    body: Vec<u8>,
    sent: usize,
    trailers: bool,
    is_done: bool,
}

/// What one side knows of a message that it receives.
#[derive(Debug, Default, PartialEq)]
struct Incoming {
    body: Vec<u8>,
    interim: usize,
    has_head: bool,
    has_trailers: bool,
    is_complete: bool,
}

/// One side.
struct Side {
    connection: Connection,
    head: Head,
    out: BTreeMap<u32, Outgoing>,
    seen: BTreeMap<u32, Incoming>,
    ids: BTreeMap<u32, StreamId>,
    reset: BTreeMap<u32, Code>,
    pongs: usize,
    /// Data that was not consumed yet.
    held: Vec<(StreamId, usize)>,
}

impl Side {
    fn new(connection: Connection) -> Self {
        let (out, seen, ids, reset) = <_>::default();
        Self { connection, head: Head::new(), out, seen, ids, reset, pongs: 0, held: Vec::new() }
    }

    fn hear(&mut self, input: &[u8], size: usize) {
        for piece in input.chunks(size) {
            let Self { connection, head, seen, ids, reset, pongs, held, out } = self;
            feed(connection, piece, head, |_, head, event, input| match event {
                Event::Head { stream, kind, ends } => {
                    ids.insert(stream.number(), stream);
                    let incoming = seen.entry(stream.number()).or_default();
                    match kind {
                        HeadKind::Interim => {
                            assert_eq!(head.status(), 103);
                            incoming.interim += 1;
                        }
                        HeadKind::Trailers => {
                            assert_eq!(head.field(b"x-sum"), Some(b"42".as_slice()));
                            incoming.has_trailers = true;
                        }
                        HeadKind::Request => {
                            assert_eq!(head.path(), Some(format!("/{}", stream.number()).as_bytes()));
                            assert_eq!(head.field(b"x-test"), Some(b"some value".as_slice()));
                            incoming.has_head = true;
                        }
                        HeadKind::Response => {
                            assert_eq!(head.status(), 200);
                            incoming.has_head = true;
                        }
                    }
                    incoming.is_complete = ends;
                }
                Event::Data { stream, data, ends } => {
                    held.push((stream, data.len()));
                    let incoming = seen.get_mut(&stream.number()).unwrap();
                    incoming.body.extend(&input[data]);
                    incoming.is_complete = ends;
                }
                Event::Reset { stream, error } => {
                    reset.insert(stream.number(), error.code());
                    out.remove(&stream.number());
                }
                Event::Pong { payload } => {
                    assert_eq!(payload, *b"rollcall");
                    *pongs += 1;
                }
                Event::Settings | Event::GoAway { .. } => {}
                other => panic!("{other:?}"),
            })
            .unwrap();
            for (stream, len) in self.held.drain(..) {
                self.connection.consume(stream, len);
            }
        }
    }

    /// Sends what the windows allow.
    fn pump(&mut self) {
        let waiting: Vec<u32> =
            self.out.iter().filter(|(_, out)| !out.is_done).map(|(number, _)| *number).collect();
        for number in waiting {
            self.offer(number);
        }
        while let Some(stream) = self.connection.next_writable() {
            self.offer(stream.number());
        }
    }

    fn offer(&mut self, number: u32) {
        let Some(out) = self.out.get_mut(&number).filter(|out| !out.is_done) else { return };
        let ends = !out.trailers;
        match self.connection.send_data(out.stream, &out.body[out.sent..], ends) {
            Ok(taken) => out.sent += taken,
            Err(error) => panic!("{error}: {out:?}"),
        }
        if out.sent == out.body.len() {
            out.is_done = true;
            if out.trailers {
                self.connection.trailers(out.stream, [(b"X-Sum".as_slice(), b"42".as_slice())]).unwrap();
            }
        }
    }
}

fn body(number: u32, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at as u32 ^ number) as u8).collect()
}

/// Both sides, and what was said.
struct World {
    client: Side,
    server: Side,
    requests: BTreeMap<u32, usize>,
    responses: BTreeMap<u32, (usize, bool)>,
    interims: BTreeMap<u32, usize>,
    pings: usize,
}

impl World {
    fn new() -> Self {
        let client = Side::new(Connection::client(Config::client(), NOW));
        let server = Side::new(Connection::server(Config::server(), NOW));
        let (requests, responses, interims) = <_>::default();
        Self { client, server, requests, responses, interims, pings: 0 }
    }

    fn step(&mut self, step: &Step) {
        let open = |world: &Self, at: usize| {
            let open: Vec<StreamId> = world
                .server
                .ids
                .values()
                .copied()
                .filter(|id| world.server.connection.is_open(*id))
                .collect();
            (!open.is_empty()).then(|| open[at % open.len()])
        };
        match step {
            Step::Request(len) => self.request(*len),
            Step::Respond(at, len, trailers) => {
                let Some(stream) = open(self, *at) else { return };
                self.respond(stream, *len, *trailers);
            }
            Step::Interim(at) => {
                let Some(stream) = open(self, *at).filter(|s| !self.responses.contains_key(&s.number()))
                else {
                    return;
                };
                self.server
                    .connection
                    .interim(stream, 103, [(b"link".as_slice(), b"</a>".as_slice())])
                    .unwrap();
                *self.interims.entry(stream.number()).or_default() += 1;
            }
            Step::ResetByClient(at) => {
                let streams: Vec<u32> = self.client.out.keys().copied().collect();
                let Some(number) = streams.get(at % streams.len().max(1)) else { return };
                let out = self.client.out.remove(number).unwrap();
                self.client.connection.reset(out.stream, Code::CANCEL);
                self.client.reset.insert(*number, Code::CANCEL);
            }
            Step::ResetByServer(at) => {
                let Some(stream) = open(self, *at) else { return };
                self.server.connection.reset(stream, Code::INTERNAL_ERROR);
                self.server.out.remove(&stream.number());
                self.server.reset.insert(stream.number(), Code::INTERNAL_ERROR);
            }
            Step::ToServer(size) => self.reach_server(*size),
            Step::ToClient(size) => self.reach_client(*size),
            Step::Ping => {
                self.client.connection.ping(*b"rollcall");
                self.pings += 1;
            }
            Step::Leave => self.server.connection.leave(NOW),
            Step::Shrink => {
                self.client.connection.shrink();
                self.server.connection.shrink();
            }
        }
    }

    fn request(&mut self, len: Option<usize>) {
        let number = self.requests.last_key_value().map_or(1, |(last, _)| last + 2);
        let path = format!("/{number}");
        let request = Request {
            method: if len.is_some() { b"POST" } else { b"GET" },
            scheme: b"https",
            authority: b"test",
            path: path.as_bytes(),
            protocol: b"",
        };
        let length = len.unwrap_or_default().to_string();
        let fields =
            [(b"X-Test".as_slice(), b"some value".as_slice()), (b"content-length", length.as_bytes())];
        match self.client.connection.request(&request, fields, len.is_none()) {
            Ok(stream) => {
                assert_eq!(stream.number(), number);
                let body = body(number, len.unwrap_or_default());
                let out = Outgoing { stream, body, sent: 0, trailers: false, is_done: len.is_none() };
                self.client.out.insert(number, out);
                self.requests.insert(number, len.unwrap_or_default());
                self.client.pump();
            }
            Err(error) => assert!(matches!(error, CommandError::Busy | CommandError::Leaving), "{error}"),
        }
    }

    fn respond(&mut self, stream: StreamId, len: usize, trailers: bool) {
        let number = stream.number();
        if self.responses.contains_key(&number) {
            return;
        }
        self.server
            .connection
            .respond(stream, 200, [(b"Content-Type".as_slice(), b"x/y".as_slice())], false)
            .unwrap();
        let out = Outgoing { stream, body: body(number + 1, len), sent: 0, trailers, is_done: false };
        self.server.out.insert(number, out);
        self.responses.insert(number, (len, trailers));
        self.server.pump();
    }

    fn reach_server(&mut self, size: usize) {
        let bytes = drain(&mut self.client.connection);
        self.server.hear(&bytes, size);
        self.client.pump();
        self.server.pump();
    }

    fn reach_client(&mut self, size: usize) {
        let bytes = drain(&mut self.server.connection);
        self.client.hear(&bytes, size);
        self.server.pump();
        self.client.pump();
    }

    /// Lets everything arrive, answers what is open, and compares what was said with what was heard.
    fn finish(mut self) {
        self.settle();
        for stream in self.server.ids.values().copied().collect::<Vec<_>>() {
            if self.server.connection.is_open(stream) {
                self.respond(stream, 10, false);
            }
        }
        self.settle();
        let resets =
            |number: &u32| self.client.reset.contains_key(number) || self.server.reset.contains_key(number);
        for (number, len) in self.requests.iter().filter(|(number, _)| !resets(number)) {
            let seen = &self.server.seen[number];
            assert!(
                seen.has_head && seen.is_complete && seen.body == body(*number, *len),
                "request {number}"
            );
            let (len, has_trailers) = self.responses[number];
            let interim = self.interims.get(number).copied().unwrap_or_default();
            let seen = &self.client.seen[number];
            let expected = Incoming {
                body: body(number + 1, len),
                interim,
                has_head: true,
                has_trailers,
                is_complete: true,
            };
            assert_eq!(*seen, expected, "response {number}");
        }
        assert_eq!(self.client.pongs, self.pings);
        assert_eq!(self.server.connection.active_streams(), 0);
        assert_eq!(self.client.connection.active_streams(), 0);
    }

    fn settle(&mut self) {
        for _ in 0..10_000 {
            let is_quiet = |side: &Side| side.connection.output().is_empty();
            if is_quiet(&self.client) && is_quiet(&self.server) {
                return;
            }
            self.reach_server(100_000);
            self.reach_client(100_000);
        }
        panic!("both sides never come to rest");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..<_>::default() })]

    #[test]
    fn what_one_side_says_the_other_hears(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.finish();
    }
}
