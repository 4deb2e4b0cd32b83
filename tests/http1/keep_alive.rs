//! Connections are kept and reused on both sides.

use crate::support::{Evenkeel, Origin, answer, ok, pool};

#[test]
fn many_requests_share_one_connection_on_each_side() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "a");
    }
    assert_eq!((origin.count(), origin.connections()), (20, 1));
}

#[test]
fn clients_that_come_and_go_reuse_the_same_connection_to_the_server() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for _ in 0..10 {
        assert_eq!(evenkeel.get("/").text(), "a");
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn keepalive_zero_keeps_no_connection_to_the_server() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], "keepalive = 0"));
    let mut client = evenkeel.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "a");
    }
    assert_eq!(origin.connections(), 3);
}

#[test]
fn a_client_that_says_close_is_answered_and_closed() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    let response = client.get_with("/", "connection: close\r\n");
    assert_eq!(response.text(), "a");
    assert!(response.lists("connection", "close"), "{:?}", response.head);
    client.assert_closed();
}

#[test]
fn a_server_that_says_close_costs_the_client_nothing() {
    let origin = Origin::start(|_, wire| {
        wire.send(answer(200, "connection: close\r\n", "bye"));
        wire.close();
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    for _ in 0..3 {
        let response = client.get("/");
        assert_eq!(response.text(), "bye");
        assert!(!response.lists("connection", "close"), "{:?}", response.head);
    }
    assert_eq!(origin.connections(), 3);
}

#[test]
fn request_bodies_arrive_whole_and_the_connection_goes_on() {
    let origin = Origin::answering(|request| ok(&request.body.text()));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    for body in ["hello", "", "x".repeat(200_000).as_str()] {
        let request =
            format!("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        assert_eq!(client.ask(request).text(), body);
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_body_that_comes_in_small_pieces_arrives_whole() {
    let origin = Origin::answering(|request| ok(&request.body.text()));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    for byte in "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 9\r\n\r\npiecemeal".as_bytes() {
        assert!(client.send([*byte]));
    }
    assert_eq!(client.answer("POST").text(), "piecemeal");
}

#[test]
fn a_close_takes_nothing_of_the_answer_along_when_the_client_sends_more() {
    let body = "x".repeat(3_000_000);
    let origin = Origin::bytes(ok(&body));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for more in ["\r\n", "GET /2 HTTP/1.1\r\nhost: test\r\n\r\n"] {
        let mut client = evenkeel.client();
        client.send("GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        let head = client.head().unwrap();
        assert!(head.lists("connection", "close"), "{head:?}");
        client.send(more);
        let received = client.body(&head, false).map(|body| body.bytes.len());
        assert_eq!(received, Ok(body.len()), "{more:?}");
        client.assert_closed();
    }
    assert!(origin.requests().iter().all(|request| request.target() == "/"));
}
