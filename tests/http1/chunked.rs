//! Chunked bodies in both directions.

use crate::support::{Evenkeel, Framing, Origin, chunked, ok, pool};

#[test]
fn a_chunked_answer_arrives_whole_and_the_connections_go_on() {
    let origin = Origin::bytes(chunked(&["hello, ", "world"], ""));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    for _ in 0..3 {
        let response = client.get("/");
        assert_eq!(response.text(), "hello, world");
        assert!(matches!(response.body.framing, Framing::Chunked(_)));
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_chunked_request_arrives_whole() {
    let origin = Origin::answering(|request| ok(&request.body.text()));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    let cases = [
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("1\r\na\r\n1\r\nb\r\n00A\r\n0123456789\r\n000\r\n\r\n", "ab0123456789"),
        ("a\r\n0123\r\n6789\r\n0\r\n\r\n", "0123\r\n6789"),
    ];
    for (wire, body) in cases {
        let request = format!("POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: Chunked\r\n\r\n{wire}");
        assert_eq!(client.ask(request).text(), body, "{wire:?}");
        assert!(matches!(origin.last().body.framing, Framing::Chunked(_)), "{:?}", origin.last().body);
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_chunked_request_in_single_bytes_arrives_whole() {
    let origin = Origin::answering(|request| ok(&request.body.text()));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    let request = "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
    for byte in request.as_bytes() {
        assert!(client.send([*byte]));
    }
    assert_eq!(client.answer("POST").text(), "abcdefg");
}
