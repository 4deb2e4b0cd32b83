//! Both roles of HTTP/2 against each other, by a script: neither blames the other, until a byte on the way is changed.
#![no_main]

use evenkeel_http2::{Code, Config, Connection, Event, Head, HeadKind, Request, StreamId};
use evenkeel_types::Time;
use libfuzzer_sys::fuzz_target;

/// One side, and the streams that it knows.
struct Side {
    connection: Connection,
    head: Head,
    streams: Vec<StreamId>,
}

impl Side {
    fn new(connection: Connection) -> Self {
        Self { connection, head: Head::new(), streams: Vec::new() }
    }

    fn stream(&self, at: u8) -> Option<StreamId> {
        let count = self.streams.len();
        (count > 0).then(|| self.streams[usize::from(at) % count])
    }

    /// Takes `input`; false if the peer is to blame.
    fn hear(&mut self, input: &[u8], now: Time) -> bool {
        let mut taken = 0;
        loop {
            let Ok(received) = self.connection.receive(&input[taken..], &mut self.head, now) else {
                return false;
            };
            taken += received.taken;
            match received.event {
                Some(Event::Head { stream, kind: HeadKind::Request, .. }) => self.streams.push(stream),
                Some(Event::Data { stream, data, .. }) => self.connection.consume(stream, data.len()),
                Some(_) => {}
                None => return true,
            }
        }
    }
}

fuzz_target!(|script: &[u8]| {
    let mut now = Time::from_millis(1);
    let mut client = Side::new(Connection::client(Config::client(), now));
    let mut server = Side::new(Connection::server(Config::server(), now));
    let mut is_honest = true;
    let fields = [(b"x-test".as_slice(), b"value".as_slice())];
    for step in script.chunks_exact(3) {
        let [act, at, value] = [step[0], step[1], step[2]];
        let body = vec![at; usize::from(value) * 100];
        match act % 12 {
            0 => {
                let request = Request {
                    method: b"POST",
                    scheme: b"https",
                    authority: b"test",
                    path: b"/x",
                    protocol: b"",
                };
                client.streams.extend(client.connection.request(&request, fields, value == 0));
            }
            1 | 2 => {
                let side = if act % 12 == 1 { &mut client } else { &mut server };
                if let Some(stream) = side.stream(at) {
                    let _ = side.connection.send_data(stream, &body, value & 1 == 0);
                    let _ = side.connection.may_send(stream);
                }
            }
            3 => {
                if let Some(stream) = server.stream(at) {
                    let _ = server.connection.respond(stream, 200, fields, value == 0);
                }
            }
            4 => {
                let side = if value & 1 == 0 { &mut client } else { &mut server };
                if let Some(stream) = side.stream(at) {
                    let _ = side.connection.trailers(stream, fields);
                }
            }
            5 => {
                let side = if value & 1 == 0 { &mut client } else { &mut server };
                if let Some(stream) = side.stream(at) {
                    side.connection.reset(stream, Code::CANCEL);
                }
            }
            6 => server.connection.leave(now),
            7 => {
                now = Time::from_millis(now.as_nanos() / 1_000_000 + u64::from(value));
                let _ = server.connection.handle_timeout(now);
                let _ = client.connection.handle_timeout(now);
            }
            8 => {
                client.connection.shrink();
                server.connection.shrink();
            }
            9 => while server.connection.next_writable().is_some() {},
            way => {
                let (from, to) =
                    if way == 10 { (&mut client, &mut server) } else { (&mut server, &mut client) };
                let mut bytes = from.connection.output().to_vec();
                from.connection.sent(bytes.len());
                if value == 255 && !bytes.is_empty() {
                    let at = usize::from(at) % bytes.len();
                    bytes[at] ^= 0x55;
                    is_honest = false;
                }
                let heard = to.hear(&bytes, now);
                // Time alone may end an honest connection, and so may what exceeds a budget.
                let error = to.connection.error();
                let is_fault = matches!(error, Some(evenkeel_http2::ConnectionError::PeerMisbehaved { .. }));
                assert!(heard || !is_honest || !is_fault, "{error:?}");
            }
        }
    }
});
