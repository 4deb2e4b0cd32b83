//! WebSockets to servers of HTTP/2 (RFC 8441): a stream of theirs takes the place of a connection.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use crate::support::h2::fields::{Blocks, GET, block, literal, values};
use crate::support::h2::frames::{Code, data, flag, headers, kind, rst_stream, setting, window_update};
use crate::support::h2::{Expect, Peer, Serving, serving};
use crate::support::{Client, DEADLINE, Evenkeel, Fault, Origin, eventually, ok, pool};

const UPGRADE: &str = "GET /chat?a=b HTTP/1.1\r\nhost: test\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\
                       sec-websocket-protocol: chat\r\n\r\n";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const TUNNELS: (u16, u32) = (setting::ENABLE_CONNECT_PROTOCOL, 1);

/// What a server was asked for.
type Head = Vec<(String, String)>;

/// A server that takes tunnels, and hands what it is asked for to the receiver.
fn server(
    serve: impl Fn(&mut Serving<'_>, u32) -> Result<(), Fault> + Send + Sync + 'static,
) -> (SocketAddr, Receiver<Head>) {
    let (heads, asked): (Sender<Head>, _) = channel();
    let heads = Mutex::new(heads);
    let address = serving(move |wire| {
        let mut server = Serving::greet_with(wire, &[TUNNELS])?;
        let mut blocks = Blocks::new();
        loop {
            let frame = server.frame(kind::HEADERS)?;
            assert!(!frame.has(flag::END_STREAM), "a tunnel begins open");
            heads.lock().unwrap().send(blocks.read(&frame.payload)).unwrap();
            serve(&mut server, frame.stream)?;
        }
    });
    (address, asked)
}

fn opened(stream: u32) -> Vec<u8> {
    let fields = [literal(":status", "200"), literal("sec-websocket-protocol", "chat")].concat();
    headers(stream, flag::END_HEADERS, fields)
}

/// Opens, and sends everything back until the other side has finished.
fn echo(server: &mut Serving<'_>, stream: u32) -> Result<(), Fault> {
    server.send(opened(stream));
    loop {
        let frame = server.next()?;
        match frame.kind {
            kind::DATA => {
                let size = u32::try_from(frame.payload.len()).unwrap();
                if size > 0 {
                    server.send([window_update(0, size), window_update(stream, size)].concat());
                }
                server.send(data(stream, frame.flags & flag::END_STREAM, &frame.payload));
                if frame.has(flag::END_STREAM) {
                    return Ok(());
                }
            }
            kind::RST_STREAM => return Ok(()),
            _ => {}
        }
    }
}

fn balancer(server: SocketAddr, keys: &str) -> Evenkeel {
    Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\n[[route]]\npool = \"app\"\n{keys}\n\
         [pool.app]\nbackends = [{{ address = \"{server}\", name = \"a\" }}]\nprotocol = \"http2\"\n"
    ))
}

fn open(evenkeel: &Evenkeel) -> Client {
    let mut client = evenkeel.client();
    let response = client.ask(UPGRADE);
    assert_eq!(response.status, 101);
    assert!(response.lists("connection", "upgrade"), "{:?}", response.head);
    for (name, value) in
        [("upgrade", "websocket"), ("sec-websocket-accept", ACCEPT), ("sec-websocket-protocol", "chat")]
    {
        assert_eq!(response.headers(name), [value], "{:?}", response.head);
    }
    client
}

/// A client of HTTP/2 with the tunnel on its stream 1.
fn open_stream(evenkeel: &Evenkeel) -> Peer {
    let mut peer = Peer::greeted(evenkeel.client());
    let connect = [(":method", "CONNECT"), GET[1], GET[2], GET[3]];
    let fields = [block(&connect), literal(":protocol", "websocket"), literal("sec-websocket-version", "13")];
    peer.send(headers(1, flag::END_HEADERS, fields.concat())).unwrap();
    let head = Blocks::new().read(&peer.frame(kind::HEADERS).unwrap().payload);
    assert_eq!(values(&head, ":status"), ["200"], "{head:?}");
    assert_eq!(values(&head, "sec-websocket-protocol"), ["chat"]);
    peer
}

