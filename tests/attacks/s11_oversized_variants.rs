//! S11, in depth: sizes that are told late, in pieces, or by many at once.

use crate::support::{Client, Evenkeel, Origin, ok, pool};

#[test]
fn s11_a_start_line_without_an_end_is_cut_off() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for (start, piece) in [
        ("", "G"),
        ("GET ", "/a"),
        ("GET /?", "%41"),
        ("GET / HTTP/1.", "1"),
        ("GET http://", "a."),
        ("GET / HTTP/1.1\r\nhost: ", "a"),
        ("GET / HTTP/1.1\r\nhost: test\r\n", "x"),
        ("GET / HTTP/1.1\r\nhost: test\r\ncookie: ", "a=b; "),
    ] {
        let mut client = evenkeel.client();
        client.send(start);
        let block = piece.repeat(8192 / piece.len());
        for _ in 0..64 {
            if !client.send(&block) {
                break;
            }
        }
        match client.response("GET") {
            Ok(response) => {
                assert!(matches!(response.status, 400 | 414 | 431 | 505), "{start:?}: {}", response.status);
            }
            Err(fault) => assert!(fault.is_end(), "{start:?}: {fault:?}"),
        }
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn s11_a_body_too_large_is_refused_before_it_is_asked_for() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&format!("[limits]\nrequest_body = \"1KiB\"\n{}", pool(&[&origin], "")));
    let mut client = evenkeel.client();
    let response =
        client.ask("POST / HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 2000\r\n\r\n");
    assert_eq!((response.status, response.interim.len()), (413, 0));
    client.assert_closed();
    assert_eq!((origin.count(), origin.connections()), (0, 0));
}

#[test]
fn s11_chunks_add_up() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&format!("[limits]\nrequest_body = \"1KiB\"\n{}", pool(&[&origin], "")));
    for size in [1, 7, 100, 1025] {
        let chunk = format!("{size:x}\r\n{}\r\n", "x".repeat(size));
        let body = chunk.repeat(1025 / size + 1);
        let mut client = evenkeel.client();
        client.send(format!(
            "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n{body}0\r\n\r\n"
        ));
        assert_eq!(client.answer("POST").status, 413, "chunks of {size}");
        client.assert_closed();
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn s11_many_heads_in_progress_take_bounded_memory() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    assert_eq!(evenkeel.get("/").text(), "a");
    let before = evenkeel.allocated();
    let head = format!("GET / HTTP/1.1\r\nhost: test\r\nx: {}", "y".repeat(31_000));
    let held: Vec<Client> = (0..300)
        .map(|_| {
            let mut client = evenkeel.client();
            client.send(&head);
            client
        })
        .collect();
    assert_eq!(evenkeel.get("/").text(), "a");
    // 32 KiB each, as documented, and as much again for what goes with a connection.
    let grown = evenkeel.allocated().saturating_sub(before);
    assert!(grown < held.len() * (64 << 10), "{grown} bytes more");
}

#[test]
fn s11_memory_of_large_messages_is_given_back() {
    let origin = Origin::answering(|request| ok(&"x".repeat(request.body.bytes.len())));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let post = |length: usize| {
        let body = "x".repeat(length);
        evenkeel.ask(format!("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n{body}"))
    };
    assert_eq!(post(4 << 20).status, 200);
    let before = evenkeel.allocated();
    for _ in 0..10 {
        assert_eq!(post(4 << 20).body.bytes.len(), 4 << 20);
    }
    let grown = evenkeel.allocated().saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes more");
}
