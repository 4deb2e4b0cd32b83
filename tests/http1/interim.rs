//! 1xx answers are passed on as they come (RFC 9110, section 15.2).

use crate::support::{Evenkeel, Gate, Origin, ok, pool};

#[test]
fn early_hints_arrive_before_the_answer() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |_, wire| {
        wire.send("HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n");
        theirs.wait();
        wire.send(ok("page"));
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    let hints = client.head().unwrap();
    assert!(hints.start.starts_with("HTTP/1.1 103 "), "{hints:?}");
    assert_eq!(hints.header("link"), Some("</a.css>; rel=preload"));
    gate.open();
    assert_eq!(client.answer("GET").text(), "page");
}

#[test]
fn several_interim_answers_in_one_packet_are_all_passed_on() {
    let text = format!(
        "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
         HTTP/1.1 103 Early Hints\r\nlink: </b>\r\n\r\n{}",
        ok("page")
    );
    let origin = Origin::bytes(text);
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    for _ in 0..2 {
        let response = client.get("/");
        let starts: Vec<&str> = response.interim.iter().map(|h| &h.start[9..12]).collect();
        assert_eq!((starts, response.text()), (vec!["102", "103", "103"], "page".to_owned()));
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_101_that_nobody_asked_for_is_a_bad_answer() {
    let origin =
        Origin::bytes("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    assert_eq!(evenkeel.get("/").status, 502);
}
