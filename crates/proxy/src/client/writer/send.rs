//! A response goes out: its head, its body with the pace of both sides, and its trailers, in as few writes as can be.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::IoSlice;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use evenkeel_observe::Ended;

use super::{Progress, ResponseWriter, Way};
use crate::body::Advance;
use crate::forward::body::{ATTEMPTS, ServerBody};
use crate::http::framing::Framing;
use crate::http::version::Version;
use crate::http::write;
use crate::response::{Body, Head, Response, Tunnel};
use crate::stream::{Stream, StreamError};
use crate::worker::buffers::{MEDIUM, ReadSize};
use crate::worker::timer::WriteError;

/// What came of sending a response.
#[derive(Debug)]
pub enum Sent {
    /// The client has all of it.
    Whole(Ended),
    /// The client has the head; what follows is a tunnel.
    Tunnel(Box<Tunnel>),
    /// The client is gone, or has taken too little of it.
    Gone(WriteError),
    /// Its source failed within it before any of it was sent: another response can take its place.
    Unsent(StreamError),
    /// Its source failed within it: the client must see that it is cut.
    Cut(Ended, StreamError),
}

/// By whose doing a response broke off.
pub(super) enum Broken {
    /// The client's.
    Client(WriteError),
    /// The body's.
    Source(StreamError),
}

impl From<WriteError> for Broken {
    fn from(error: WriteError) -> Self {
        Self::Client(error)
    }
}

impl<'c> ResponseWriter<'c> {
    /// Sends a response.
    pub async fn send(&mut self, response: Response<'_, 'c>) -> Sent {
        let Response { head, body, framing, ended, closes } = response;
        self.keep_alive &= !closes;
        self.head(head, framing, &body);
        let sent = match body {
            Body::Empty => self.finish(b"").await,
            Body::Bytes(bytes) => self.bytes_of(&bytes).await,
            Body::Shared(bytes) => self.bytes_of(&bytes).await,
            Body::Kept(object) => self.bytes_of(object.short_body()).await,
            // What is not sent need not be read.
            Body::Stream(Stream::File(_) | Stream::Cached(_)) if self.to_head => self.finish(b"").await,
            Body::Stream(body) => return self.stream(body, ended).await,
            Body::Tunnel(tunnel) => return self.tunnel(tunnel).await,
        };
        match sent {
            Ok(()) => Sent::Whole(ended),
            Err(gone) => Sent::Gone(gone),
        }
    }

    async fn bytes_of(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.data(bytes).await?;
        self.finish(b"").await
    }

    /// Sends a body as it comes, and the rest of the request beside it.
    async fn stream(&mut self, mut body: Stream<'_, 'c>, ended: Ended) -> Sent {
        let mut sending = body.take_sending();
        let relayed = {
            let relaying = pin!(self.relay(&mut body));
            sending.until(relaying).await
        };
        match relayed {
            Ok(()) => {
                body.finish(&sending);
                Sent::Whole(ended)
            }
            Err(Broken::Client(gone)) => Sent::Gone(gone),
            Err(Broken::Source(error)) if !self.on_the_wire => {
                self.reset();
                Sent::Unsent(error)
            }
            Err(Broken::Source(error)) => Sent::Cut(body.broke_off(&error), error),
        }
    }

    /// The body, piece by piece.
    async fn relay(&mut self, body: &mut Stream<'_, '_>) -> Result<(), Broken> {
        // In boxes, because other bodies are the rule.
        match body {
            Stream::File(file) => Box::pin(self.send_file(file)).await?,
            Stream::Cached(kept) if kept.is_long() => Box::pin(self.send_kept(kept)).await?,
            _ => {}
        }
        loop {
            body.read_in(|| self.read_size());
            match body.advance().map_err(Broken::Source)? {
                Advance::Piece => self.data(body.piece()).await?,
                Advance::End => break,
                Advance::MustRead => {
                    if let Stream::Server(body) = body
                        && self.splices(body)
                    {
                        // In a box, because few bodies are so long.
                        Box::pin(self.splice(body)).await?;
                        if body.is_done() {
                            continue;
                        }
                    }
                    // What is there goes out before we wait for more.
                    self.flush().await?;
                    if let Stream::Server(body) = body {
                        self.read_on(body).await?;
                        continue;
                    }
                    let size = self.read_size();
                    self.unless_gone(body.read(size)).await?.map_err(Broken::Source)?;
                }
            }
        }
        let trailers = body.trailers().map_err(Broken::Source)?;
        Ok(self.finish(&trailers).await?)
    }

    /// Waits for more of what a server sends, and reads it; over HTTP/2 when the client takes it.
    async fn read_on(&mut self, body: &mut ServerBody<'_, '_>) -> Result<(), Broken> {
        let exchange = match &self.way {
            Way::Http2(stream) => Some(Rc::clone(stream.exchange())),
            Way::Http1(_) | Way::Fetch(_) => None,
        };
        loop {
            let worker = self.worker;
            let reading = poll_fn(|cx| {
                let size = match &exchange {
                    None => Some(ReadSize::Large),
                    // A stream that has nothing to send waits for no client.
                    Some(exchange) if !body.is_ready() => Some(exchange.session.unsent.read_size()),
                    Some(exchange) => exchange.read_size(),
                };
                let Some(size) = size else { return Poll::Ready(Ok(false)) };
                body.poll_read(cx, size.min(worker.unsent.read_size())).map_ok(|()| true)
            });
            let read = self.unless_gone(reading).await?;
            if read.map_err(|error| Broken::Source(StreamError::Server(error)))? {
                return Ok(());
            }
            let progress = Progress { worker: self.worker, bytes: self.bytes };
            if let Way::Http2(stream) = &mut self.way {
                // In a box, because most windows are open.
                Box::pin(stream.room(&mut self.wait, progress)).await?;
            }
        }
    }

