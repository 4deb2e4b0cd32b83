//! A response as a value: what handling a request comes to, and what its client's writer sends.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use evenkeel_core::health::TermWatch;
use evenkeel_observe::Ended;

use crate::cache::store::Object;
use crate::forward::driver::Permit;
use crate::http::framing::Framing;
use crate::http::head::ResponseHead;
use crate::http::version::Version;
use crate::http::write;
use crate::server::Link;
use crate::stream::Stream;

/// A final response.
#[derive(Debug)]
pub struct Response<'x, 'c> {
    /// Status and fields.
    pub head: Head,
    /// What follows the head.
    pub body: Body<'x, 'c>,
    /// How the body is delimited where it comes from.
    pub framing: Framing,
    /// How the request has ended once all of this is sent.
    pub ended: Ended,
    /// True if the client's connection cannot carry another request.
    pub closes: bool,
}

/// What follows the head of a response.
#[derive(Debug)]
pub enum Body<'x, 'c> {
    /// Nothing.
    Empty,
    /// These bytes.
    Bytes(Cow<'x, [u8]>),
    /// These bytes, which others have as well.
    Shared(Bytes),
    /// The body of this kept response, which lies in one piece.
    Kept(Arc<Object>),
    /// What comes piece by piece.
    Stream(Stream<'x, 'c>),
    /// Another protocol, both ways.
    Tunnel(Box<Tunnel>),
}

/// A response that is there whole.
#[derive(Debug)]
pub struct WholeResponse {
    /// Status and fields.
    pub head: Head,
    /// How the body is delimited. Chunks are written as this crate writes them, and go to clients of HTTP/1.1 as they are.
    pub framing: Framing,
    /// The server's answer, which ends with the body.
    pub answer: Vec<u8>,
    /// Where that begins.
    pub body: usize,
    /// Bytes of data in it.
    pub bytes: u64,
    /// Bytes of the request's body.
    pub bytes_in: usize,
    /// What the request holds of the pool and the server, until its client has the response.
    pub permit: Option<Permit>,
}

/// A connection to a server, or a stream of one, that has agreed to another protocol.
#[derive(Debug)]
pub struct Tunnel {
    /// The connection, or the place on it.
    pub link: Link,
    /// What the server has sent behind its head.
    pub early: Vec<u8>,
    /// The protocol.
    pub protocol: Vec<u8>,
    /// How long nothing may move through it.
    pub idle: Duration,
    /// Ends it when the server loses its role.
    pub term: TermWatch,
    /// What the request holds of the pool and the server; given back when this is dropped.
    pub _permit: Option<Permit>,
}

/// Status and fields of a response, without those that say how long its body is and whether its connection stays: these
/// are the writer's. In the form of HTTP/1.1.
#[derive(Debug)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// True if a server has said when it made the response.
    pub has_date: bool,
    /// True if it has the server's `X-Request-Id`, which the client is to see.
    pub has_request_id: bool,
    /// The status line, and behind it the field lines, each with its CRLF.
    bytes: Vec<u8>,
    /// Where the field lines begin.
    lines: usize,
}

impl Head {
    /// A head without fields, in this buffer.
    pub fn new(status: u16, reason: &[u8], mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        write::status_line(&mut buffer, status, reason);
        let lines = buffer.len();
        Self { status, has_date: false, has_request_id: false, bytes: buffer, lines }
    }

    /// The head of an answer without its fields, in this buffer. `buf` begins with the answer's head, whose lines of fields
    /// begin at `fields`.
    pub fn of_answer(head: &ResponseHead, buf: &[u8], fields: usize, mut buffer: Vec<u8>) -> Self {
        let reason = head.reason.of_bytes(buf);
        // A status line as we would write it, in which only the reason has no fixed length.
        if head.version != Version::Http11 || fields != "HTTP/1.1 200 \r\n".len() + reason.len() {
            return Self::new(head.status, reason, buffer);
        }
        buffer.clear();
        buffer.extend_from_slice(&buf[..fields]);
        let (has_date, has_request_id) = (false, false);
        Self { status: head.status, has_date, has_request_id, bytes: buffer, lines: fields }
    }

