//! What a message is to the tests: a head, a body with its framing, and what can be wrong with either.

use std::ops::Deref;

/// Why no whole message was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing came within the deadline.
    Silent,
    /// The peer closed before the first byte.
    Closed,
    /// The peer closed in the middle of the message, or over TLS without the alert that announces it.
    Cut,
    /// The peer reset the connection.
    Reset,
    /// Not HTTP/1.1 by the letter of RFC 9112.
    Malformed(String),
    /// Not TLS, not a certificate to be trusted, or what the peer's alert says.
    Tls(String),
}

impl Fault {
    /// True when the connection ended, in whatever way.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Closed | Self::Cut | Self::Reset)
    }
}

/// A start line and its fields; bytes are held as Latin-1, so nothing is lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The start line without its CRLF.
    pub start: String,
    /// The fields in order; names as sent.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// The value of the only field of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let all = self.headers(name);
        assert!(all.len() <= 1, "`{name}` stands more than once: {self:?}");
        all.first().copied()
    }

    /// The values of all fields of that name.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// True when a comma-separated field of that name holds `token`.
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.headers(name).iter().flat_map(|v| v.split(',')).any(|t| t.trim().eq_ignore_ascii_case(token))
    }
}

/// How the end of a body was told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Framing {
    /// There is no body.
    #[default]
    Empty,
    /// Content-Length.
    Length,
    /// Chunked; the lines that gave the sizes, extensions included.
    Chunked(Vec<String>),
    /// The connection's end.
    UntilClose,
}

/// A body as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Body {
    /// The content, framing removed.
    pub bytes: Vec<u8>,
    /// How it was framed.
    pub framing: Framing,
    /// The trailer section of a chunked body.
    pub trailers: Vec<(String, String)>,
}

impl Body {
    /// The content as text.
    pub fn text(&self) -> String {
        latin1(&self.bytes)
    }
}

/// A request as a server received it.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its head.
    pub head: Head,
    /// Its body; empty when the server was scripted to look at the head alone.
    pub body: Body,
    /// Which connection of that server it came over, from 0.
    pub connection: usize,
    /// The exact bytes received on that connection since the request before.
    pub raw: Vec<u8>,
}

impl Request {
    /// The method.
    pub fn method(&self) -> &str {
        self.part(0)
    }

    /// The request target.
    pub fn target(&self) -> &str {
        self.part(1)
    }

    fn part(&self, index: usize) -> &str {
        self.head.start.split(' ').nth(index).unwrap_or_default()
    }
}

impl Deref for Request {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.head
    }
}

/// A response as a client received it.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Its head.
    pub head: Head,
    /// Its body.
    pub body: Body,
    /// The 1xx responses that came before it.
    pub interim: Vec<Head>,
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> String {
        self.body.text()
    }
}

impl Deref for Response {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.head
    }
}

/// The status code of a status line that is right by RFC 9112, section 4.
pub fn status(start: &str) -> Result<u16, Fault> {
    let wrong = || Fault::Malformed(format!("status line {start:?}"));
    let rest = start.strip_prefix("HTTP/1.1 ").ok_or_else(wrong)?;
    let (code, _) = rest.split_once(' ').ok_or_else(wrong)?;
    match code.parse() {
        Ok(status @ 100..=599) if code.len() == 3 => Ok(status),
        _ => Err(wrong()),
    }
}

/// Bytes as text in which every byte is one character.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|b| char::from(*b)).collect()
}
