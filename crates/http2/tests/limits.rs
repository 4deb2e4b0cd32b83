//! What a peer may not do: floods, bombs, streams that are never finished; and what it must be allowed.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use evenkeel_http2::{
    Code, CommandError, Config, Connection, ConnectionError, Event, Head, HeadLimits, Pace, Request,
    Settings, StreamError,
};
use support::*;

const NO_FIELDS: [(&[u8], &[u8]); 0] = [];

fn server_with(config: &Config) -> Connection {
    let mut server = Connection::server(config, NOW);
    assert_eq!(events(&mut server, &greeting()).1, None);
    drain(&mut server);
    server
}

fn server() -> Connection {
    server_with(&Config::server())
}

/// Frames of a flood, one more at a time, until the connection ends; how many that took.
fn flood(server: &mut Connection, mut next: impl FnMut(u32) -> Vec<u8>) -> Option<(u32, ConnectionError)> {
    (0..20_000).find_map(|at| {
        let error = events(server, &next(at)).1;
        drain(server);
        error.map(|error| (at, error))
    })
}

#[track_caller]
fn assert_exceeded(cut: Option<(u32, ConnectionError)>, most: u32) {
    let (at, error) = cut.expect("the flood goes on");
    assert!(matches!(error, ConnectionError::PeerExceeded { .. }), "{error}");
    assert!(at <= most, "only after {at}");
}

#[test]
fn floods_of_frames_end_the_connection() {
    let cheap: [(&str, Vec<u8>); 7] = [
        ("SETTINGS", settings(&[])),
        ("PING", frame(PING, 0, 0, &[7; 8])),
        ("PONG", frame(PING, ACK, 0, &[7; 8])),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 0])),
        ("WINDOW_UPDATE", window_update(0, 1)),
        ("unknown", frame(0x33, 0, 0, b"")),
        ("PRIORITY_UPDATE", frame(0x10, 0, 0, b"\0\0\0\x01u=1")),
    ];
    for (name, bytes) in cheap {
        let cut = flood(&mut server(), |_| bytes.clone());
        assert_exceeded(cut, 4000);
        println!("{name}: {cut:?}");
    }
    for data in [frame(DATA, 0, 1, b""), frame(DATA, PADDED, 1, b"\x01\0"), frame(DATA, 0, 1, b"x")] {
        let mut server = server();
        events(&mut server, &frame(HEADERS, END_HEADERS, 1, &get()));
        assert_exceeded(flood(&mut server, |_| data.clone()), 4000);
    }
}

