//! The harness looks at itself: a client and a server without a balancer between them.

use std::io::ErrorKind;
use std::net::TcpStream;

use super::h2::fields::{self, Blocks};
use super::message::Framing;
use super::{Client, Fault, Origin, Port, chunked, ms, ok};

#[test]
fn a_client_and_a_server_understand_each_other() {
    let origin = Origin::answering(|request| ok(&request.body.text()));
    let mut client = Client::connect(origin.address());
    assert_eq!(client.get("/x").text(), "");
    let text =
        "POST /y HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx: y\r\n\r\n";
    assert_eq!(client.ask(text).text(), "hi");
    let request = origin.last();
    assert_eq!((request.method(), request.target(), request.connection), ("POST", "/y", 0));
    assert_eq!(request.body.trailers, [("x".to_owned(), "y".to_owned())]);
    assert_eq!(request.raw, text.as_bytes());
    assert_eq!((origin.count(), origin.connections()), (2, 1));
}

#[test]
fn what_is_not_whole_is_noticed() {
    let cases = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhi", Fault::Cut),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n", Fault::Cut),
        ("HTTP/1.1 200", Fault::Cut),
        ("", Fault::Closed),
    ];
    for (text, fault) in cases {
        let origin = Origin::bytes_then_close(text);
        let mut client = Client::connect(origin.address());
        client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        assert_eq!(client.response("GET").unwrap_err(), fault, "{text:?}");
    }
    let origin = Origin::start(|_, wire| wire.reset());
    let mut client = Client::connect(origin.address());
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(client.response("GET").unwrap_err(), Fault::Reset);
}

#[test]
fn what_is_not_http_is_noticed() {
    for text in [
        "HTTP/1.1 200 OK\ncontent-length: 0\n\n",
        "HTTP/1.1 200 OK\r\ncontent-length : 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n",
        "HTTP/2 200\r\n\r\n",
    ] {
        let origin = Origin::bytes(text);
        let mut client = Client::connect(origin.address());
        client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        assert!(matches!(client.response("GET"), Err(Fault::Malformed(_))), "{text:?}");
    }
    let origin = Origin::bytes(chunked(&["a", "bc"], ""));
    let response = Client::connect(origin.address()).get("/");
    let sizes = ["1", "2", "0"].map(str::to_owned).to_vec();
    assert_eq!((response.text().as_str(), response.body.framing), ("abc", Framing::Chunked(sizes)));
}

#[test]
fn servers_die_and_come_back_on_the_same_port() {
    let origin = Origin::named("a");
    let mut client = Client::connect(origin.address());
    assert_eq!(client.get("/").text(), "a");
    for _ in 0..2 {
        origin.stop();
        assert_eq!(TcpStream::connect(origin.address()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        origin.resume();
        assert_eq!(Client::connect(origin.address()).get("/").text(), "a");
    }
    assert!(client.some().is_err());
}

#[test]
fn a_port_can_hang() {
    let port = Port::reserve();
    let _hang = port.hang();
    assert_eq!(TcpStream::connect_timeout(&port.address(), ms(200)).unwrap_err().kind(), ErrorKind::TimedOut);
}

#[test]
fn clients_come_from_where_they_say() {
    let origin = Origin::start(|_, wire| {
        let peer = wire.stream().peer_addr().unwrap().ip();
        wire.send(ok(&peer.to_string()));
    });
    assert_eq!(Client::from([127, 0, 0, 42], origin.address()).get("/").text(), "127.0.0.42");
}

#[test]
fn field_blocks_of_one_connection_are_read_in_their_order() {
    let mut blocks = Blocks::new();
    // The second names a field that the first put into the dynamic table (RFC 7541, section 6.2.1).
    let indexed = [&[0x40], fields::string("x-test").as_slice(), &fields::string("a")].concat();
    assert_eq!(fields::values(&blocks.read(&indexed), "x-test"), ["a"]);
    let again =
        [b"\xbe".as_slice(), &fields::literal("x-test", "b"), &fields::literal("x-other", "c")].concat();
    assert_eq!(fields::values(&blocks.read(&again), "x-test"), ["a", "b"]);
}