    /// The field lines.
    pub fn lines(&self) -> &[u8] {
        &self.bytes[self.lines..]
    }

    /// Where further lines are written.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Adds a field.
    pub fn field(&mut self, name: &str, value: &[u8]) {
        write::field(&mut self.bytes, name, value);
    }

    /// The value of the first field of that name, in any case.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        self.each_line().find_map(|line| valued(line, name))
    }

    /// The values of the fields of that name, in any case, one for each line.
    pub fn values<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
        self.each_line().filter_map(move |line| valued(line, name))
    }

    fn each_line(&self) -> impl Iterator<Item = &[u8]> {
        let mut left = self.lines();
        std::iter::from_fn(move || {
            let (line, rest) = left.split_at(memchr::memchr(b'\n', left)? + 1);
            left = rest;
            Some(line)
        })
    }

    /// Removes the fields whose names `is_gone` holds for.
    pub fn remove(&mut self, is_gone: impl Fn(&[u8]) -> bool) {
        let mut kept = self.lines;
        let mut at = self.lines;
        while let Some(end) = memchr::memchr(b'\n', &self.bytes[at..]).map(|end| at + end + 1) {
            let line = &self.bytes[at..end];
            let name = &line[..memchr::memchr(b':', line).unwrap_or(0)];
            if !is_gone(name) {
                self.bytes.copy_within(at..end, kept);
                kept += end - at;
            }
            at = end;
        }
        self.bytes.truncate(kept);
    }

    /// Status line and field lines.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// The value of a field line, if it has this name.
fn valued<'h>(line: &'h [u8], name: &str) -> Option<&'h [u8]> {
    let (named, value) = line.split_at_checked(name.len())?;
    let value = value.strip_prefix(b":")?;
    named.eq_ignore_ascii_case(name.as_bytes()).then(|| value.trim_ascii())
}

impl<'x> Response<'x, '_> {
    /// A response of our own with this head, and with these bytes behind it where its status allows that
    /// (RFC 9110, 8.6: neither 204 nor 304 may promise a length that is not there; 205 promises an empty one).
    pub fn of_bytes(head: Head, body: impl Into<Cow<'x, [u8]>>) -> Self {
        let body = body.into();
        let (framing, body) = match head.status {
            204 | 304 => (Framing::Empty, Body::Empty),
            205 => (Framing::Length(0), Body::Empty),
            _ => (Framing::Length(body.len() as u64), Body::Bytes(body)),
        };
        Self { head, body, framing, ended: Ended::Complete, closes: false }
    }
}

/// The reason phrase of a status that we say ourselves; empty for one without a name (RFC 9110, 15).
pub fn reason(status: u16) -> &'static str {
    ::http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name_in_any_case() {
        let mut head = Head::new(200, b"OK", Vec::new());
        for (name, value) in [("Vary", "a"), ("vary-x", "b"), ("ary", "c"), ("vARY", " d:e ")] {
            head.field(name, value.as_bytes());
        }
        assert_eq!(head.values("vary").collect::<Vec<_>>(), [&b"a"[..], b"d:e"]);
        assert_eq!((head.value("vary"), head.value("var")), (Some(&b"a"[..]), None));
    }

    #[test]
    fn fields_are_removed_by_name_and_the_rest_keeps_its_order() {
        let mut head = Head::new(200, b"OK", Vec::new());
        for (name, value) in [("a", "1"), ("B", "2"), ("c", ""), ("b", "3")] {
            head.field(name, value.as_bytes());
        }
        head.remove(|name| name.eq_ignore_ascii_case(b"b"));
        assert_eq!(head.lines(), b"a: 1\r\nc: \r\n");
        assert_eq!(head.into_bytes(), b"HTTP/1.1 200 OK\r\na: 1\r\nc: \r\n");
    }
}
