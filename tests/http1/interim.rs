//! 1xx answers are passed on as they come (RFC 9110, section 15.2).

use std::time::{Duration, Instant};

use crate::support::{Evenkeel, Gate, Origin, eventually, ok, pool};

/// A server that answers badly once is out for an hour.
const STRICT: &str = "outlier = { failures = 1, eject = \"1h\" }";
/// Bytes of interim responses to one request, far beyond what an honest server sends.
const INTERIM_MAX: usize = 4 << 20;
/// How long they may go on.
const INTERIM_LONGEST: Duration = Duration::from_secs(60);

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
fn an_unrequested_101_is_a_bad_answer() {
    let origin =
        Origin::bytes("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    assert_eq!(evenkeel.get("/").status, 502);
}

#[test]
fn many_interim_responses_all_pass_and_the_response_behind_them() {
    let origin = Origin::answering(|request| {
        let count = request.target().trim_start_matches('/').parse().unwrap();
        let hints = (0..count).map(|i| format!("HTTP/1.1 103 Early Hints\r\nlink: </{i}>\r\n\r\n"));
        hints.collect::<String>() + &ok("page")
    });
    let origin = origin.called("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], STRICT));
    let mut client = evenkeel.client();
    for count in [17, 100] {
        let response = client.get(&format!("/{count}"));
        assert_eq!((response.status, response.text().as_str()), (200, "page"), "behind {count}");
        let links: Vec<String> = response.interim.iter().map(|h| h.header("link").unwrap().into()).collect();
        assert_eq!(links, (0..count).map(|i| format!("</{i}>")).collect::<Vec<_>>());
    }
    assert_eq!(evenkeel.server("app", "a")["state"], "up");
}

#[test]
fn endless_interim_responses_are_cut_off_and_take_no_server_out() {
    let stopped = Gate::default();
    let theirs = stopped.clone();
    let block = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(100);
    let origin = Origin::start(move |request, wire| {
        if request.target() == "/endless" {
            while wire.send(&block) {}
            theirs.open();
            wire.close();
        } else {
            wire.send(ok("a"));
        }
    });
    let origin = origin.called("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], STRICT));
    let mut client = evenkeel.client();
    client.send("GET /endless HTTP/1.1\r\nhost: test\r\n\r\n");
    let (begun, mut bytes) = (Instant::now(), 0);
    while let Ok(head) = client.head() {
        if !head.start.starts_with("HTTP/1.1 103 ") {
            assert!(head.start.starts_with("HTTP/1.1 502 "), "{head:?}");
            break;
        }
        bytes += "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".len();
        assert!(bytes < INTERIM_MAX && begun.elapsed() < INTERIM_LONGEST, "{bytes} bytes, and no end");
    }
    assert!(bytes >= 100 * 40, "as many as an honest server sends must pass");
    assert!(stopped.opens(), "the server is not listened to any more");
    eventually("it is logged", || evenkeel.stdout.count(|line| line.contains("/endless")) == 1);
    assert_eq!(evenkeel.server("app", "a")["state"], "up");
    assert_eq!(evenkeel.get("/").text(), "a");
}
