//! Flow control against a model: nothing is lost, nothing exceeds a window, no stream starves.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use evenkeel_http2::{Config, Connection, Event, Head, StreamId};
use fastrand::Rng;
use support::*;

/// Runs, each with a seed of its own, which a failure names.
const RUNS: u64 = 400;
const STEPS: usize = 250;
const MOST: i64 = (1 << 31) - 1;

/// A response that is being sent, and what the client has of it.
struct Sending {
    id: StreamId,
    body: Vec<u8>,
    sent: usize,
    has_ended: bool,
    got: Vec<u8>,
    is_complete: bool,
    /// Turns since it got some bytes, while it could.
    waited: usize,
}

/// The server, and what a client that counts knows of windows.
struct World {
    server: Connection,
    random: Rng,
    streams: BTreeMap<u32, Sending>,
    connection: i64,
    initial: i64,
    windows: BTreeMap<u32, i64>,
    next: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let config = Config {
            output_max: *random.choice([&2000, &20_000, &64_000]).unwrap(),
            settings: evenkeel_http2::Settings { max_concurrent_streams: 30, ..Config::server().settings },
            budget: evenkeel_http2::BudgetConfig { tokens: 1_000_000, ..<_>::default() },
            ..Config::server()
        };
        let mut server = Connection::server(config, NOW);
        assert_eq!(events(&mut server, &greeting()).1, None);
        drain(&mut server);
        let (streams, windows) = (BTreeMap::new(), BTreeMap::new());
        Self { server, random, streams, connection: 65_535, initial: 65_535, windows, next: 1 }
    }

    fn open(&mut self) {
        if self.server.active_streams() >= 25 {
            return;
        }
        let number = self.next;
        self.next += 2;
        let mut opened = None;
        let priority = ["u=0", "u=3, i", "u=7", "i", "u=1"];
        let mut head = get();
        if self.random.bool() {
            head.extend(block(&[("priority", self.random.choice(priority).unwrap())]));
        }
        let input = frame(HEADERS, WHOLE, number, &head);
        feed(&mut self.server, &input, &mut Head::new(), |server, _, event, _| {
            let Event::Head { stream, .. } = event else { panic!("{event:?}") };
            server.respond(stream, 200, [], false).unwrap();
            opened = Some(stream);
        })
        .unwrap();
        let body = (0..self.random.usize(1..100_000)).map(|at| (at as u32 * 7 + number) as u8).collect();
        let id = opened.unwrap();
        let sending =
            Sending { id, body, sent: 0, has_ended: false, got: Vec::new(), is_complete: false, waited: 0 };
        self.streams.insert(number, sending);
        self.windows.insert(number, self.initial);
        self.offer(number, false);
    }

    /// Offers some or all of what is left of a stream.
    fn offer(&mut self, number: u32, has_turn: bool) {
        let Some(sending) = self.streams.get_mut(&number).filter(|sending| !sending.has_ended) else {
            return;
        };
        // One that may not send is named when it may, whether it has offered data or has only asked.
        let asks = self.random.bool();
        if asks && self.server.may_send(sending.id).unwrap() == 0 {
            assert!(!has_turn, "a stream is named that may not send");
            return;
        }
        let before = self.server.output().len();
        let left = sending.body.len() - sending.sent;
        let len = if self.random.bool() { left } else { self.random.usize(1..=left) };
        let ends = len == left;
        let taken =
            self.server.send_data(sending.id, &sending.body[sending.sent..sending.sent + len], ends).unwrap();
        assert!(!asks || taken > 0, "a stream that may send could not");
        sending.sent += taken;
        sending.has_ended = ends && taken == len;
        self.look(before);
    }

    /// Follows what the server has written beyond `before`.
    fn look(&mut self, before: usize) {
        for seen in frames(&self.server.output()[before..]) {
            if seen.kind != DATA {
                continue;
            }
            let len = seen.payload.len() as i64;
            self.connection -= len;
            let window = self.windows.get_mut(&seen.stream).unwrap();
            *window -= len;
            assert!(len == 0 || self.connection >= 0 && *window >= 0, "a window is exceeded");
            assert!(len <= 16_384);
            let sending = self.streams.get_mut(&seen.stream).unwrap();
            assert!(!sending.is_complete, "data behind the end");
            sending.got.extend(&seen.payload);
            sending.is_complete = seen.has(END_STREAM);
            sending.waited = 0;
        }
    }

    /// Gives a turn to the stream that the server names; false if it names none.
    fn turn(&mut self) -> bool {
        let Some(id) = self.server.next_writable() else { return false };
        let number = id.number();
        let can_send = |sending: &&mut Sending| !sending.has_ended && sending.sent > 0;
        for sending in self.streams.values_mut().filter(can_send) {
            sending.waited += usize::from(self.windows[&sending.id.number()] > 0);
        }
        let (own, shared) = (self.windows[&number], self.connection);
        assert!(own > 0 && shared > 0, "stream {number} has its turn with windows of {own} and {shared}");
        self.offer(number, true);
        true
    }

    fn receive(&mut self, input: &[u8]) {
        let (events, error) = events(&mut self.server, input);
        assert_eq!(error, None);
        for event in events {
            if let Event::Reset { stream, .. } = event {
                self.streams.remove(&stream.number());
            }
        }
    }

    fn step(&mut self) {
        let any = self.streams.keys().nth(self.random.usize(..self.streams.len().max(1))).copied();
        match (self.random.u8(..12), any) {
            (0 | 1, _) | (_, None) => self.open(),
            (2 | 3, _) => {
                let by = self.random.i64(1..50_000).min(MOST - self.connection);
                if by > 0 {
                    self.connection += by;
                    self.receive(&window_update(0, by as u32));
                }
            }
            (4 | 5, Some(number)) => {
                let by = self.random.i64(1..50_000);
                *self.windows.get_mut(&number).unwrap() += by;
                self.receive(&window_update(number, by as u32));
            }
            (6, _) => {
                let initial = self.random.choice([0, 1, 100, 65_535, 200_000]).unwrap();
                for window in self.windows.values_mut() {
                    *window += initial - self.initial;
                }
                self.initial = initial;
                self.receive(&settings(&[(4, initial as u32)]));
            }
            (7, Some(number)) if self.random.u8(..4) == 0 => {
                self.receive(&rst_stream(number, 8));
                self.streams.remove(&number);
            }
            (8, Some(number)) => self.offer(number, false),
            (9, _) => {
                let len = self.random.usize(..=self.server.output().len());
                self.server.sent(len);
            }
            _ => {
                self.turn();
            }
        }
    }

    /// Opens all windows step by step; every stream must come to its end.
    fn finish(&mut self) {
        for sending in self.streams.values_mut() {
            sending.waited = 0;
        }
        for number in self.streams.keys().copied().collect::<Vec<_>>() {
            *self.windows.get_mut(&number).unwrap() += 300_000;
            self.receive(&window_update(number, 300_000));
            self.offer(number, false);
        }
        for _ in 0..10_000 {
            if self.streams.values().all(|sending| sending.is_complete) {
                break;
            }
            drain(&mut self.server);
            if self.connection < 20_000 {
                self.connection += 16_384;
                self.receive(&window_update(0, 16_384));
            }
            self.turn();
            let limit = 16 * (self.streams.len() + 2) * 8;
            for (number, sending) in self.streams.iter().filter(|(_, sending)| !sending.is_complete) {
                assert!(sending.waited <= limit, "stream {number} starves: {} turns", sending.waited);
            }
            // What was offered in part is offered in full by and by.
            let rest: Vec<u32> = self.streams.iter().filter(|(_, s)| !s.has_ended).map(|(n, _)| *n).collect();
            if !rest.is_empty() && self.random.bool() {
                let any = self.random.usize(..rest.len());
                self.offer(rest[any], false);
            }
        }
        for (number, sending) in &self.streams {
            assert!(
                sending.is_complete,
                "stream {number} has {} of {}",
                sending.got.len(),
                sending.body.len()
            );
            assert_eq!(sending.got, sending.body, "stream {number}");
        }
        assert_eq!(self.server.active_streams(), 0);
    }
}

#[test]
fn nothing_is_lost_nothing_exceeds_a_window_no_stream_starves() {
    for seed in 0..RUNS {
        let run = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..STEPS {
                world.step();
            }
            world.finish();
        });
        assert!(run.is_ok(), "seed {seed}");
    }
}
