//! Large transfers arrive whole and in order, both ways at once, and cost no memory.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

use super::server::{Server, config, connect};
use crate::support::{Evenkeel, ms};

const BLOCK: u64 = 64 * 1024;
const PAGE: u64 = 4096;

/// A stream in which each page begins with its position, and no page is like another one near it.
struct Content {
    filler: Vec<u8>,
    block: Vec<u8>,
    /// Where the block begins.
    at: Option<u64>,
}

impl Content {
    fn new() -> Self {
        let byte = |at: u64| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
        Self { filler: (0..PAGE + 251).map(byte).collect(), block: Vec::new(), at: None }
    }

    /// The bytes from here to the end of a block.
    fn from(&mut self, at: u64) -> &[u8] {
        let begin = at - at % BLOCK;
        if self.at != Some(begin) {
            self.at = Some(begin);
            self.block.clear();
            for page in (begin..begin + BLOCK).step_by(PAGE as usize) {
                let shift = (page / PAGE % 251) as usize;
                self.block.extend_from_slice(&page.to_le_bytes());
                self.block.extend_from_slice(&self.filler[shift..shift + PAGE as usize - 8]);
            }
        }
        &self.block[(at - begin) as usize..]
    }

    /// These bytes must be those from here on.
    #[track_caller]
    fn check(&mut self, mut at: u64, mut found: &[u8]) {
        while !found.is_empty() {
            let expected = self.from(at);
            let length = expected.len().min(found.len());
            assert!(
                found[..length] == expected[..length],
                "a wrong byte within {at}..{}",
                at + length as u64
            );
            at += length as u64;
            found = &found[length..];
        }
    }
}

/// Sends so many bytes, and ends.
fn send(mut stream: &TcpStream, total: u64) {
    let (mut content, mut at) = (Content::new(), 0);
    while at < total {
        let block = content.from(at);
        let length = block.len().min(usize::try_from(total - at).unwrap());
        stream.write_all(&block[..length]).unwrap();
        at += length as u64;
    }
    stream.shutdown(Shutdown::Write).unwrap();
}

/// Takes all that comes; how much that was. Each byte must be the right one.
fn take(mut stream: &TcpStream) -> u64 {
    let (mut content, mut at, mut buf) = (Content::new(), 0, vec![0; BLOCK as usize]);
    loop {
        match stream.read(&mut buf).unwrap() {
            0 => return at,
            read => {
                content.check(at, &buf[..read]);
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
    let grown = evenkeel.resident_peak().saturating_sub(before);
    // With the pages of the program that are used for the first time; what passed is 64 times as much.
    assert!(grown < 32 << 20, "{grown} bytes of memory more");
    for name in ["evenkeel_stream_received_bytes_total", "evenkeel_stream_sent_bytes_total"] {
        assert_eq!(evenkeel.metric(name, &["listener=\"db\"", "backend=\"a\""]), total as f64);
    }
}

#[test]
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
    let (mut content, mut at, mut buf) = (Content::new(), 0, vec![0; 1 << 20]);
    while at < total {
        client.read_exact(&mut buf).unwrap();
        content.check(at, &buf);
        at += buf.len() as u64;
        thread::sleep(ms(20));
    }
    assert_eq!(take(&client), 0);
}