    /// How much of a response is read at a time: less when many bytes wait for clients already.
    pub(super) fn read_size(&self) -> ReadSize {
        let size = self.worker.unsent.read_size();
        match &self.way {
            Way::Http1(_) | Way::Fetch(_) => size,
            Way::Http2(stream) => size.min(stream.read_size()),
        }
    }

    async fn tunnel(&mut self, tunnel: Box<Tunnel>) -> Sent {
        let sent = async {
            self.flush().await?;
            // What the server has sent behind its head already belongs to the new protocol.
            self.raw(&tunnel.early).await
        };
        match sent.await {
            Ok(()) => Sent::Tunnel(tunnel),
            Err(gone) => Sent::Gone(gone),
        }
    }

    /// Forgets a response of which nothing has gone out.
    fn reset(&mut self) {
        self.out.clear();
        self.status = 0;
        self.bytes = 0;
        self.until_close = false;
        self.whole = false;
        if let Way::Http2(stream) = &mut self.way {
            (stream.head, stream.trailers) = (None, None);
        }
    }

    /// Makes the head ready to be sent, with what says how long the body is, and whether the connection stays.
    fn head(&mut self, head: Head, framing: Framing, body: &Body<'_, '_>) {
        self.status = head.status;
        debug_assert!(self.out.is_empty(), "interim responses have gone out");
        match self.way {
            Way::Http1(_) | Way::Fetch(_) => {
                self.worker.buffers.give(std::mem::replace(&mut self.out, head.into_bytes()));
            }
            Way::Http2(_) => {
                self.need_buffer();
                self.out.extend_from_slice(head.lines());
                self.worker.buffers.give(head.into_bytes());
            }
        }
        if self.attempts > 0 {
            write::field(&mut self.out, ATTEMPTS, itoa::Buffer::new().format(self.attempts).as_bytes());
        }
        if !self.fields.is_empty() {
            self.out.extend_from_slice(&self.fields);
        }
        if let Body::Tunnel(tunnel) = body {
            return self.switch(&tunnel.protocol);
        }
        self.frame(framing);
        // Known only now: the process may have begun to leave while the server was at work.
        self.keep_alive &= !self.worker.is_leaving() && !self.owes_continue.is_some_and(Cell::get);
        if let Way::Http2(stream) = &mut self.way {
            stream.head = Some((self.status, self.out.len()));
            return;
        }
        write::end_head(&mut self.out, self.version, self.keep_alive);
    }

    /// Says how long the body is. `framing` is how it comes to us.
    fn frame(&mut self, framing: Framing) {
        self.chunked = false;
        match framing {
            Framing::Empty | Framing::Length(_) => write::framing(&mut self.out, framing),
            // The end of the stream says it.
            Framing::Chunked | Framing::UntilClose if self.version == Version::Http2 => {}
            Framing::Chunked | Framing::UntilClose if self.version == Version::Http11 => {
                self.chunked = true;
                write::framing(&mut self.out, Framing::Chunked);
            }
            // An HTTP/1.0 client sees the end of the body by the end of the connection.
            Framing::Chunked | Framing::UntilClose => {
                self.keep_alive = false;
                self.until_close = true;
            }
        }
    }

    /// Ends the head of a 101: from here on the connection is a tunnel.
    fn switch(&mut self, protocol: &[u8]) {
        self.keep_alive = false;
        self.wait.lift_rate();
        if let Way::Http2(stream) = &mut self.way {
            stream.head = Some((self.status, self.out.len()));
            return;
        }
        self.out.extend_from_slice(b"connection: upgrade\r\n");
        write::field(&mut self.out, "upgrade", protocol);
        self.out.extend_from_slice(b"\r\n");
    }

    /// Sends a piece of the body. Small ones wait for [`flush`](Self::flush).
    pub(super) async fn data(&mut self, piece: &[u8]) -> Result<(), WriteError> {
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
        // In a box, because small ones are the rule.
        Box::pin(self.send_parts([before, piece, after])).await
    }

    /// Sends what waits, and these parts of the body behind it.
    async fn send_parts(&mut self, [before, piece, after]: [&[u8]; 3]) -> Result<(), WriteError> {
        self.on_the_wire = true;
        let mut out = std::mem::take(&mut self.out);
        // The piece is counted already.
        let progress = Progress { worker: self.worker, bytes: self.bytes };
        let earlier = Progress { bytes: self.bytes - piece.len() as u64, ..progress };
        let sent = match &mut self.way {
            Way::Http1(io) => {
                let mut slices = [&out[..], before, piece, after].map(IoSlice::new);
                self.wait.write_all(progress, io, &mut slices).await
            }
            Way::Http2(stream) => match stream.flush(&mut out, &mut self.wait, earlier).await {
                Ok(()) => {
                    // The piece may have to wait; an empty buffer need not wait with it.
                    self.worker.buffers.give(std::mem::take(&mut out));
                    stream.send(piece, false, &mut self.wait, progress).await
                }
                failed => failed,
            },
            Way::Fetch(_) => Ok(()),
        };
        self.out = out;
        self.out.clear();
        sent
    }

    /// Ends the body, and sends whatever waits; `trailers` is a section with its empty line, or nothing.
    fn finish<'f>(
        &'f mut self,
        trailers: &[u8],
    ) -> impl Future<Output = Result<(), WriteError>> + use<'f, 'c> {
        self.end(trailers);
        self.flush()
    }

    /// Ends the body.
    pub(super) fn end(&mut self, trailers: &[u8]) {
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
}
