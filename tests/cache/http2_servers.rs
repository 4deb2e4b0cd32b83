//! Servers of HTTP/2 behind the cache: misses, hits, revalidation, and one fetch for many.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::support::cache::{answers, assert_said, crowd, is_hit, wait_for_requests};
use crate::support::h2::Serving;
use crate::support::h2::fields::{self, Blocks};
use crate::support::h2::frames::{data, flag, headers, kind};
use crate::support::{Evenkeel, Fault, Gate, Wire, eventually};

/// Answers each request by the frames that `answer` makes for its stream and its fields, and counts them.
fn server(
    answer: impl Fn(u32, &[(String, String)]) -> Vec<u8> + Send + Sync + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (answer, count) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
    let counted = count.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (answer, counted) = (answer.clone(), counted.clone());
            // How the connection ends is the balancer's affair.
            thread::spawn(move || serve(&mut Wire::new(stream.unwrap()), &*answer, &counted));
        }
    });
    (address, count)
}

fn serve(
    wire: &mut Wire,
    answer: &impl Fn(u32, &[(String, String)]) -> Vec<u8>,
    counted: &AtomicUsize,
) -> Result<(), Fault> {
    let (mut server, mut blocks) = (Serving::greet(wire)?, Blocks::new());
    loop {
        let frame = server.next()?;
        if frame.kind == kind::HEADERS {
            let fields = blocks.read(&frame.payload);
            counted.fetch_add(1, Ordering::SeqCst);
            server.send(answer(frame.stream, &fields));
        }
    }
}

fn balancer(server: SocketAddr) -> Evenkeel {
    Evenkeel::start(&format!(
        "[[route]]\nname = \"main\"\npath = \"/*\"\npool = \"app\"\ncache = true\n\
         [pool.app]\nbackends = [\"{server}\"]\nprotocol = \"http2\"\n"
    ))
}

/// A response in frames; without a body it is a head alone.
fn response(stream: u32, fields: &[fields::Field], body: &str) -> Vec<u8> {
    let block = fields::block(fields);
    if body.is_empty() {
        return headers(stream, flag::WHOLE, block);
    }
    [headers(stream, flag::END_HEADERS, block), data(stream, flag::END_STREAM, body)].concat()
}

#[test]
fn a_miss_is_kept_and_then_answers() {
    let fresh = [(":status", "200"), ("cache-control", "max-age=600"), ("x-one", "1")];
    let (address, count) = server(move |stream, _| response(stream, &fresh, "hello"));
    let evenkeel = balancer(address);
    let miss = evenkeel.get("/");
    assert_eq!((miss.status, miss.text().as_str()), (200, "hello"));
    assert_said(&miss, "fwd=uri-miss; stored");
    let hit = evenkeel.get("/");
    assert_eq!((hit.status, hit.text().as_str(), hit.header("x-one")), (200, "hello", Some("1")));
    assert!(is_hit(&hit));
    assert_eq!(evenkeel.client().get_with("/", "range: bytes=1-2\r\n").text(), "el");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn a_stale_response_is_confirmed_without_its_body() {
    let (address, count) = server(|stream, fields| {
        if fields::values(fields, "if-none-match") == ["\"one\""] {
            let confirmed =
                [(":status", "304"), ("etag", "\"one\""), ("cache-control", "max-age=600"), ("x-new", "1")];
            return response(stream, &confirmed, "");
        }
        let stale = [(":status", "200"), ("etag", "\"one\""), ("cache-control", "max-age=10"), ("age", "15")];
        response(stream, &stale, "hello")
    });
    let evenkeel = balancer(address);
    evenkeel.get("/");
    let confirmed = evenkeel.get("/");
    assert_eq!((confirmed.status, confirmed.text().as_str()), (200, "hello"));
    assert_eq!(confirmed.header("x-new"), Some("1"));
    assert_said(&confirmed, "fwd-status=304");
    assert_eq!(evenkeel.record(|record| record["cache"] == "revalidated")["status"], 200);
    assert!(is_hit(&evenkeel.get("/")));
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[test]
fn many_requests_share_one_stream() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let (address, count) = server(move |stream, _| {
        theirs.wait();
        response(stream, &[(":status", "200"), ("cache-control", "max-age=600")], &"x".repeat(10_000))
    });
    let evenkeel = balancer(address);
    let clients = crowd(&evenkeel, 30, "GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    wait_for_requests(&evenkeel, 30);
    eventually("the server is asked", || count.load(Ordering::SeqCst) == 1);
    gate.open();
    for response in answers(clients) {
        assert_eq!((response.status, response.text().len()), (200, 10_000));
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
}
