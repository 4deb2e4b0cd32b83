//! The way back to a client: head, body and trailers, in as few writes as can be.

mod http2;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::IoSlice;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use evenkeel_net::Io;
use h2::Reason;

pub use self::http2::ToHttp2;
use crate::http::framing::Framing;
use crate::http::version::Version;
use crate::http::write;
use crate::worker::Worker;
use crate::worker::buffers::MEDIUM;
use crate::worker::timer::{Timer, WriteError};

/// The field that says how many servers were sent the request.
pub const ATTEMPTS: &str = "x-evenkeel-attempts";

/// The response on its way out.
#[derive(Debug)]
pub struct Reply<'a> {
    worker: &'a Worker,
    way: Way<'a>,
    timer: Timer,
    stall: Duration,
    out: Vec<u8>,
    /// Lines of the final head that do not depend on who answers.
    fields: Vec<u8>,
    version: Version,
    to_head: bool,
    chunked: bool,
    /// Whether the client waits for a 100 before it sends its body. Without one it may send the body all the same or
    /// go on to its next request, and nobody can tell which.
    pub owes_continue: Option<&'a Cell<bool>>,
    /// Whether the connection may carry another request.
    pub keep_alive: bool,
    /// What `X-Evenkeel-Attempts` says; 0 is nothing.
    pub attempts: u32,
    status: u16,
    bytes: u64,
    on_the_wire: bool,
    until_close: bool,
    whole: bool,
}

/// What a response goes out over.
#[derive(Debug)]
pub enum Way<'a> {
    /// A connection of its own.
    Http1(&'a Io),
    /// A stream among others.
    Http2(ToHttp2),
}

impl<'a> Reply<'a> {
    /// The way back for a request of `version`.
    pub fn new(worker: &'a Worker, way: Way<'a>, stall: Duration, version: Version) -> Self {
        Self {
            worker,
            way,
            timer: Timer::new(worker.clock),
            stall,
            out: Vec::new(),
            fields: Vec::new(),
            version,
            to_head: false,
            chunked: false,
            owes_continue: None,
            keep_alive: false,
            attempts: 0,
            status: 0,
            bytes: 0,
            on_the_wire: false,
            until_close: false,
            whole: false,
        }
    }

    /// Says that the request was a HEAD: the response's body stays away.
    pub fn answers_head(&mut self, to_head: bool) {
        self.to_head = to_head;
    }

    /// Adds lines, each with its CRLF, to the head of the final response, whoever gives it.
    pub fn add_fields(&mut self, lines: Vec<u8>) {
        self.worker.buffers.give(std::mem::replace(&mut self.fields, lines));
    }

    /// The status of the final response; 0 while there is none.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Bytes of body that went out.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// True as long as another response can take the place of this one.
    pub fn is_unsent(&self) -> bool {
        !self.on_the_wire
    }

    /// True once all of it has been written.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Gives up a response that cannot be completed, so that the client can see that it is cut.
    pub fn cut(&mut self) {
        match &mut self.way {
            // Only a reset tells a client that takes the close for the end.
            Way::Http1(io) if self.until_close => io.reset_on_close(),
            Way::Http1(_) => {}
            Way::Http2(stream) => stream.reset(Reason::INTERNAL_ERROR),
        }
    }

    /// Ends the stream of a request that breaks the protocol; false if it came over a connection of its own.
    pub fn refuse_stream(&mut self) -> bool {
        match &mut self.way {
            Way::Http1(_) => false,
            Way::Http2(stream) => {
                stream.reset(Reason::PROTOCOL_ERROR);
                true
            }
        }
    }

