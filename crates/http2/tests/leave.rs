//! How connections end, tunnels by RFC 8441, origins, and what is due at which time.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use evenkeel_http2::{
    Code, CommandError, Config, Connection, Event, Head, HeadKind, Keepalive, Request, Settings, StreamError,
};
use support::*;

const GET: Request<'static> =
    Request { method: b"GET", scheme: b"http", authority: b"test", path: b"/", protocol: b"" };

/// Both sides, which have greeted each other.
fn pair(server: &Config, client: &Config) -> (Connection, Connection) {
    let (mut server, mut client) = (Connection::server(server, NOW), Connection::client(client, NOW));
    for _ in 0..3 {
        exchange(&mut client, &mut server);
        exchange(&mut server, &mut client);
    }
    (server, client)
}

fn exchange(from: &mut Connection, to: &mut Connection) -> Vec<Event> {
    let (events, error) = events(to, &drain(from));
    assert_eq!(error, None);
    events
}

fn defaults() -> (Connection, Connection) {
    pair(&Config::server(), &Config::client())
}

fn heads(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Head { .. })).count()
}

#[test]
fn a_server_leaves_in_two_steps_and_loses_no_request() {
    let (mut server, mut client) = defaults();
    client.request(&GET, [], true).unwrap();
    let first = exchange(&mut client, &mut server);
    server.leave(NOW);
    // On its way while the client does not know yet: still served.
    client.request(&GET, [], true).unwrap();
    let second = exchange(&mut client, &mut server);
    assert_eq!((heads(&first), heads(&second)), (1, 1));
    let seen = exchange(&mut server, &mut client);
    assert_eq!(seen, [Event::GoAway { last: u32::MAX >> 1, code: Code::NO_ERROR }]);
    assert_eq!(client.request(&GET, [], true), Err(CommandError::Leaving));
    exchange(&mut client, &mut server);
    assert_eq!(exchange(&mut server, &mut client), [Event::GoAway { last: 3, code: Code::NO_ERROR }]);
    assert!(!server.is_finished());
    for event in first.iter().chain(&second) {
        if let Event::Head { stream, .. } = event {
            server.respond(*stream, 204, [], true).unwrap();
        }
    }
    exchange(&mut server, &mut client);
    assert!(server.is_finished() && client.is_finished());
}

#[test]
fn a_client_that_answers_no_ping_hears_the_second_goaway_in_time() {
    let mut server = Connection::server(Config::server(), NOW);
    events(&mut server, &greeting());
    server.leave(NOW);
    drain(&mut server);
    let due = server.next_timeout().unwrap();
    assert_eq!(due, NOW + Config::server().leave_timeout);
    server.handle_timeout(due).unwrap();
    let seen = frames(&drain(&mut server));
    assert_eq!((seen.len(), seen[0].kind, seen[0].number(0), seen[0].number(4)), (1, GOAWAY, 0, 0));
    // What comes now is not looked at, and is no fault either.
    let (seen, error) = events(&mut server, &frame(HEADERS, WHOLE, 1, &get()));
    assert_eq!((seen, error), (vec![], None));
    assert!(server.output().is_empty() && server.is_finished());
}

#[test]
fn requests_that_the_server_did_not_look_at_may_be_sent_again() {
    let (_, mut client) = defaults();
    let streams = [(); 3].map(|()| client.request(&GET, [], true).unwrap());
    let goaway = frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]);
    let (seen, error) = events(&mut client, &goaway);
    assert_eq!(error, None);
    let error = StreamError::PeerLeft { code: Code::NO_ERROR };
    assert!(error.is_unprocessed());
    let reset = |at: usize| Event::Reset { stream: streams[at], error };
    assert_eq!(seen, [Event::GoAway { last: 1, code: Code::NO_ERROR }, reset(1), reset(2)]);
    assert!(client.is_open(streams[0]) && !client.is_finished());
    let refused = rst_stream(1, Code::REFUSED_STREAM.0);
    let (seen, _) = events(&mut client, &refused);
    assert!(matches!(seen[0], Event::Reset { error, .. } if error.is_unprocessed()));
}

