//! Trailer sections of chunked bodies in both directions.

use crate::support::{Evenkeel, Origin, chunked, ok, pool};

#[test]
fn trailers_of_an_answer_are_passed_on() {
    let origin = Origin::bytes(chunked(&["body"], "x-checksum: 42\r\nx-took: 1 ms\r\n"));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    for _ in 0..2 {
        let response = client.get_with("/", "te: trailers\r\nconnection: te\r\n");
        assert_eq!(response.text(), "body");
        let trailers: Vec<(&str, &str)> =
            response.body.trailers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(trailers, [("x-checksum", "42"), ("x-took", "1 ms")]);
    }
}

#[test]
fn trailers_of_a_request_are_passed_on() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    for _ in 0..2 {
        let response = client.ask(
            "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\ntrailer: x-checksum\r\n\r\n\
             4\r\nbody\r\n0\r\nx-checksum: 42\r\n\r\n",
        );
        assert_eq!(response.text(), "a");
        assert_eq!(origin.last().body.text(), "body");
        assert_eq!(origin.last().body.trailers, [("x-checksum".to_owned(), "42".to_owned())]);
    }
}

#[test]
fn trailers_never_become_framing_or_routing_fields() {
    let origin = Origin::answering(|request| ok(&format!("{:?}", request.body.trailers)));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for field in ["content-length: 5", "transfer-encoding: chunked", "host: evil", "connection: close"] {
        let mut client = evenkeel.client();
        client.send(format!(
            "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n0\r\n{field}\r\n\r\n"
        ));
        let response = client.answer("POST");
        // Refusing is right, and so is dropping the field.
        assert!(response.status == 400 || response.text() == "[]", "{field}: {}", response.text());
    }
}

#[test]
fn trailers_of_an_answer_never_become_framing_fields() {
    for field in ["content-length: 5", "transfer-encoding: chunked", "connection: close"] {
        let origin = Origin::bytes(chunked(&["body"], &format!("{field}\r\n")));
        let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
        let mut client = evenkeel.client();
        client.send("GET / HTTP/1.1\r\nhost: test\r\nte: trailers\r\nconnection: te\r\n\r\n");
        match client.response("GET") {
            Ok(response) => assert_eq!(response.body.trailers, [], "{field}"),
            Err(fault) => assert!(fault.is_end(), "{fault:?}"),
        }
    }
}