#[test]
fn resets_cost_the_same_from_either_side() {
    let post = [get(), block(&[("content-length", "1")])].concat();
    let asked = |id| frame(HEADERS, END_HEADERS, id, &post);
    type Wrong = (&'static str, fn(u32) -> Vec<u8>);
    let wrongs: [Wrong; 6] = [
        ("rapid reset", |id| rst_stream(id, 8)),
        ("a window beyond 2^31-1", |id| window_update(id, u32::MAX >> 1)),
        ("WINDOW_UPDATE by 0", |id| window_update(id, 0)),
        ("a dependency on itself", |id| frame(PRIORITY, 0, id, &[&id.to_be_bytes()[..], &[0]].concat())),
        ("DATA beyond content-length", |id| frame(DATA, 0, id, b"ab")),
        ("trailers without an end", |id| frame(HEADERS, END_HEADERS, id, &block(&[("x", "y")]))),
    ];
    for (name, wrong) in wrongs {
        let mut server = server();
        let cut = flood(&mut server, |at| [asked(2 * at + 1), wrong(2 * at + 1)].concat());
        println!("{name}");
        assert_exceeded(cut, 1000);
    }
    // Malformed and surplus requests never become streams, and cost as much.
    let bad = [get(), block(&[("connection", "close")])].concat();
    assert_exceeded(flood(&mut server(), |at| frame(HEADERS, WHOLE, 2 * at + 1, &bad)), 1000);
    assert_exceeded(flood(&mut server(), |at| asked(2 * at + 1)), 128 + 1000);
}

#[test]
fn a_stream_that_is_wrong_is_reported_with_its_reason_and_its_head() {
    let mut server = server();
    let mut head = Head::new();
    let bad = [get(), block(&[("upgrade", "x")])].concat();
    let mut seen = Vec::new();
    feed(&mut server, &frame(HEADERS, WHOLE, 1, &bad), &mut head, |_, head, event, _| {
        seen.push((event, head.path().unwrap().to_vec()));
    })
    .unwrap();
    let reason = "a field that belongs to a connection of HTTP/1.1";
    let error = StreamError::PeerMisbehaved { code: Code::PROTOCOL_ERROR, reason };
    assert_eq!(seen, [(Event::Refused { number: 1, error }, b"/".to_vec())]);
    assert_eq!(frames(server.output()), frames(&rst_stream(1, 1)));
}

#[test]
fn field_blocks_without_an_end_end_the_connection() {
    for piece in [b"".as_slice(), b"\x82", &[0x82; 8000]] {
        let mut server = server();
        events(&mut server, &frame(HEADERS, END_STREAM, 1, &get()));
        let (at, error) = flood(&mut server, |_| frame(CONTINUATION, 0, 1, piece)).unwrap();
        assert_eq!(error.code(), Code::ENHANCE_YOUR_CALM);
        assert!(at < 100, "{at} frames of {}", piece.len());
    }
}

#[test]
fn bombs_are_kept_small_and_leave_the_table_right() {
    let mut server = server();
    let entry = [b"\x40\x01x\x7f\xa1\x1e".as_slice(), &[b'a'; 4000]].concat();
    let bomb = [get(), entry, vec![0xbe; 10_000]].concat();
    let mut head = Head::new();
    let mut sizes = Vec::new();
    let input =
        [frame(HEADERS, WHOLE, 1, &bomb), frame(HEADERS, WHOLE, 3, &[get(), vec![0xbe]].concat())].concat();
    feed(&mut server, &input, &mut head, |_, head, _, _| {
        sizes.push((head.is_oversized(), head.section().len()));
    })
    .unwrap();
    assert_eq!(sizes.len(), 2);
    assert!(sizes[0].0 && sizes[0].1 <= HeadLimits::default().size, "{sizes:?}");
    assert_eq!(sizes[1], (false, "x: \r\n".len() + 4000));
    let crumbs = [get(), block(&[("cookie", "a")]).repeat(2000)].concat();
    feed(&mut server, &in_pieces(5, &crumbs), &mut head, |_, head, _, _| {
        assert!(head.is_oversized() && head.cookies() < 1000);
    })
    .unwrap();
}

/// HEADERS and CONTINUATION of a block that is larger than a frame.
fn in_pieces(stream: u32, block: &[u8]) -> Vec<u8> {
    let mut pieces = block.chunks(16_000).peekable();
    let mut frames = Vec::new();
    let mut kind = HEADERS;
    while let Some(piece) = pieces.next() {
        let last = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        let ends = if kind == HEADERS { END_STREAM } else { 0 };
        frames.extend(frame(std::mem::replace(&mut kind, CONTINUATION), ends | last, stream, piece));
    }
    frames
}

#[test]
fn the_output_is_bounded_by_reading_no_further() {
    let mut server = server();
    let pings = frame(PING, 0, 0, &[7; 8]).repeat(3000);
    events(&mut server, &pings);
    assert!(!server.wants_input() || server.output().len() <= Config::server().output_max);
    let len = server.output().len();
    server.sent(len);
    assert!(server.wants_input());
}

#[test]
fn a_body_that_is_not_consumed_fills_the_windows_and_no_more() {
    let config = Config {
        connection_window: 100_000,
        settings: Settings { initial_window_size: 70_000, ..Config::server().settings },
        ..Config::server()
    };
    let mut server = server_with(&config);
    let piece = vec![b'x'; 10_000];
    let mut held = 0;
    let mut end = None;
    for id in [1, 3] {
        events(&mut server, &frame(HEADERS, END_HEADERS, id, &get()));
        for _ in 0..6 {
            let (seen, error) = events(&mut server, &frame(DATA, 0, id, &piece));
            held += seen
                .iter()
                .map(|event| if let Event::Data { data, .. } = event { data.len() } else { 0 })
                .sum::<usize>();
            end = end.or(error);
        }
    }
    assert_eq!(held, 100_000);
    assert_eq!(end.unwrap().code(), Code::FLOW_CONTROL_ERROR);
}

#[test]
fn streams_that_hardly_move_are_reset() {
    let pace = Pace { rate_min: 100, grace: Duration::from_secs(20) };
    let mut server = server_with(&Config { pace: Some(pace), ..Config::server() });
    let post = [get(), block(&[("content-length", "1000000")])].concat();
    let tiny = settings(&[(4, 0)]);
    events(&mut server, &[tiny, frame(HEADERS, END_HEADERS, 1, &post)].concat());
    let mut download = None;
    feed(&mut server, &frame(HEADERS, WHOLE, 3, &get()), &mut Head::new(), |server, _, event, _| {
        let Event::Head { stream, .. } = event else { panic!() };
        server.respond(stream, 200, [], false).unwrap();
        assert_eq!(server.send_data(stream, &[b'x'; 1000], true), Ok(0));
        download = Some(stream);
    })
    .unwrap();
    let mut reset = Vec::new();
    let mut head = Head::new();
    for second in 1..60 {
        let now = NOW + Duration::from_secs(second);
        if second % 10 == 0 {
            let input = [frame(DATA, 0, 1, b"x"), window_update(3, 1)].concat();
            let mut taken = 0;
            while let Some(event) = {
                let received = server.receive(&input[taken..], &mut head, now).unwrap();
                taken += received.taken;
                received.event
            } {
                if let Event::Reset { stream, .. } = event {
                    reset.push((second, stream.number()));
                }
            }
            while let Some(stream) = server.next_writable() {
                let _ = server.send_data(stream, &[b'x'; 999], true);
            }
        }
        server.handle_timeout(now).unwrap();
        while let Some(Event::Reset { stream, .. }) = server.receive(b"", &mut head, now).unwrap().event {
            reset.push((second, stream.number()));
        }
        drain(&mut server);
    }
    assert_eq!(reset.iter().map(|(_, id)| *id).collect::<Vec<_>>(), [1, 3]);
    assert!(reset.iter().all(|(second, _)| (20..=25).contains(second)), "{reset:?}");
    assert!(!server.is_open(download.unwrap()));
}

#[test]
fn bursts_of_good_will_are_served() {
    let mut server = server();
    // Messages of gRPC that are not read yet.
    events(&mut server, &frame(HEADERS, END_HEADERS, 1, &get()));
    let (_, error) = events(&mut server, &frame(DATA, 0, 1, &[b'x'; 20]).repeat(1000));
    assert_eq!(error, None);
    // A long stream of them that is read.
    let mut head = Head::new();
    for _ in 0..100 {
        let input = frame(DATA, 0, 1, &[b'x'; 20]).repeat(1000);
        feed(&mut server, &input, &mut head, |server, _, event, _| {
            if let Event::Data { stream, data, .. } = event {
                server.consume(stream, data.len());
            }
        })
        .unwrap();
        drain(&mut server);
    }
    // Requests that are cancelled, of which each was answered in part.
    let mut id = 3;
    for _ in 0..5000 {
        let input = [frame(HEADERS, WHOLE, id, &get()), rst_stream(id, 8)].concat();
        feed(&mut server, &input, &mut head, |server, _, event, _| {
            if let Event::Head { stream, .. } = event {
                server.respond(stream, 200, [], false).unwrap();
            }
        })
        .unwrap();
        drain(&mut server);
        id += 2;
    }
}

#[test]
fn an_idle_connection_is_small() {
    let mut server = server();
    let mut head = Head::new();
    let fields =
        [("user-agent", "curl/7.88.1"), ("accept", "*/*"), ("x-some-field", "some value of a field")];
    let indexed: Vec<u8> = block(&fields).split_inclusive(|_| false).flatten().copied().collect();
    let mut literal = get();
    // With incremental indexing, so that they fill the table.
    let mut rest = &indexed[..];
    while let Some((_, after)) = rest.split_first() {
        let name = usize::from(after[0]);
        let value = usize::from(after[1 + name]);
        literal.push(0x40);
        literal.extend(&after[..2 + name + value]);
        rest = &after[2 + name + value..];
    }
    for at in 0..50 {
        feed(&mut server, &frame(HEADERS, WHOLE, 2 * at + 1, &literal), &mut head, |server, _, event, _| {
            let Event::Head { stream, .. } = event else { return };
            server
                .respond(stream, 200, [(b"content-type".as_slice(), b"text/plain".as_slice())], false)
                .unwrap();
            server.send_data(stream, &[b'x'; 128], true).unwrap();
        })
        .unwrap();
        drain(&mut server);
    }
    let busy = server.memory();
    server.shrink();
    println!(
        "{busy} bytes after requests, {} idle; a connection itself {}",
        server.memory(),
        size_of::<Connection>()
    );
    let table = 4096 + 2048;
    assert!(server.memory() < 2048 + table, "{} bytes", server.memory());
    assert!(size_of::<Connection>() < 1536, "{} bytes", size_of::<Connection>());
}

/// More requests than a connection remembers, all given up: an answer to each of them may still be under way.
#[test]
fn an_answer_to_a_request_that_was_given_up_long_ago_is_no_fault() {
    let mut client = Connection::client(Config::client(), NOW);
    assert_eq!(events(&mut client, &settings(&[])).1, None);
    let request = Request { method: b"GET", scheme: b"http", authority: b"test", path: b"/", protocol: b"" };
    for _ in 0..1_100 {
        let stream = client.request(&request, NO_FIELDS, true).unwrap();
        client.reset(stream, Code::CANCEL);
        drain(&mut client);
    }
    for number in [1, 1_101, 2_199] {
        let head = frame(HEADERS, END_HEADERS, number, &block(&[(":status", "200")]));
        let late = [head, frame(DATA, END_STREAM, number, b"late")].concat();
        assert_eq!(events(&mut client, &late), (Vec::new(), None), "stream {number}");
        assert_eq!(drain(&mut client), b"", "stream {number}");
    }
}

#[test]
fn frames_of_streams_that_are_long_over_are_no_free_flood() {
    for late in [frame(HEADERS, WHOLE, 1, &get()), frame(DATA, 0, 1, b"late")] {
        let mut server = server();
        for number in 0..1_100 {
            let asked = events(&mut server, &frame(HEADERS, WHOLE, 2 * number + 1, &get()));
            let Some(Event::Head { stream, .. }) = asked.0.first() else { panic!("{asked:?}") };
            server.respond(*stream, 204, NO_FIELDS, true).unwrap();
            drain(&mut server);
        }
        assert_exceeded(flood(&mut server, |_| late.clone()), 4000);
    }
}

#[test]
fn a_stream_that_asks_before_it_has_data_is_named_and_forgotten() {
    let mut server = server();
    let mut ids = Vec::new();
    let input = [1, 3].map(|number| frame(HEADERS, WHOLE, number, &get())).concat();
    feed(&mut server, &input, &mut Head::new(), |server, _, event, _| {
        let Event::Head { stream, .. } = event else { panic!("{event:?}") };
        server.respond(stream, 200, [], false).unwrap();
        ids.push(stream);
    })
    .unwrap();
    assert_eq!(ids.iter().map(|id| server.may_send(*id)).collect::<Vec<_>>(), [Ok(16_384); 2]);
    // They have asked, and have not said that they have data.
    assert_eq!(server.next_writable(), None);
    while server.may_send(ids[0]).unwrap() > 0 {
        assert!(server.send_data(ids[0], &[0; 16_384], false).unwrap() > 0);
        drain(&mut server);
    }
    assert_eq!(server.next_writable(), None);
    let updates = [window_update(0, 10), window_update(1, 10)].concat();
    assert_eq!(events(&mut server, &updates).1, None);
    assert_eq!(server.next_writable(), Some(ids[0]));
    assert_eq!((server.may_send(ids[0]), server.next_writable()), (Ok(10), None));
    server.reset(ids[1], Code::CANCEL);
    assert_eq!(server.may_send(ids[1]), Err(CommandError::Gone));
}

#[test]
fn nothing_is_added_to_what_a_peer_has_taken_a_part_of() {
    let mut server = server();
    let asked = events(&mut server, &frame(HEADERS, WHOLE, 1, &get()));
    let Some(Event::Head { stream, .. }) = asked.0.first() else { panic!("{asked:?}") };
    server.respond(*stream, 200, [], false).unwrap();
    let data = [b'x'; 1000];
    assert_eq!(server.send_data(*stream, &data, false), Ok(1000));
    let written = server.output().to_vec();
    server.lend_output(|| panic!("it has one"));
    server.sent(written.len() - 300);
    let buffer = server.withdraw_buffer();
    assert!(buffer.capacity() >= written.len());
    assert_eq!(server.output(), &written[written.len() - 300..]);
    assert_eq!((server.send_data(*stream, &data, true), server.may_send(*stream)), (Ok(0), Ok(0)));
    assert_eq!(server.next_writable(), None);
    server.sent(200);
    assert_eq!((server.output().len(), server.next_writable()), (100, None));
    server.sent(100);
    assert_eq!(server.next_writable(), Some(*stream));
    assert_eq!(server.send_data(*stream, &data, true), Ok(1000));
}