#[test]
fn a_client_keeps_to_the_limit_of_streams() {
    let server = Config {
        settings: Settings { max_concurrent_streams: 2, ..Config::server().settings },
        ..Config::server()
    };
    let (mut server, mut client) = pair(&server, &Config::client());
    assert_eq!(client.room_for_requests(), 2);
    client.request(&GET, [], true).unwrap();
    client.request(&GET, [], true).unwrap();
    assert_eq!(client.request(&GET, [], true), Err(CommandError::Busy));
    for event in exchange(&mut client, &mut server) {
        let Event::Head { stream, .. } = event else { continue };
        server.respond(stream, 200, [], true).unwrap();
    }
    exchange(&mut server, &mut client);
    assert_eq!(client.room_for_requests(), 2);
}

#[test]
fn a_tunnel_by_extended_connect() {
    let (mut server, mut client) = defaults();
    assert!(client.peer_settings().enable_connect_protocol);
    let request = Request { method: b"CONNECT", protocol: b"websocket", ..GET };
    let asked = client.request(&request, [], false).unwrap();
    let mut head = Head::new();
    let mut tunnel = None;
    feed(&mut server, &drain(&mut client), &mut head, |_, head, event, _| {
        assert_eq!((head.method(), head.protocol()), (b"CONNECT".as_slice(), Some(b"websocket".as_slice())));
        let Event::Head { stream, ends: false, kind: HeadKind::Request } = event else { panic!("{event:?}") };
        tunnel = Some(stream);
    })
    .unwrap();
    let tunnel = tunnel.unwrap();
    server.respond(tunnel, 200, [], false).unwrap();
    server.send_data(tunnel, b"down", false).unwrap();
    client.send_data(asked, b"up", false).unwrap();
    let up = exchange(&mut client, &mut server);
    assert!(matches!(&up[..], [Event::Data { data, ends: false, .. }] if data.len() == 2));
    let down = exchange(&mut server, &mut client);
    assert!(matches!(&down[..], [Event::Head { .. }, Event::Data { data, .. }] if data.len() == 4));

    let plain = Config {
        settings: Settings { enable_connect_protocol: false, ..Config::server().settings },
        ..Config::server()
    };
    let (_, mut client) = pair(&plain, &Config::client());
    assert_eq!(client.request(&request, [], false), Err(CommandError::OutOfOrder));
}

#[test]
fn origins_reach_the_client() {
    let (mut server, mut client) = defaults();
    server.announce_origins([b"https://a.example".as_slice(), b"https://b.example"]);
    let mut seen = Vec::new();
    feed(&mut client, &drain(&mut server), &mut Head::new(), |_, head, event, _| {
        assert_eq!(event, Event::Origins);
        seen.extend(head.origins().map(<[u8]>::to_vec));
    })
    .unwrap();
    assert_eq!(seen, [b"https://a.example".to_vec(), b"https://b.example".to_vec()]);
}

