//! Requests that the cache does not answer, and what they pass through it.

use crate::support::cache::{assert_said, fresh, is_hit, start};
use crate::support::{Gate, Origin, answer};

#[test]
fn a_get_with_a_body_goes_past_the_cache() {
    let origin = Origin::answering(|request| fresh("", &request.body.text()));
    let evenkeel = start(&origin, "true");
    for body in ["one", "two"] {
        for framing in [
            format!("content-length: 3\r\n\r\n{body}"),
            format!("transfer-encoding: chunked\r\n\r\n3\r\n{body}\r\n0\r\n\r\n"),
        ] {
            let response = evenkeel.ask(format!("GET / HTTP/1.1\r\nhost: test\r\n{framing}"));
            assert_eq!(response.text(), body);
            assert_said(&response, "fwd=bypass; detail=request-body");
        }
    }
    let empty = evenkeel.ask("GET / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_said(&empty, "fwd=bypass; detail=request-body");
    let plain = evenkeel.get("/");
    assert!(!is_hit(&plain));
    assert_eq!(plain.text(), "");
}

#[test]
fn an_upgrade_goes_past_the_cache() {
    let origin = Origin::start(|request, wire| {
        if request.header("upgrade").is_some() {
            wire.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nhi");
            wire.hold();
            wire.close();
        } else {
            wire.send(fresh("", "page"));
        }
    });
    let evenkeel = start(&origin, "true");
    evenkeel.get("/");
    let mut client = evenkeel.client();
    client.send("GET / HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
    let response = client.answer("GET");
    assert_eq!(response.status, 101);
    assert_eq!(client.exactly(2).unwrap(), b"hi");
    assert!(is_hit(&evenkeel.get("/")));
}

#[test]
fn methods_other_than_those_of_the_route_go_past_the_cache() {
    let origin = Origin::start(|request, wire| {
        let text = fresh("", "page");
        wire.send(if request.method() == "HEAD" { &text[..text.len() - 4] } else { &text });
    });
    let evenkeel = start(&origin, "{ methods = [\"GET\"] }");
    evenkeel.get("/");
    let head = evenkeel.ask("HEAD / HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_said(&head, "fwd=method; detail=method");
    for method in ["OPTIONS", "get", "TRACK"] {
        let response = evenkeel.ask(format!("{method} / HTTP/1.1\r\nhost: test\r\n\r\n"));
        assert!(!is_hit(&response), "{method}");
    }
}

#[test]
fn a_request_that_says_no_store_is_neither_answered_nor_kept() {
    let origin = Origin::answering(|_| fresh("", "hello"));
    let evenkeel = start(&origin, "true");
    let mut client = evenkeel.client();
    for count in 1..=2 {
        assert_said(&client.get_with("/", "cache-control: no-store\r\n"), "detail=request-no-store");
        assert_eq!(origin.count(), count);
    }
    assert!(!is_hit(&client.get("/")));
    assert!(is_hit(&client.get("/")));
}

#[test]
fn interim_responses_pass_through_a_fetch() {
    let origin = Origin::answering(|_| {
        "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n".repeat(2) + &fresh("", "hello")
    });
    let evenkeel = start(&origin, "true");
    let miss = evenkeel.get("/");
    let starts: Vec<_> = miss.interim.iter().map(|head| head.start.as_str()).collect();
    assert_eq!(starts, ["HTTP/1.1 103 Early Hints"; 2]);
    assert_eq!(miss.interim[0].header("link"), Some("</a.css>"));
    let hit = evenkeel.get("/");
    assert!(is_hit(&hit) && hit.interim.is_empty());
}

#[test]
fn an_interim_response_comes_before_the_final_one_is_there() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |_, wire| {
        wire.send("HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n");
        theirs.wait();
        wire.send(answer(200, "cache-control: private\r\n", "hello"));
    });
    let evenkeel = start(&origin, "true");
    let mut client = evenkeel.client();
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(client.head().unwrap().start, "HTTP/1.1 103 Early Hints");
    gate.open();
    assert_eq!(client.answer("GET").text(), "hello");
}

#[test]
fn a_private_answer_streams_and_breaks_off_as_it_does() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |request, wire| {
        wire.send(
            "HTTP/1.1 200 OK\r\ncache-control: private\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        );
        theirs.wait();
        if request.target() == "/whole" {
            wire.send("5\r\nworld\r\n0\r\nx-end: 1\r\n\r\n");
        } else {
            wire.close();
        }
    });
    let evenkeel = start(&origin, "true");
    let mut clients = Vec::new();
    for target in ["/whole", "/cut"] {
        let mut client = evenkeel.client();
        client.send(format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n"));
        client.head().unwrap();
        assert_eq!(client.exactly(10).unwrap(), b"5\r\nhello\r\n");
        clients.push(client);
    }
    gate.open();
    assert!(clients[0].exactly(13).unwrap().starts_with(b"5\r\nworld\r\n0"));
    assert!(clients[1].exactly(1).is_err());
}

#[test]
fn a_client_that_leaves_a_private_answer_ends_it_at_the_server() {
    let origin = Origin::start(|_, wire| {
        wire.send("HTTP/1.1 200 OK\r\ncache-control: private\r\ncontent-length: 100\r\n\r\nhello");
        wire.hold();
        wire.close();
    });
    let evenkeel = start(&origin, "true");
    let mut client = evenkeel.client();
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    client.head().unwrap();
    drop(client);
    crate::support::eventually("the server's connection is closed", || {
        evenkeel.metric("evenkeel_backend_in_flight", &[]) == 0.0
    });
}
