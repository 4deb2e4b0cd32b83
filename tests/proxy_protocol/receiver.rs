//! A server that wants a PROXY header at the start of each connection, and answers every request behind it with 200.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// The server; what it received is on record.
pub struct Receiver {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    headers: Vec<Vec<u8>>,
    /// What came behind the headers, of all connections.
    rest: Vec<u8>,
    open: usize,
}

impl Receiver {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::<Mutex<Seen>>::default());
        let shared = seen.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, seen) = (stream.unwrap(), shared.clone());
                thread::spawn(move || serve(stream, &seen));
            }
        });
        Self { address, seen }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The header of each connection so far.
    pub fn headers(&self) -> Vec<Vec<u8>> {
        self.seen.lock().unwrap().headers.clone()
    }

    /// What came behind the headers.
    pub fn rest(&self) -> Vec<u8> {
        self.seen.lock().unwrap().rest.clone()
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.seen.lock().unwrap().open
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Seen>) {
    let mut header = Vec::new();
    while !is_whole(&header) {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => header.push(byte[0]),
            _ => return,
        }
    }
    {
        let mut seen = seen.lock().unwrap();
        seen.headers.push(header);
        seen.open += 1;
    }
    let (mut head, mut bytes) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = stream.read(&mut bytes) {
        seen.lock().unwrap().rest.extend_from_slice(&bytes[..read]);
        head.extend_from_slice(&bytes[..read]);
        // A handshake, which this server does not know.
        if head[0] == 0x16 {
            break;
        }
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            if stream.write_all(ANSWER).is_err() {
                break;
            }
        }
    }
    seen.lock().unwrap().open -= 1;
}

fn is_whole(header: &[u8]) -> bool {
    if header.starts_with(b"PROXY ") {
        return header.ends_with(b"\r\n");
    }
    let length = header.get(14..16).map(|length| usize::from(u16::from_be_bytes([length[0], length[1]])));
    length.is_some_and(|length| header.len() == 16 + length)
}
