//! A side that does not read stops the other side from being read.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Client, Evenkeel, Gate, Origin, Wire, eventually, ms, ok, pool};

/// What the kernel may hold in the buffers of four sockets, generously, plus our own small ones.
const BUFFERED_MAX: usize = 48 << 20;
const ENDLESS: usize = 1 << 30;

/// Waits until a counter has not moved for a while; returns it.
fn settled(counter: &AtomicUsize) -> usize {
    let mut last = (counter.load(Ordering::SeqCst), Instant::now());
    eventually("the flow stops", || {
        let now = counter.load(Ordering::SeqCst);
        if now != last.0 {
            last = (now, Instant::now());
        }
        now > 0 && last.1.elapsed() > ms(500)
    });
    last.0
}

/// Writes until `ENDLESS` or an error, counting.
fn pour(stream: &TcpStream, sent: &AtomicUsize) {
    use std::io::Write;
    let block = vec![b'x'; 64 * 1024];
    let mut stream = stream;
    stream.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
    while sent.load(Ordering::SeqCst) < ENDLESS {
        match stream.write(&block) {
            Ok(count) => sent.fetch_add(count, Ordering::SeqCst),
            Err(_) => return,
        };
    }
}

#[test]
fn a_client_that_does_not_read_stops_the_server_from_being_read() {
    let sent = Arc::new(AtomicUsize::new(0));
    let theirs = sent.clone();
    let origin = Origin::start(move |_, wire| {
        wire.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {ENDLESS}\r\n\r\n"));
        pour(wire.stream(), &theirs);
        wire.close();
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let before = evenkeel.allocated();
    let mut client = Client::slow_reader(evenkeel.address());
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    let stopped = settled(&sent);
    assert!(stopped < BUFFERED_MAX, "{stopped} bytes were taken for a client that reads none");
    let grown = evenkeel.allocated().saturating_sub(before);
    assert!(grown < 10 << 20, "{grown} bytes more");
    client.exactly(2 * stopped).unwrap();
    assert!(sent.load(Ordering::SeqCst) > stopped, "reading sets it going again");
}

#[test]
fn a_server_that_does_not_read_stops_the_client_from_being_read() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::on_head(move |_, wire| {
        theirs.wait();
        wire.close();
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let before = evenkeel.allocated();
    let mut client = evenkeel.client();
    client.send(format!("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: {ENDLESS}\r\n\r\n"));
    let sent = Arc::new(AtomicUsize::new(0));
    let (ours, stream) = (sent.clone(), client.stream().try_clone().unwrap());
    let sender = std::thread::spawn(move || pour(&stream, &ours));
    let stopped = settled(&sent);
    assert!(stopped < BUFFERED_MAX, "{stopped} bytes were taken for a server that reads none");
    let grown = evenkeel.allocated().saturating_sub(before);
    assert!(grown < 10 << 20, "{grown} bytes more");
    gate.open();
    client.close();
    sender.join().unwrap();
}

#[test]
fn requests_whose_answers_are_not_read_are_not_taken_without_end() {
    let body = "x".repeat(64 * 1024);
    let text = ok(&body);
    let origin = Origin::answering(move |_| text.clone());
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let before = evenkeel.allocated();
    let mut client = Client::slow_reader(evenkeel.address());
    let requests = "GET / HTTP/1.1\r\nhost: test\r\n\r\n".repeat(3_000);
    let stream = client.stream().try_clone().unwrap();
    let sender = std::thread::spawn(move || Wire::new(stream).send(requests));
    let mut last = (0, Instant::now());
    eventually("the flow stops", || {
        if origin.count() != last.0 {
            last = (origin.count(), Instant::now());
        }
        last.0 > 0 && last.1.elapsed() > ms(500)
    });
    assert!(last.0 < BUFFERED_MAX / body.len(), "{} answers wait for a client that reads none", last.0);
    let grown = evenkeel.allocated().saturating_sub(before);
    assert!(grown < 10 << 20, "{grown} bytes more");
    client.close();
    sender.join().unwrap();
}
