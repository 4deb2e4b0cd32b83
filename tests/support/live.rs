//! A watcher of `GET /live`: reads server-sent events as a browser does.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::DEADLINE;

/// One message of a stream.
#[derive(Debug)]
pub struct LiveMessage {
    /// `history`, `tick` or `event`.
    pub event: String,
    /// What it holds.
    pub data: Value,
}

/// A stream.
pub struct Watcher(BufReader<TcpStream>);

impl Watcher {
    /// Opens a stream of the admin API at this address.
    pub fn open(admin: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(admin).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(stream, "GET /live HTTP/1.0\r\nhost: {admin}\r\n\r\n").unwrap();
        let mut watcher = Self(BufReader::new(stream));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(watcher.0.read_line(&mut head).unwrap() > 0, "{head}");
        }
        assert!(head.contains(" 200 ") && head.contains("text/event-stream"), "{head}");
        watcher
    }

    /// The next message.
    pub fn next(&mut self) -> LiveMessage {
        let mut message = LiveMessage { event: String::new(), data: Value::Null };
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream has ended");
            match line.trim_end().split_once(": ") {
                Some(("event", name)) => message.event = name.into(),
                Some(("data", data)) => message.data = serde_json::from_str(data).unwrap(),
                Some(_) => {}
                None if message.event.is_empty() => {}
                None => return message,
            }
        }
    }

    /// What the next message of this kind holds that is like this.
    pub fn find(&mut self, event: &str, like: impl Fn(&Value) -> bool) -> Value {
        let begun = std::time::Instant::now();
        loop {
            let message = self.next();
            if message.event == event && like(&message.data) {
                return message.data;
            }
            assert!(begun.elapsed() < DEADLINE, "no such {event}; the last message: {message:?}");
        }
    }
}