#[test]
fn a_websocket_of_http1_is_a_stream_of_the_server() {
    let (server, asked) = server(echo);
    let evenkeel = balancer(server, "");
    let mut client = open(&evenkeel);
    let head = asked.recv_timeout(DEADLINE).unwrap();
    for (name, value) in [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", "/chat?a=b"),
        (":authority", "test"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "chat"),
    ] {
        assert_eq!(values(&head, name), [value], "{head:?}");
    }
    for name in ["sec-websocket-key", "connection", "upgrade", "content-length"] {
        assert_eq!(values(&head, name), [""; 0], "{head:?}");
    }
    let every: Vec<u8> = (0..=255).collect();
    for bytes in [b"\x81\x05hello".to_vec(), every, vec![7; 300_000]] {
        client.send(&bytes);
        assert_eq!(client.exactly(bytes.len()).unwrap(), bytes);
    }
    client.send("last words");
    client.finish();
    assert_eq!(
        client.until_end().unwrap(),
        b"last words",
        "a half-closed tunnel still carries the other half"
    );
    eventually("the tunnel is gone", || evenkeel.metric("evenkeel_tunnels", &[]) == 0.0);
    let record = evenkeel.record(|record| record["status"] == 101);
    assert_eq!(record["ended"], "tunnel", "{record}");
    assert!(
        record["bytes_in"].as_u64() >= Some(300_000) && record["bytes_out"].as_u64() >= Some(300_000),
        "{record}"
    );
}

#[test]
fn a_websocket_of_http2_is_one_too() {
    let (server, asked) = server(echo);
    let evenkeel = balancer(server, "");
    let mut peer = open_stream(&evenkeel);
    let head = asked.recv_timeout(DEADLINE).unwrap();
    assert_eq!([values(&head, ":protocol"), values(&head, "sec-websocket-key")].concat(), ["websocket"]);
    for text in ["one", "two"] {
        peer.send(data(1, flag::NONE, text)).unwrap();
        assert_eq!(peer.frame(kind::DATA).unwrap().payload, text.as_bytes());
    }
    peer.send(data(1, flag::END_STREAM, "three")).unwrap();
    let mut heard: Vec<u8> = Vec::new();
    loop {
        let frame = peer.frame(kind::DATA).unwrap();
        heard.extend(&frame.payload);
        if frame.has(flag::END_STREAM) {
            break;
        }
    }
    assert_eq!(heard, b"three");
}

#[test]
fn many_share_a_connection_of_the_server_with_requests() {
    let origin = Origin::start(|request, wire| {
        if !request.lists("connection", "upgrade") {
            wire.send(ok("plain"));
            return;
        }
        wire.send(format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-accept: {ACCEPT}\r\nsec-websocket-protocol: chat\r\n\r\n"
        ));
        while let Ok(bytes) = wire.some() {
            wire.send(bytes);
        }
        wire.close();
    });
    // Another balancer is the server of HTTP/2.
    let front = Evenkeel::start(&pool(&[&origin], ""));
    let evenkeel = balancer(front.address(), "");
    let mut clients: Vec<Client> = (0..8).map(|_| open(&evenkeel)).collect();
    for (at, client) in clients.iter_mut().enumerate() {
        client.send(format!("word {at}"));
    }
    assert_eq!(evenkeel.get("/").text(), "plain");
    for (at, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.exactly(6).unwrap(), format!("word {at}").as_bytes());
    }
    assert!(front.metric("evenkeel_connections", &[]) < 8.0);
}

#[test]
fn a_server_that_takes_none_is_named_and_not_blamed() {
    let server = serving(|wire| {
        let mut server = Serving::greet(wire)?;
        loop {
            let stream = server.frame(kind::HEADERS)?.stream;
            server.send(headers(stream, flag::WHOLE, literal(":status", "204")));
        }
    });
    let evenkeel = balancer(server, "");
    let response = evenkeel.ask(UPGRADE);
    assert_eq!(response.status, 502);
    assert!(response.text().contains("SETTINGS_ENABLE_CONNECT_PROTOCOL"), "{}", response.text());
    let record = evenkeel.record(|record| record["status"] == 502);
    assert!(record["reason"].as_str().is_some_and(|why| why.contains("RFC 8441")), "{record}");
    let mut peer = Peer::greeted(evenkeel.client());
    let connect = [(":method", "CONNECT"), GET[1], GET[2], GET[3], (":protocol", "websocket")];
    peer.send(headers(1, flag::END_HEADERS, block(&connect))).unwrap();
    assert_eq!(Expect::RefusedWith("502").follows(&mut peer).err(), None);
    assert_eq!(evenkeel.metric("evenkeel_backend_failures_total", &[]), 0.0);
    assert_eq!(evenkeel.get("/").status, 204, "the connection goes on");
}

#[test]
fn another_server_that_takes_them_gets_it_instead() {
    let without = serving(|wire| {
        Serving::greet(wire)?.hold();
        Ok(())
    });
    let (with, _asked) = server(echo);
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\n[[route]]\npool = \"app\"\n\
         [pool.app]\nbackends = [\"{without}\", \"{with}\"]\nprotocol = \"http2\"\n"
    ));
    for _ in 0..4 {
        let mut client = open(&evenkeel);
        client.send("word");
        assert_eq!(client.exactly(4).unwrap(), b"word");
    }
}