    /// The connection that it goes to, which is its own.
    pub fn io(&self) -> Option<&'a Io> {
        match &self.way {
            Way::Http1(io) => Some(io),
            Way::Http2(_) => None,
        }
    }

    /// Waits for `work`, unless the client's connection fails first.
    ///
    /// # Errors
    /// The client is gone.
    pub async fn unless_gone<F: Future>(&mut self, work: F) -> Result<F::Output, WriteError> {
        self.unless(Io::poll_failed, work).await
    }

    /// The same, and a client of HTTP/1.1 that has ended its side is taken to have left as well. Most have; and who
    /// only has nothing more to send loses a request that was not begun.
    ///
    /// # Errors
    /// The client has left.
    pub async fn unless_left<F: Future>(&mut self, work: F) -> Result<F::Output, WriteError> {
        self.unless(Io::poll_ended, work).await
    }

    async fn unless<F: Future>(
        &mut self,
        is_gone: fn(&Io, &mut Context<'_>) -> Poll<()>,
        work: F,
    ) -> Result<F::Output, WriteError> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(output) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            let gone = match &mut self.way {
                Way::Http1(io) => is_gone(io, cx),
                Way::Http2(stream) => stream.poll_failed(cx),
            };
            gone.map(|()| Err(WriteError::Failed))
        })
        .await
    }

    /// Forgets a response of which nothing has gone out.
    pub fn reset(&mut self) {
        debug_assert!(self.is_unsent());
        self.out.clear();
        self.status = 0;
        self.bytes = 0;
        self.until_close = false;
        self.whole = false;
        if let Way::Http2(stream) = &mut self.way {
            (stream.head, stream.trailers) = (None, None);
        }
    }

    /// Begins a head. Its fields go to the buffer that is returned; [`Self::head_done`] must follow.
    pub fn head(&mut self, status: u16, reason: &[u8]) -> &mut Vec<u8> {
        self.status = status;
        self.need_buffer();
        if let Way::Http1(_) = self.way {
            self.out.extend_from_slice(b"HTTP/1.1 ");
            write::number(&mut self.out, u64::from(status));
            self.out.push(b' ');
            self.out.extend_from_slice(reason);
            self.out.extend_from_slice(b"\r\n");
        }
        &mut self.out
    }

    fn need_buffer(&mut self) {
        if self.out.capacity() == 0 {
            self.out = self.worker.buffers.medium();
        }
    }

    /// Ends the head with what says how long the body is, and whether the connection stays.
    /// `framing` is how the body comes to us.
    pub fn head_done(&mut self, framing: Framing) {
        self.chunked = false;
        if self.attempts > 0 {
            write::field(&mut self.out, ATTEMPTS, itoa::Buffer::new().format(self.attempts).as_bytes());
        }
        if !self.fields.is_empty() {
            self.out.extend_from_slice(&self.fields);
        }
        match framing {
            // What has no body says nothing about its length, except where a zero must be said.
            Framing::Empty => {}
            Framing::Length(length) => write::content_length(&mut self.out, length),
            // The end of the stream says it.
            Framing::Chunked | Framing::UntilClose if self.version == Version::Http2 => {}
            Framing::Chunked | Framing::UntilClose if self.version == Version::Http11 => {
                self.chunked = true;
                self.out.extend_from_slice(b"transfer-encoding: chunked\r\n");
            }
            // An HTTP/1.0 client sees the end of the body by the end of the connection.
            Framing::Chunked | Framing::UntilClose => {
                self.keep_alive = false;
                self.until_close = true;
            }
        }
        // Known only now: the process may have begun to leave while the server was at work.
        self.keep_alive &= !self.worker.is_leaving() && !self.owes_continue.is_some_and(Cell::get);
        if let Way::Http2(stream) = &mut self.way {
            stream.head = Some((self.status, self.out.len()));
            return;
        }
        if !self.keep_alive {
            self.out.extend_from_slice(b"connection: close\r\n");
        } else if self.version == Version::Http10 {
            self.out.extend_from_slice(b"connection: keep-alive\r\n");
        }
        self.out.extend_from_slice(b"\r\n");
    }

    /// Ends the head of a 101: from here on the connection is a tunnel.
    pub fn switch_done(&mut self, protocol: &[u8]) {
        self.keep_alive = false;
        if let Way::Http2(stream) = &mut self.way {
            stream.head = Some((self.status, self.out.len()));
            return;
        }
        self.out.extend_from_slice(b"connection: upgrade\r\n");
        write::field(&mut self.out, "upgrade", protocol);
        self.out.extend_from_slice(b"\r\n");
    }

    /// Sends an interim response (RFC 9110, 15.2), whose lines `fields` writes. Not to HTTP/1.0 clients.
    ///
    /// # Errors
    /// The client is gone.
    pub async fn interim(
        &mut self,
        status: u16,
        fields: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), WriteError> {
        if self.version == Version::Http10 {
            return Ok(());
        }
        self.head(status, reason(status).as_bytes());
        self.status = 0;
        if let Some(owes) = self.owes_continue.filter(|_| status == 100) {
            owes.set(false);
        }
        fields(&mut self.out);
        if let Way::Http2(stream) = &mut self.way {
            let sent = stream.interim(status, &self.out);
            self.out.clear();
            return sent;
        }
        self.out.extend_from_slice(b"\r\n");
        let unsent = self.is_unsent();
        let sent = self.flush().await;
        // A final error can still follow an interim response.
        self.on_the_wire = !unsent;
        sent
    }

    /// Sends a piece of the body. Small ones wait for [`Self::flush`].
    ///
    /// # Errors
    /// The client is gone.
    pub async fn data(&mut self, piece: &[u8]) -> Result<(), WriteError> {
        if self.to_head || piece.is_empty() {
            return Ok(());
        }
        self.bytes += piece.len() as u64;
        let mut line = [0; 18];
        let (before, after): (&[u8], &[u8]) =
            if self.chunked { (write::chunk_size(piece.len(), &mut line), b"\r\n") } else { (b"", b"") };
        if self.out.len() + piece.len() + 20 <= MEDIUM {
            self.need_buffer();
            for part in [before, piece, after] {
                self.out.extend_from_slice(part);
            }
            return Ok(());
        }
        // In a box, for what is small is the rule.
        Box::pin(self.send([before, piece, after])).await
    }

    /// Sends what waits, and these parts of the body behind it.
    async fn send(&mut self, [before, piece, after]: [&[u8]; 3]) -> Result<(), WriteError> {
        self.on_the_wire = true;
        let out = std::mem::take(&mut self.out);
        let stall = self.stall.into();
        let sent = match &mut self.way {
            Way::Http1(io) => {
                let mut slices = [&out[..], before, piece, after].map(IoSlice::new);
                self.timer.write_all(stall, io, &mut slices).await
            }
            Way::Http2(stream) => match stream.flush(&out, &mut self.timer, stall).await {
                Ok(()) => stream.send(piece, false, &mut self.timer, stall).await,
                failed => failed,
            },
        };
        self.out = out;
        self.out.clear();
        sent
    }

    /// Sends bytes that are no part of a message: what a tunnel begins with.
    ///
    /// # Errors
    /// The client is gone.
    pub async fn raw(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.out.extend_from_slice(bytes);
        self.flush().await
    }

    /// Ends the body; `trailers` is a section with its empty line, or nothing. [`Self::flush`] must follow.
    pub fn end(&mut self, trailers: &[u8]) {
        self.whole = true;
        if let Way::Http2(stream) = &mut self.way {
            stream.trailers = Some(if self.to_head { Vec::new() } else { trailers.to_vec() });
            return;
        }
        self.need_buffer();
        if self.chunked && !self.to_head {
            self.out.extend_from_slice(b"0\r\n");
            self.out.extend_from_slice(if trailers.is_empty() { b"\r\n" } else { trailers });
        }
    }

    /// Sends whatever waits.
    ///
    /// # Errors
    /// The client is gone.
    pub async fn flush(&mut self) -> Result<(), WriteError> {
        let ends =
            matches!(&self.way, Way::Http2(stream) if stream.head.is_some() || stream.trailers.is_some());
        if self.out.is_empty() && !ends {
            return Ok(());
        }
        self.on_the_wire = true;
        let out = std::mem::take(&mut self.out);
        let stall = self.stall.into();
        let sent = match &mut self.way {
            Way::Http1(io) => self.timer.write_all(stall, io, &mut [IoSlice::new(&out)]).await,
            Way::Http2(stream) => stream.flush(&out, &mut self.timer, stall).await,
        };
        // Whoever waits now, for a server that takes its time, holds no buffer.
        self.worker.buffers.give(out);
        sent
    }
}

impl Drop for Reply<'_> {
    fn drop(&mut self) {
        self.worker.buffers.give(std::mem::take(&mut self.out));
        self.worker.buffers.give(std::mem::take(&mut self.fields));
    }
}

/// The reason phrase of a status that we say ourselves; empty for one without a name (RFC 9110, 15).
pub fn reason(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("")
}
