//! Large transfers arrive whole and in order, both ways at once, and cost no memory.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

use super::server::{Server, config, connect};
use crate::support::{Evenkeel, ms};

const BLOCK: usize = 64 * 1024;

/// The byte at a position: no piece of the stream is like another one near it.
fn byte(at: u64) -> u8 {
    (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// Sends so many bytes, and ends.
fn send(mut stream: &TcpStream, total: u64) {
    let mut at = 0;
    while at < total {
        let block: Vec<u8> = (at..total.min(at + BLOCK as u64)).map(byte).collect();
        stream.write_all(&block).unwrap();
        at += block.len() as u64;
    }
    stream.shutdown(Shutdown::Write).unwrap();
}

/// Takes all that comes; how much that was. Each byte must be the right one.
fn take(mut stream: &TcpStream) -> u64 {
    let (mut at, mut buf) = (0, vec![0; BLOCK]);
    loop {
        match stream.read(&mut buf).unwrap() {
            0 => return at,
            read => {
                let right = buf[..read].iter().zip(at..).all(|(found, at)| *found == byte(at));
                assert!(right, "a wrong byte within {at}..{}", at + read as u64);
                at += read as u64;
            }
        }
    }
}

/// Both sides send so much at the same time.
fn both(stream: &TcpStream, total: u64) {
    thread::scope(|scope| {
        scope.spawn(|| send(stream, total));
        assert_eq!(take(stream), total);
    });
}

fn transfer(total: u64) {
    let server = Server::start("a", move |stream| both(&stream, total));
    let evenkeel = Evenkeel::start(&config("", &[&server], ""));
    let before = evenkeel.resident();
    let client = connect(&evenkeel);
    both(&client, total);
    drop(client);
    let record = evenkeel.record(|record| record["backend"] == "a");
    assert_eq!((record["bytes_in"].as_u64(), record["bytes_out"].as_u64()), (Some(total), Some(total)));
    let grown = evenkeel.resident().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes of memory more");
    for name in ["evenkeel_stream_received_bytes_total", "evenkeel_stream_sent_bytes_total"] {
        assert_eq!(evenkeel.metric(name, &["listener=\"db\"", "backend=\"a\""]), total as f64);
    }
}

#[test]
fn many_bytes_each_way_at_once_arrive_whole() {
    transfer(64 << 20);
}

#[test]
#[ignore = "takes minutes"]
fn a_gibibyte_each_way_at_once_arrives_whole() {
    transfer(1 << 30);
}

#[test]
fn a_slow_reader_gets_all_of_it_in_the_end() {
    let total = 16 << 20;
    let server = Server::start("a", move |stream| send(&stream, total));
    let evenkeel = Evenkeel::start(&config("", &[&server], ""));
    let mut client = connect(&evenkeel);
    // Long enough for all buffers to be full, again and again.
    let (mut at, mut buf) = (0, vec![0; 1 << 20]);
    while at < total {
        client.read_exact(&mut buf).unwrap();
        assert!(buf.iter().zip(at..).all(|(found, at)| *found == byte(at)), "a wrong byte behind {at}");
        at += buf.len() as u64;
        thread::sleep(ms(20));
    }
    assert_eq!(take(&client), 0);
}