#[test]
fn what_the_peer_leaves_out_ends_the_connection_in_time() {
    let keepalive = Some(Keepalive { after: Duration::from_secs(30), timeout: Duration::from_secs(5) });
    let config = Config { keepalive, ..Config::server() };
    let mut server = Connection::server(config, NOW);
    let due = NOW + Duration::from_secs(10);
    assert_eq!(server.next_timeout(), Some(due));
    let error = server.handle_timeout(due).unwrap_err();
    assert_eq!((error.code(), server.is_finished()), (Code::SETTINGS_TIMEOUT, true));

    let mut server = Connection::server(config, NOW);
    events(&mut server, &greeting());
    drain(&mut server);
    let due = NOW + Duration::from_secs(30);
    assert_eq!(server.next_timeout(), Some(due));
    server.handle_timeout(due).unwrap();
    let ping = frames(&drain(&mut server)).remove(0);
    assert_eq!(ping.kind, PING);
    let answer = frame(PING, ACK, 0, &ping.payload);
    assert_eq!(server.receive(&answer, &mut Head::new(), due).unwrap().event, None);
    assert_eq!(server.next_timeout(), Some(due + Duration::from_secs(30)));
    server.handle_timeout(due + Duration::from_secs(30)).unwrap();
    let error = server.handle_timeout(due + Duration::from_secs(35)).unwrap_err();
    assert_eq!(error.reason(), "no answer to PING");

    for begun in [&frame(HEADERS, 0, 1, b"\x82")[..], &frame(HEADERS, END_HEADERS, 1, &get())[..15], &[0, 0]]
    {
        let mut server = Connection::server(config, NOW);
        events(&mut server, &greeting());
        events(&mut server, begun);
        let due = NOW + Duration::from_secs(10);
        assert_eq!(server.next_timeout(), Some(due), "{begun:?}");
        assert_eq!(server.handle_timeout(due).unwrap_err().reason(), evenkeel_http2::HEAD_TIMEOUT);
    }
}

#[test]
fn large_heads_go_in_several_frames_and_settings_shape_them() {
    let (mut server, mut client) = defaults();
    let value = vec![b'v'; 7000];
    let fields: Vec<(&[u8], &[u8])> = (0..4).map(|_| (b"x-large".as_slice(), &value[..])).collect();
    client.request(&GET, fields, true).unwrap();
    let output = drain(&mut client);
    let kinds: Vec<u8> = frames(&output).iter().map(|seen| seen.kind).collect();
    assert_eq!(kinds, [HEADERS, CONTINUATION]);
    let mut head = Head::new();
    for piece in output.chunks(1000) {
        feed(&mut server, piece, &mut head, |_, head, _, _| {
            assert_eq!(head.fields().filter(|field| field.value == value).count(), 4);
        })
        .unwrap();
    }
    assert_eq!(server.active_streams(), 1);
}

#[test]
fn nothing_is_done_behind_the_end() {
    let mut server = Connection::server(Config::server(), NOW);
    events(&mut server, &greeting());
    let (seen, _) = events(&mut server, &frame(HEADERS, END_HEADERS, 1, &get()));
    let Event::Head { stream, .. } = seen[0] else { panic!("{seen:?}") };
    let (_, error) = events(&mut server, &frame(PING, 0, 0, b"short"));
    assert_eq!(error.unwrap().code(), Code::FRAME_SIZE_ERROR);
    let seen = frames(&drain(&mut server));
    let goaway = seen.last().unwrap();
    assert_eq!((goaway.kind, goaway.number(0), goaway.number(4)), (GOAWAY, 1, Code::FRAME_SIZE_ERROR.0));
    assert_eq!(&goaway.payload[8..], b"PING of other than 8 bytes");
    assert_eq!(server.respond(stream, 200, [], true), Err(CommandError::Gone));
    server.reset(stream, Code::CANCEL);
    server.leave(NOW);
    server.ping([0; 8]);
    assert!(server.output().is_empty() && !server.wants_input() && server.is_finished());
    assert_eq!(events(&mut server, b"anything").1, error);
}

#[test]
fn a_preface_that_is_none_ends_the_connection() {
    for wrong in [b"GET / HTTP/1.1\r\n".as_slice(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rx"] {
        let mut server = Connection::server(Config::server(), NOW);
        let (_, error) = events(&mut server, wrong);
        assert_eq!(error.unwrap().reason(), "an invalid preface");
    }
    let mut server = Connection::server(Config::server(), NOW);
    for byte in greeting() {
        assert_eq!(events(&mut server, &[byte]).1, None);
    }
    assert!(server.is_greeted());
}
