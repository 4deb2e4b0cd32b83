//! A body that breaks off is never taken for the whole, by whomever it is read, and is not kept.

use crate::support::cache::{crowd, is_hit, start, wait_for_requests, wait_until_kept};
use crate::support::{Evenkeel, Fault, Framing, Gate, Origin};

const GET: &str = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";

/// How a server begins a body, and what it sends before it breaks off.
const CUT: [(&str, &str); 3] = [
    ("length", "content-length: 100\r\n\r\nhello"),
    ("chunks", "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"),
    ("a chunk", "transfer-encoding: chunked\r\n\r\n10\r\nhello"),
];

/// Asserts that the server is asked again, at most twice, and that its cut response does not pass for a whole one.
#[track_caller]
fn assert_not_kept(origin: &Origin, evenkeel: &Evenkeel, target: &str) {
    let before = origin.count();
    let mut client = evenkeel.client();
    client.send(format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n"));
    match client.response("GET") {
        Ok(response) => assert_eq!(response.status, 502),
        Err(fault) => assert!(fault.is_end(), "{fault:?}"),
    }
    let asked = origin.count() - before;
    assert!(matches!(asked, 1..=2), "{asked} requests");
}

#[test]
fn all_readers_see_the_cut_and_nothing_is_kept() {
    for (name, rest) in CUT {
        for reset in [false, true] {
            let gate = Gate::default();
            let theirs = gate.clone();
            let origin = Origin::start(move |_, wire| {
                wire.send(format!("HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\n{rest}"));
                theirs.wait();
                if reset { wire.reset() } else { wire.close() }
            });
            let evenkeel = start(&origin, "true");
            let mut clients = crowd(&evenkeel, 1, GET);
            clients[0].head().unwrap();
            clients.extend(crowd(&evenkeel, 9, GET));
            wait_for_requests(&evenkeel, 10);
            for client in &mut clients[1..] {
                client.head().unwrap();
            }
            gate.open();
            for client in &mut clients {
                // Whatever has come of the body, it ends without its end.
                let end = loop {
                    match client.some() {
                        Ok(bytes) => assert!(!bytes.ends_with(b"\r\n0\r\n\r\n"), "{name}"),
                        Err(fault) => break fault,
                    }
                };
                assert!(end.is_end(), "{name}: {end:?}");
            }
            assert_eq!(origin.count(), 1, "{name}");
            assert_not_kept(&origin, &evenkeel, "/");
        }
    }
}

#[test]
fn a_body_until_the_close_is_kept_if_that_is_in_good_order() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |request, wire| {
        wire.send("HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\n\r\nhello");
        if request.target() == "/cut" {
            theirs.wait();
            wire.reset();
        } else {
            wire.close();
        }
    });
    let evenkeel = start(&origin, "true");
    assert_eq!(evenkeel.get("/whole").text(), "hello");
    assert!(is_hit(&wait_until_kept(&evenkeel, "/whole")));
    let mut client = evenkeel.client();
    client.send("GET /cut HTTP/1.1\r\nhost: test\r\n\r\n");
    let head = client.head().unwrap();
    assert_eq!(head.headers("transfer-encoding"), ["chunked"]);
    gate.open();
    assert!(matches!(client.body(&head, false), Err(Fault::Cut | Fault::Reset)));
    assert_not_kept(&origin, &evenkeel, "/cut");
}

#[test]
fn a_cut_reaches_clients_of_http_1_0_as_a_reset() {
    let origin = Origin::start(|_, wire| {
        wire.send("HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
        wire.close();
    });
    let evenkeel = start(&origin, "true");
    let mut client = evenkeel.client();
    client.send("GET / HTTP/1.0\r\nhost: test\r\n\r\n");
    let head = client.head().unwrap();
    let body = client.body(&head, true);
    assert!(!matches!(&body, Ok(body) if body.framing == Framing::UntilClose), "{body:?}");
}

#[test]
fn chunks_that_are_malformed_later_on_are_a_cut() {
    let origin = Origin::start(|_, wire| {
        wire.send("HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n");
    });
    let evenkeel = start(&origin, "true");
    for _ in 0..2 {
        assert_not_kept(&origin, &evenkeel, "/");
    }
}
