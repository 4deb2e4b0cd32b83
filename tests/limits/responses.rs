//! Heads of responses have limits of their own, wider than those of requests, and a server that goes beyond them has
//! not failed.

use std::net::{SocketAddr, TcpListener};
use std::thread;

use crate::support::h2::Serving;
use crate::support::h2::fields;
use crate::support::h2::frames::{continuation, data, flag, headers, kind};
use crate::support::{Evenkeel, Fault, Origin, Wire, answer, pool};

/// A server that answers badly once is out for an hour.
const STRICT: &str = "outlier = { failures = 1, eject = \"1h\" }";

/// `/fields/N` has so many fields more than any response, `/bytes/N` one of so many bytes.
fn extra(target: &str) -> Vec<(String, String)> {
    let count = |text: &str| text.parse::<usize>().unwrap();
    match target.rsplit_once('/') {
        Some(("/fields", number)) => (0..count(number)).map(|i| (format!("x-{i}"), "y".into())).collect(),
        Some(("/bytes", number)) => vec![("x-long".to_owned(), "y".repeat(count(number)))],
        _ => Vec::new(),
    }
}

fn origin() -> Origin {
    let origin = Origin::answering(|request| {
        let lines: String =
            extra(request.target()).iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        answer(200, &lines, "a")
    });
    origin.called("a")
}

#[test]
fn many_fields_and_large_heads_of_a_response_pass() {
    let origin = origin();
    let evenkeel = Evenkeel::start(&pool(&[&origin], STRICT));
    let mut client = evenkeel.client();
    for target in ["/fields/110", "/fields/900", "/bytes/40000", "/bytes/60000"] {
        let response = client.get(target);
        assert_eq!((response.status, response.text().as_str()), (200, "a"), "{target}");
        for (name, value) in extra(target) {
            assert_eq!(response.header(&name), Some(value.as_str()), "{target}");
        }
    }
    assert_eq!(evenkeel.server("app", "a")["state"], "up");
}

/// Asks for each target three times, which must be 502 with this reason and cost the server nothing.
#[track_caller]
fn assert_refused(evenkeel: &Evenkeel, server: &str, target: &str, reason: &str) {
    let mut client = evenkeel.client();
    for _ in 0..3 {
        assert_eq!(client.get(target).status, 502, "{target}");
    }
    let record = evenkeel.record(|record| record["target"] == target);
    assert!(record["reason"].as_str().is_some_and(|text| text.contains(reason)), "{target}: {record}");
    assert_eq!(evenkeel.server("app", server)["state"], "up", "{target}");
    assert_eq!(client.get("/").status, 200, "the next one is served");
}

#[test]
fn a_response_beyond_the_default_limits_is_502_and_takes_no_server_out() {
    let origin = origin();
    let evenkeel = Evenkeel::start(&pool(&[&origin], STRICT));
    assert_refused(&evenkeel, "a", "/bytes/70000", "response head larger than limits.response_head");
    assert_refused(&evenkeel, "a", "/fields/1010", "limits.response_headers");
}

#[test]
fn the_limits_of_responses_are_configured_apart_from_those_of_requests() {
    let origin = origin();
    let limits =
        "[limits]\nrequest_head = \"4KiB\"\nheaders = 20\nresponse_head = \"8KiB\"\nresponse_headers = 40\n";
    let evenkeel = Evenkeel::start(&format!("{limits}{}", pool(&[&origin], STRICT)));
    let mut client = evenkeel.client();
    for (target, status) in
        [("/fields/30", 200), ("/bytes/6000", 200), ("/fields/41", 502), ("/bytes/9000", 502)]
    {
        assert_eq!(client.get(target).status, status, "{target}");
    }
    assert_refused(&evenkeel, "a", "/bytes/9001", "response head larger than limits.response_head");
    assert_refused(&evenkeel, "a", "/fields/42", "limits.response_headers");
}

/// A server of HTTP/2 that answers in the same way.
fn http2_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || serve(&mut Wire::new(stream.unwrap())));
        }
    });
    address
}

fn serve(wire: &mut Wire) -> Result<(), Fault> {
    let mut decoder = fields::Blocks::new();
    let mut server = Serving::greet(wire)?;
    loop {
        let frame = server.next()?;
        if frame.kind != kind::HEADERS {
            continue;
        }
        let asked = decoder.read(&frame.payload);
        let mut block = fields::literal(":status", "200");
        for (name, value) in extra(fields::values(&asked, ":path")[0]) {
            block.extend(fields::literal(&name, &value));
        }
        // No frame may be longer than 16 KiB.
        let (first, rest) = block.split_at(block.len().min(16_000));
        let parts: Vec<&[u8]> = rest.chunks(16_000).collect();
        let flags = |is_last| if is_last { flag::END_HEADERS } else { flag::NONE };
        server.send(headers(frame.stream, flags(parts.is_empty()), first));
        for (at, part) in parts.iter().enumerate() {
            server.send(continuation(frame.stream, flags(at + 1 == parts.len()), part));
        }
        server.send(data(frame.stream, flag::END_STREAM, "a"));
    }
}

#[test]
fn they_hold_for_servers_of_http2_too() {
    let server = http2_server();
    let evenkeel = Evenkeel::start(&format!(
        "[pool.app]\nprotocol = \"http2\"\nbackends = [{{ address = \"{server}\", name = \"a\" }}]\n{STRICT}\n"
    ));
    let mut client = evenkeel.client();
    for target in ["/fields/110", "/fields/900", "/bytes/40000", "/bytes/60000"] {
        let response = client.get(target);
        assert_eq!((response.status, response.text().as_str()), (200, "a"), "{target}");
        for (name, value) in extra(target) {
            assert_eq!(response.header(&name), Some(value.as_str()), "{target}");
        }
    }
    assert_refused(&evenkeel, "a", "/bytes/70000", "response head larger than limits.response_head");
    assert_refused(&evenkeel, "a", "/fields/1010", "limits.response_headers");
}

#[test]
fn an_ordinary_response_is_not_held_to_the_limits_of_requests() {
    let origin = Origin::bytes(answer(200, &"set-cookie: a=b\r\n".repeat(30), "a")).called("a");
    let evenkeel = Evenkeel::start(&format!("[limits]\nheaders = 10\n{}", pool(&[&origin], STRICT)));
    assert_eq!(evenkeel.get("/").headers("set-cookie").len(), 30);
    assert_eq!(evenkeel.server("app", "a")["state"], "up");
}
