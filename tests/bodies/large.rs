//! Bodies far larger than any buffer pass through in constant memory.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use crate::support::{Evenkeel, Origin, ms, ok, pool};

const BODY: usize = 512 << 20;
const BLOCK: usize = 256 * 1024;
const GROWTH_MAX: usize = 10 << 20;

fn write_body(mut stream: &TcpStream) {
    let block = vec![b'x'; BLOCK];
    for _ in 0..BODY / BLOCK {
        if stream.write_all(&block).is_err() {
            return;
        }
    }
}

/// Reads `count` bytes while watching the balancer's memory; returns the most that it has grown by.
fn read_body(mut stream: &TcpStream, count: usize, resident: impl Fn() -> usize) -> usize {
    let before = resident();
    let mut block = vec![0; BLOCK];
    let (mut left, mut most, mut reads) = (count, 0, 0_usize);
    while left > 0 {
        let got = stream.read(&mut block).unwrap();
        assert!(got > 0, "ended {left} bytes early");
        left -= got;
        reads += 1;
        if reads.is_multiple_of(512) {
            most = most.max(resident().saturating_sub(before));
        }
    }
    most.max(resident().saturating_sub(before))
}

#[test]
fn half_a_gigabyte_down_passes_in_constant_memory() {
    let origin = Origin::start(|request, wire| {
        if request.target() == "/small" {
            wire.send(ok("small"));
            return;
        }
        wire.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {BODY}\r\n\r\n"));
        write_body(wire.stream());
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    assert_eq!(evenkeel.get("/small").text(), "small");
    let mut client = evenkeel.client();
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    let head = client.head().unwrap();
    assert_eq!(head.header("content-length"), Some(BODY.to_string().as_str()));
    let first = client.some().unwrap().len();
    let grown = read_body(client.stream(), BODY - first, || evenkeel.allocated());
    assert!(grown < GROWTH_MAX, "{grown} bytes more");
    assert_eq!(client.get("/small").text(), "small", "the connection goes on");
}

#[test]
fn half_a_gigabyte_up_passes_in_constant_memory() {
    let origin = Origin::on_head(|request, wire| {
        let length: usize = request.header("content-length").unwrap().parse().unwrap();
        let early = if length > 0 { wire.some().unwrap().len() } else { 0 };
        read_body(wire.stream(), length - early, || 0);
        wire.send(ok(&length.to_string()));
    });
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut client = evenkeel.client();
    assert_eq!(client.ask("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n").text(), "0");
    let before = evenkeel.allocated();
    client.send(format!("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: {BODY}\r\n\r\n"));
    let stream = client.stream().try_clone().unwrap();
    let sender = thread::spawn(move || write_body(&stream));
    let mut most = 0;
    while !sender.is_finished() {
        most = most.max(evenkeel.allocated().saturating_sub(before));
        thread::sleep(ms(10));
    }
    assert_eq!(client.answer("POST").text(), BODY.to_string());
    assert!(most < GROWTH_MAX, "{most} bytes more");
}
