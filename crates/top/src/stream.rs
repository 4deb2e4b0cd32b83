//! Reads server-sent events (HTML Living Standard, 9.2.6) as the admin API sends them.

use std::io::{self, BufRead, Read};

use serde::de::DeserializeOwned;

use crate::message::{History, Message};

/// Bytes of one line: a second of a process with 10,000 servers.
const LINE_BYTES_MAX: u64 = 32 << 20;

/// Hands on each message until the stream ends or `each` returns false.
///
/// # Errors
/// The stream breaks off, or is not that of Evenkeel.
pub fn read(mut stream: impl BufRead, mut each: impl FnMut(Message) -> bool) -> io::Result<()> {
    let (mut event, mut line) = (String::new(), String::new());
    loop {
        line.clear();
        if stream.by_ref().take(LINE_BYTES_MAX).read_line(&mut line)? == 0 {
            return Ok(());
        }
        if !line.ends_with('\n') {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message is too long"));
        }
        match line.trim_end().split_once(": ") {
            Some(("event", name)) => name.clone_into(&mut event),
            Some(("data", data)) => {
                let wants_more = parse(&event, data)?.is_none_or(&mut each);
                if !wants_more {
                    return Ok(());
                }
            }
            // An id, a time to wait, a comment, or the end of a message.
            _ => {}
        }
    }
}

/// `None` of an event that a newer process has.
fn parse(event: &str, data: &str) -> io::Result<Option<Message>> {
    Ok(match event {
        "history" => Some(Message::History(json::<History>(data)?.points)),
        "tick" => Some(Message::Tick(Box::new(json(data)?))),
        "event" => Some(Message::Event(json(data)?)),
        _ => None,
    })
}

fn json<T: DeserializeOwned>(data: &str) -> io::Result<T> {
    serde_json::from_str(data).map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_whatever_else_stands_between_them() {
        let text = "retry: 1000\n\nevent: history\ndata: {\"points\":[{\"rps\":3.5}]}\n\n: a comment\n\
            event: weather\ndata: {}\n\nevent: event\nid: 7\ndata: {\"seq\":7,\"what\":\"x\"}\n\n\
            event: tick\ndata: {\"status\":{\"pid\":9,\"pools\":[{\"name\":\"a\",\"new\":1}]}}\n\n";
        let mut seen = Vec::new();
        read(text.as_bytes(), |message| {
            seen.push(match message {
                Message::History(points) => format!("history {}", points[0].rps),
                Message::Event(event) => format!("event {}", event.seq),
                Message::Tick(tick) => format!("tick {} {}", tick.status.pid, tick.status.pools[0].name),
                Message::Lost(why) => why,
            });
            true
        })
        .unwrap();
        assert_eq!(seen, ["history 3.5", "event 7", "tick 9 a"]);
    }

    #[test]
    fn what_is_no_stream_is_an_error_and_a_reader_may_stop() {
        assert!(read("event: tick\ndata: <html>\n".as_bytes(), |_| true).is_err());
        assert!(read("data: and no more".as_bytes(), |_| true).is_err());
        let mut count = 0;
        let two = "event: tick\ndata: {}\n\n".repeat(2);
        read(two.as_bytes(), |_| {
            count += 1;
            false
        })
        .unwrap();
        assert_eq!(count, 1);
    }
}