#[test]
fn a_server_may_decline() {
    let (server, _asked) = server(|server, stream| {
        let head = [literal(":status", "403"), literal("content-type", "text/plain")].concat();
        server
            .send([headers(stream, flag::END_HEADERS, head), data(stream, flag::END_STREAM, "no")].concat());
        Ok(())
    });
    let evenkeel = balancer(server, "");
    for _ in 0..2 {
        let response = evenkeel.ask(UPGRADE);
        assert_eq!((response.status, response.text().as_str()), (403, "no"));
        assert!(response.headers("sec-websocket-accept").is_empty());
    }
}

#[test]
fn an_upgrade_behind_a_body_is_an_ordinary_request() {
    let (bodies, body) = channel();
    let bodies = Mutex::new(bodies);
    let server = serving(move |wire| {
        let mut server = Serving::greet_with(wire, &[TUNNELS])?;
        let head = server.frame(kind::HEADERS)?;
        let asked = Blocks::new().read(&head.payload);
        let body = server.frame(kind::DATA)?.payload;
        bodies.lock().unwrap().send((asked, body)).unwrap();
        server.send(headers(head.stream, flag::WHOLE, literal(":status", "204")));
        server.hold();
        Ok(())
    });
    let evenkeel = balancer(server, "");
    let request = UPGRADE.replace("GET", "POST").replace("\r\n\r\n", "\r\ncontent-length: 4\r\n\r\nbody");
    assert_eq!(evenkeel.ask(request).status, 204);
    let (asked, body) = body.recv_timeout(DEADLINE).unwrap();
    assert_eq!((values(&asked, ":method"), values(&asked, ":protocol")), (vec!["POST"], vec![]));
    assert_eq!(body, b"body");
}

#[test]
fn a_side_that_leaves_takes_the_other_along() {
    let resets = Arc::new(Mutex::new(Vec::new()));
    let seen = resets.clone();
    let (server, _asked) = server(move |server, stream| {
        server.send(opened(stream));
        if server.frame(kind::DATA)?.payload == b"leave" {
            server.send(rst_stream(stream, Code::CANCEL));
            return Ok(());
        }
        seen.lock().unwrap().push(Code(server.frame(kind::RST_STREAM)?.number(0)));
        Ok(())
    });
    let evenkeel = balancer(server, "");
    let mut client = open(&evenkeel);
    client.send("stay");
    eventually("the tunnel is counted", || evenkeel.metric("evenkeel_tunnels", &[]) == 1.0);
    client.reset();
    drop(client);
    eventually("the server gets the reset", || *resets.lock().unwrap() == [Code::CANCEL]);
    let mut peer = open_stream(&evenkeel);
    peer.send(data(1, flag::NONE, "stay")).unwrap();
    peer.send(rst_stream(1, Code::CANCEL)).unwrap();
    eventually("the server gets the reset", || *resets.lock().unwrap() == [Code::CANCEL; 2]);
    let mut client = open(&evenkeel);
    client.send("leave");
    client.assert_closed();
    let mut peer = open_stream(&evenkeel);
    peer.send(data(1, flag::NONE, "leave")).unwrap();
    peer.frame(kind::RST_STREAM).unwrap();
    eventually("no tunnel is left", || evenkeel.metric("evenkeel_tunnels", &[]) == 0.0);
}

#[test]
fn one_in_which_nothing_moves_is_closed() {
    let (server, _asked) = server(echo);
    let evenkeel = balancer(server, "timeout = { idle = \"400ms\" }");
    let mut client = open(&evenkeel);
    client.send("word");
    assert_eq!(client.exactly(4).unwrap(), b"word");
    client.assert_closed();
}

#[test]
fn a_side_that_takes_nothing_stops_the_other() {
    const WINDOW: usize = 65_535;
    let (counts, count) = channel();
    let counts = Mutex::new(counts);
    let (server, _asked) = server(move |server, stream| {
        server.send(opened(stream));
        // It opens no window: what it gets is what the first one has room for.
        let mut got = 0;
        while got < WINDOW {
            got += server.frame(kind::DATA)?.payload.len();
        }
        counts.lock().unwrap().send(got).unwrap();
        let all = 1 << 30;
        server.send([window_update(0, all), window_update(stream, all)].concat());
        while got < 4 * WINDOW {
            got += server.frame(kind::DATA)?.payload.len();
        }
        counts.lock().unwrap().send(got).unwrap();
        server.hold();
        Ok(())
    });
    let evenkeel = balancer(server, "");
    let mut client = open(&evenkeel);
    client.send(vec![1; 4 * WINDOW]);
    assert_eq!(
        [count.recv_timeout(DEADLINE).unwrap(), count.recv_timeout(DEADLINE).unwrap()],
        [WINDOW, 4 * WINDOW]
    );
}
