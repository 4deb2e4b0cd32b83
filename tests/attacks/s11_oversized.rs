//! S11: heads, targets and bodies beyond the limits.

use crate::support::{Evenkeel, Origin, eventually, ok, pool};

#[test]
fn s11_each_limit_has_its_answer() {
    let origin = Origin::named("a");
    let limits =
        "[limits]\nrequest_head = \"4KiB\"\nuri = \"1KiB\"\nheaders = 20\nrequest_body = \"10KiB\"\n";
    let evenkeel = Evenkeel::start(&format!("{limits}{}", pool(&[&origin], "")));
    let cases = [
        (431, format!("GET / HTTP/1.1\r\nhost: test\r\nx: {}\r\n\r\n", "a".repeat(5_000))),
        (431, format!("GET / HTTP/1.1\r\nhost: test\r\nx: {}", "a".repeat(5_000))),
        (431, format!("GET / HTTP/1.1\r\nhost: test\r\n{}\r\n", "x: y\r\n".repeat(30))),
        (414, format!("GET /{} HTTP/1.1\r\nhost: test\r\n\r\n", "a".repeat(1_100))),
        (414, format!("GET /?{} HTTP/1.1\r\nhost: test\r\n\r\n", "a".repeat(1_100))),
        (413, "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 10241\r\n\r\n".to_owned()),
        (
            413,
            format!(
                "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n2801\r\n{}\r\n0\r\n\r\n",
                "a".repeat(0x2801)
            ),
        ),
    ];
    for (status, request) in cases {
        let start: String = request.chars().take(60).collect();
        let mut client = evenkeel.client();
        client.send(&request);
        assert_eq!(client.answer("GET").status, status, "{start:?}");
        client.assert_closed();
    }
    assert_eq!(origin.count(), 0, "nothing arrived as whole");
}

#[test]
fn s11_what_is_just_within_the_limits_passes() {
    let origin = Origin::answering(|request| ok(&request.body.bytes.len().to_string()));
    let limits =
        "[limits]\nrequest_head = \"4KiB\"\nuri = \"1KiB\"\nheaders = 20\nrequest_body = \"10KiB\"\n";
    let evenkeel = Evenkeel::start(&format!("{limits}{}", pool(&[&origin], "")));
    let cases = [
        ("0", format!("GET /{} HTTP/1.1\r\nhost: test\r\n\r\n", "a".repeat(1_000))),
        ("0", format!("GET / HTTP/1.1\r\nhost: test\r\nx: {}\r\n\r\n", "a".repeat(3_900))),
        ("0", format!("GET / HTTP/1.1\r\nhost: test\r\n{}\r\n", "x: y\r\n".repeat(19))),
        (
            "10240",
            format!("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 10240\r\n\r\n{}", "a".repeat(10_240)),
        ),
        (
            "10240",
            format!(
                "POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n2800\r\n{}\r\n0\r\n\r\n",
                "a".repeat(0x2800)
            ),
        ),
    ];
    for (length, request) in cases {
        let response = evenkeel.ask(&request);
        assert_eq!((response.status, response.text().as_str()), (200, length), "{:.60}", request);
    }
}

#[test]
fn s11_the_default_head_limit_is_32_kib() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let with = |bytes: usize| format!("GET / HTTP/1.1\r\nhost: test\r\nx: {}\r\n\r\n", "a".repeat(bytes));
    assert_eq!(evenkeel.ask(with(32_000)).status, 200);
    assert_eq!(evenkeel.ask(with(33_000)).status, 431);
}

#[test]
fn s11_endless_heads_do_not_eat_memory() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    assert_eq!(evenkeel.get("/").text(), "a");
    let before = evenkeel.allocated();
    let block = "x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(1_000);
    for _ in 0..50 {
        let mut client = evenkeel.client();
        client.send("GET / HTTP/1.1\r\nhost: test\r\n");
        for _ in 0..20 {
            if !client.send(&block) {
                break;
            }
        }
        match client.response("GET") {
            Ok(response) => assert_eq!(response.status, 431),
            Err(fault) => assert!(fault.is_end(), "{fault:?}"),
        }
    }
    let grown = evenkeel.allocated().saturating_sub(before);
    assert!(grown < 8 * 1024 * 1024, "{grown} bytes more");
}

#[test]
fn s11_an_answer_with_an_endless_head_is_a_502() {
    let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "a".repeat(64 * 1024));
    let origin = Origin::bytes(head);
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    assert_eq!(evenkeel.get("/").status, 502);
}

#[test]
fn s11_connections_beyond_the_limit_are_closed_and_the_others_live() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&format!("[limits]\nconnections = 2\n{}", pool(&[&origin], "")));
    let mut held = [evenkeel.client(), evenkeel.client()];
    for client in &mut held {
        assert_eq!(client.get("/").text(), "a");
    }
    let mut third = evenkeel.client();
    third.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    match third.response("GET") {
        Ok(response) => assert_eq!(response.status, 503),
        Err(fault) => assert!(fault.is_end(), "{fault:?}"),
    }
    assert_eq!(evenkeel.metric("evenkeel_connections_refused_total", &["reason=\"limit\""]), 1.0);
    let [mut one, two] = held;
    assert_eq!(one.get("/").text(), "a");
    drop(two);
    eventually("there is room again", || {
        let mut client = evenkeel.client();
        client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        client.response("GET").is_ok_and(|response| response.status == 200)
    });
}

#[test]
fn s11_an_answer_with_too_many_fields_is_a_502() {
    let origin =
        Origin::bytes(format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", "x: y\r\n".repeat(1_100)));
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    assert_eq!(evenkeel.get("/").status, 502);
}
