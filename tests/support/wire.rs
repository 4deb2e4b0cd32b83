//! One end of a connection that speaks HTTP/1.1 by the letter, in clear or over TLS, and notices whatever is not.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use rustls::Connection;

use super::DEADLINE;
use super::message::{Body, Fault, Framing, Head, Response, latin1, status};

/// A connection, with what was read of it but not yet taken.
pub struct Wire {
    stream: TcpStream,
    session: Option<Box<Connection>>,
    buffer: Vec<u8>,
    seen: Option<Vec<u8>>,
    ended: bool,
}

impl Wire {
    /// Takes over a connected stream.
    pub fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, session: None, buffer: Vec::new(), seen: None, ended: false }
    }

    /// The same, and every byte received is kept for [`Wire::take_seen`].
    pub fn recording(stream: TcpStream) -> Self {
        Self { seen: Some(Vec::new()), ..Self::new(stream) }
    }

    /// Shakes hands over TLS; everything after that is encrypted.
    pub fn shake_hands(&mut self, mut session: Connection) -> Result<(), Fault> {
        while session.is_handshaking() || session.wants_write() {
            session.complete_io(&mut self.stream).map_err(|error| fault(&error))?;
        }
        self.session = Some(Box::new(session));
        Ok(())
    }

    /// What the handshake came to.
    pub fn session(&self) -> &Connection {
        self.session.as_ref().expect("the connection is in clear")
    }

    /// The stream below, for what the tests need beyond HTTP.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sets how long a read waits before it is [`Fault::Silent`].
    pub fn patience(&mut self, limit: Duration) {
        self.stream.set_read_timeout(Some(limit)).unwrap();
    }

    /// Writes all of `bytes`; a peer that is gone is noticed by the next read. False when it could not.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let (stream, bytes) = (&mut self.stream, bytes.as_ref());
        let write = |out: &mut dyn Write| out.write_all(bytes).and_then(|()| out.flush()).is_ok();
        match self.session.as_deref_mut() {
            None => write(stream),
            Some(Connection::Client(session)) => write(&mut rustls::Stream::new(session, stream)),
            Some(Connection::Server(session)) => write(&mut rustls::Stream::new(session, stream)),
        }
    }

    /// Ends the sending side only: a FIN, after the alert that announces it if there is TLS.
    pub fn finish(&mut self) {
        self.notify();
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Closes the connection in good order.
    pub fn close(&mut self) {
        self.ended = true;
        self.notify();
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Resets the connection: an RST.
    pub fn reset(&mut self) {
        self.ended = true;
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// True once [`Wire::close`] or [`Wire::reset`] was called.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Reads and drops whatever comes until the peer ends the connection; true when it did within the deadline.
    pub fn hold(&mut self) -> bool {
        loop {
            match self.fill() {
                Ok(()) => {
                    self.buffer.clear();
                    self.seen = None;
                }
                Err(fault) => return fault.is_end(),
            }
        }
    }

    /// The bytes received since the last call.
    pub fn take_seen(&mut self) -> Vec<u8> {
        let Some(seen) = &mut self.seen else { return Vec::new() };
        let taken = seen.len() - self.buffer.len();
        seen.drain(..taken).collect()
    }

    /// Some bytes, as soon as there are any.
    pub fn some(&mut self) -> Result<Vec<u8>, Fault> {
        if self.buffer.is_empty() {
            self.fill()?;
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    /// Exactly `count` bytes.
    pub fn exactly(&mut self, count: usize) -> Result<Vec<u8>, Fault> {
        while self.buffer.len() < count {
            self.fill().map_err(cut)?;
        }
        Ok(self.buffer.drain(..count).collect())
    }

    /// All bytes until the peer closes in good order.
    pub fn until_end(&mut self) -> Result<Vec<u8>, Fault> {
        loop {
            match self.fill() {
                Ok(()) => {}
                Err(Fault::Closed) => return Ok(std::mem::take(&mut self.buffer)),
                Err(fault) => return Err(fault),
            }
        }
    }

    /// A head up to its empty line.
    pub fn head(&mut self) -> Result<Head, Fault> {
        let start = match self.line() {
            Err(Fault::Cut) if self.buffer.is_empty() => return Err(Fault::Closed),
            other => other?,
        };
        Ok(Head { start, fields: self.fields()? })
    }

    /// The body that a head announces; `until_close` says what the absence of framing means.
    pub fn body(&mut self, head: &Head, until_close: bool) -> Result<Body, Fault> {
        let lengths = head.headers("content-length");
        let codings = head.headers("transfer-encoding");
        match (lengths.as_slice(), codings.as_slice()) {
            ([], []) if until_close => {
                Ok(Body { bytes: self.until_end()?, framing: Framing::UntilClose, ..Body::default() })
            }
            ([], []) => Ok(Body::default()),
            ([length], []) => {
                let count = length.parse().map_err(|_| malformed("content-length", length))?;
                Ok(Body { bytes: self.exactly(count)?, framing: Framing::Length, ..Body::default() })
            }
            ([], ["chunked"]) => self.chunks(),
            _ => Err(malformed("framing", &format!("{lengths:?} {codings:?}"))),
        }
    }

    /// The response to a request with `method`, with the 1xx ones before it.
    pub fn response(&mut self, method: &str) -> Result<Response, Fault> {
        let mut interim = Vec::new();
        loop {
            let head = self.head()?;
            let status = status(&head.start)?;
            if (100..200).contains(&status) && status != 101 {
                interim.push(head);
                continue;
            }
            let bodiless = method == "HEAD" || matches!(status, 101 | 204 | 304);
            let body = if bodiless { Body::default() } else { self.body(&head, true)? };
            return Ok(Response { status, head, body, interim });
        }
    }

    fn chunks(&mut self) -> Result<Body, Fault> {
        let (mut bytes, mut lines) = (Vec::new(), Vec::new());
        loop {
            let line = self.line()?;
            let digits = line.split(';').next().unwrap_or_default();
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(malformed("chunk size", &line));
            }
            let size = usize::from_str_radix(digits, 16).map_err(|_| malformed("chunk size", &line))?;
            lines.push(line);
            if size == 0 {
                let trailers = self.fields()?;
                return Ok(Body { bytes, framing: Framing::Chunked(lines), trailers });
            }
            bytes.extend(self.exactly(size)?);
            if self.exactly(2)? != b"\r\n" {
                return Err(malformed("chunk", "no CRLF behind it"));
            }
        }
    }

    fn fields(&mut self) -> Result<Vec<(String, String)>, Fault> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            let (name, value) = line.split_once(':').ok_or_else(|| malformed("field", &line))?;
            if name.is_empty() || !name.bytes().all(is_token) {
                return Err(malformed("field name", name));
            }
            fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        }
    }

    fn line(&mut self) -> Result<String, Fault> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let Some(line) = line.strip_suffix(b"\r\n") else {
                    return Err(malformed("line", &latin1(&line)));
                };
                if line.iter().any(|b| matches!(b, b'\r' | 0)) {
                    return Err(malformed("line", &latin1(line)));
                }
                return Ok(latin1(line));
            }
            self.fill().map_err(cut)?;
        }
    }

    /// Says over TLS that nothing more will be sent.
    fn notify(&mut self) {
        if let Some(session) = &mut self.session {
            session.send_close_notify();
            let _ = session.complete_io(&mut self.stream);
        }
    }

    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        match self.session.as_deref_mut() {
            None => self.stream.read(space),
            Some(Connection::Client(session)) => rustls::Stream::new(session, &mut self.stream).read(space),
            Some(Connection::Server(session)) => rustls::Stream::new(session, &mut self.stream).read(space),
        }
    }

    fn fill(&mut self) -> Result<(), Fault> {
        let mut space = [0; 16 * 1024];
        match self.read(&mut space) {
            Ok(0) => Err(Fault::Closed),
            Ok(count) => {
                self.buffer.extend_from_slice(&space[..count]);
                if let Some(seen) = &mut self.seen {
                    seen.extend_from_slice(&space[..count]);
                }
                Ok(())
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => self.fill(),
            Err(e) => Err(fault(&e)),
        }
    }
}

fn fault(error: &io::Error) -> Fault {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Fault::Silent,
        // These two come from TLS alone.
        ErrorKind::UnexpectedEof => Fault::Cut,
        ErrorKind::InvalidData => Fault::Tls(error.to_string()),
        _ => Fault::Reset,
    }
}

fn cut(fault: Fault) -> Fault {
    if fault == Fault::Closed { Fault::Cut } else { fault }
}

fn malformed(what: &str, text: &str) -> Fault {
    Fault::Malformed(format!("{what}: {text:?}"))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
