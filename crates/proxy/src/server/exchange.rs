//! One round trip to a server: a request goes out over a connection, and its answer comes back. Forwarding, hedges,
//! mirrors and health checks all go this way.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::IoSlice;
use std::rc::Rc;

use evenkeel_types::Time;

use super::error::ServerError;
use super::h1;
use super::h2;
pub use super::outgoing::{OutgoingHead, Surroundings};
use super::pool::{Connection, Link, Upstream};
use super::upload::{Out, Passage, Sending, Upload, UploadError};
use crate::body::{Advance, Body, BodyLimits, FromHttp1, FromStream, Source};
use crate::http::field::{Field, Known, has_token};
use crate::http::framing::{self, Framing};
use crate::http::head::ResponseHead;
use crate::http::version::Version;
use crate::http2::Exchange;
use crate::worker::timer::{Elapsed, Limit, Timer};

/// Bytes of interim responses that one answer may begin with.
const INTERIM_BYTES_MAX: usize = 256 * 1024;
/// Interim responses that a server may send in a second.
const INTERIM_PER_SECOND_MAX: u32 = 100;

/// A request at a server, and what has come back so far.
#[derive(Debug)]
pub struct RoundTrip<'x> {
    around: Surroundings<'x>,
    link: Link,
    /// The stream that the answer comes over; `None` over HTTP/1.1.
    stream: Option<Rc<Exchange>>,
    /// True if a stream is to become a tunnel (RFC 8441).
    asks_for_tunnel: bool,
    buf: Vec<u8>,
    fields: Vec<Field>,
    interim: Interim,
    /// What the read before has failed with.
    failed: Option<ServerError>,
    /// When the head was written.
    pub sent: Time,
    /// When the last byte of the body was, if there is one.
    pub uploaded: Option<Time>,
}

/// The interim responses that have come.
#[derive(Debug, Default)]
struct Interim {
    bytes: usize,
    /// How many since when.
    recent: (u32, Time),
}

impl<'x> RoundTrip<'x> {
    /// One over `link`, of which nothing has been sent.
    pub fn over(around: Surroundings<'x>, link: Link) -> Box<Self> {
        let (buf, fields, interim) = (Vec::new(), Vec::new(), Interim::default());
        let (stream, asks_for_tunnel, failed) = (None, false, None);
        let (sent, uploaded) = (around.clock.now(), None);
        Box::new(Self { around, link, stream, asks_for_tunnel, buf, fields, interim, failed, sent, uploaded })
    }

    /// One that was `sent` whole over a connection of HTTP/1.1, with what a read has come to.
    pub fn resume(
        around: Surroundings<'x>,
        connection: Connection,
        (buf, failed): (Vec<u8>, Option<ServerError>),
        sent: Time,
        uploaded: Option<Time>,
    ) -> Box<Self> {
        let trip = Self::over(around, Link::Http1(connection));
        Box::new(Self { buf, failed, sent, uploaded, ..*trip })
    }

    /// Sends the head, whose lines it takes. With `rest` a body follows, which [`Sending`] sends; a head alone is sent at once.
    ///
    /// # Errors
    /// No stream could be opened for it.
    pub async fn send<'c>(
        &mut self,
        head: &mut OutgoingHead<'_>,
        rest: Option<&'x RefCell<Body<'c>>>,
        passage: &Passage<'x>,
        timer: &mut Timer,
    ) -> Result<Sending<'x, 'c>, ServerError> {
        let clock = self.around.clock;
        let going = |body, out| Sending::Going(Box::new(Upload::new(body, out, *passage, clock)));
        match &self.link {
            Link::Http1(Connection { io, .. }) => {
                let lines = std::mem::take(&mut head.lines);
                if let Some(body) = rest {
                    return Ok(going(body, Out::Http1(Rc::clone(io), lines)));
                }
                let written = timer.write_all(passage.stall, io, &mut [IoSlice::new(&lines)]).await;
                self.around.buffers.give(lines);
                Ok(Sending::Done(written.map_err(|_| UploadError::Server)))
            }
            Link::Http2(_) => {
                self.asks_for_tunnel = head.upgrade.is_some();
                let ends = rest.is_none() && head.upgrade.is_none();
                let opened = Box::pin(open_stream(&self.link, head, ends, passage.stall, timer)).await;
                self.around.buffers.give(std::mem::take(&mut head.lines));
                let stream = opened?;
                let out = rest.map(|body| (body, Out::Http2(Rc::clone(&stream))));
                self.stream = Some(stream);
                Ok(out.map_or(Sending::Done(Ok(())), |(body, out)| going(body, out)))
            }
        }
    }

    /// Sends the rest of the request; a head that comes before its end is returned.
    ///
    /// # Errors
    /// There is nothing to wait for any more: the client did not send its body, which [`Sending::result`] tells, or the
    /// server failed.
    pub async fn send_rest(
        &mut self,
        sending: &mut Sending<'_, '_>,
    ) -> Result<Option<ResponseHead>, ServerError> {
        if !sending.goes_on() {
            return Ok(None);
        }
        let early = {
            let mut reading = std::pin::pin!(self.read_head());
            sending.beside(reading.as_mut()).await
        };
        match (early, sending.result()) {
            (Some(head), _) => head.map(Some),
            (None, Some(Err(UploadError::Client(_)))) => Err(ServerError::Closed),
            (None, Some(Ok(()))) => {
                self.uploaded = Some(self.around.clock.now());
                Ok(None)
            }
            (None, _) => Ok(None),
        }
    }

    /// Waits for the first byte of the answer.
    ///
    /// # Errors
    /// The server closed or failed instead.
    pub async fn begun(&mut self) -> Result<(), ServerError> {
        let Self { around, link, stream, buf, .. } = self;
        match (link, stream) {
            (Link::Http1(Connection { io, .. }), _) => {
                match poll_fn(|cx| around.poll_head(io, cx, buf)).await {
                    Ok(0) => Err(ServerError::Closed),
                    Ok(_) => Ok(()),
                    Err(error) => Err(ServerError::Reset(error)),
                }
            }
            (Link::Http2(_), Some(stream)) => h2::begun(stream).await,
            (Link::Http2(_), None) => Ok(()),
        }
    }

    /// The status of a head that has not been read yet, if that much of it has come.
    pub fn status_begun(&self) -> Option<u16> {
        if let Some(stream) = &self.stream {
            return stream.status();
        }
        let digits = self.buf.strip_prefix(b"HTTP/1.")?.get(2..5)?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// Reads the next head. May be dropped while it waits without losing anything.
    ///
    /// # Errors
    /// The server closed, failed, or sent what is no acceptable head.
    pub async fn read_head(&mut self) -> Result<ResponseHead, ServerError> {
        let Self { around, link, stream, buf, fields, failed, .. } = self;
        if let Some(error) = failed.take() {
            return Err(error);
        }
        match (link, stream) {
            (Link::Http1(Connection { io, .. }), _) => {
                if buf.is_empty() {
                    let read = poll_fn(|cx| around.poll_head(io, cx, buf)).await;
                    if read.map_err(ServerError::Reset)? == 0 {
                        return Err(ServerError::Closed);
                    }
                }
                if fields.capacity() == 0 {
                    *fields = around.buffers.fields();
                }
                h1::read_head(io, buf, fields, around.heads).await
            }
            (Link::Http2(_), Some(stream)) => h2::read_head(stream, around.buffers, buf, fields).await,
            (Link::Http2(_), None) => Err(ServerError::Closed),
        }
    }

    /// Reads on to the final head, past interim ones.
    ///
    /// # Errors
    /// The same as [`read_head`](Self::read_head), or `limit` has passed.
    pub async fn read_final_head(
        &mut self,
        timer: &mut Timer,
        limit: Limit,
    ) -> Result<ResponseHead, ServerError> {
        loop {
            let head = match timer.within(limit, self.read_head()).await {
                Ok(head) => head?,
                Err(Elapsed) => return Err(ServerError::Timeout),
            };
            match head.status {
                101 => return Err(ServerError::Malformed("101 without being asked")),
                200.. => return Ok(head),
                _ => self.pass_interim(&head)?,
            }
        }
    }

    /// An interim response has been dealt with: makes room for the next head.
    ///
    /// # Errors
    /// There are too many of them.
    pub fn pass_interim(&mut self, head: &ResponseHead) -> Result<(), ServerError> {
        self.buf.drain(..head.len);
        let now = self.around.clock.now();
        let Interim { bytes, recent: (count, since) } = &mut self.interim;
        if now.since(*since) >= std::time::Duration::from_secs(1) {
            (*count, *since) = (0, now);
        }
        (*bytes, *count) = (*bytes + head.len, *count + 1);
        if *bytes > INTERIM_BYTES_MAX || *count > INTERIM_PER_SECOND_MAX {
            return Err(ServerError::TooManyInterim);
        }
        Ok(())
    }

    /// True if an answer of this status makes a tunnel of its stream (RFC 8441, 5).
    pub fn opens_tunnel(&self, status: u16) -> bool {
        self.asks_for_tunnel && matches!(status, 200..=299)
    }

    /// The bytes that the last head and its fields are positions in, and the fields.
    pub fn head(&self) -> (&[u8], &[Field]) {
        (&self.buf, &self.fields)
    }

    /// True if an interim response has been passed on.
    pub fn has_passed_interim(&self) -> bool {
        self.interim.bytes > 0
    }

    /// True if the server has begun to answer.
    pub fn has_started(&self) -> bool {
        self.has_passed_interim() || !self.buf.is_empty()
    }

    /// True if the connection was open before, and no byte of an answer came over it: most likely the server was closing
    /// it because it had been idle.
    pub fn is_untouched(&self) -> bool {
        self.link.reused() && !self.has_started()
    }

    /// The server was silent for too long: no other request is to wait at its connection.
    pub fn gave_no_answer(&self) {
        if let Link::Http2(place) = &self.link {
            place.give_up();
        }
    }

    /// The body behind the final head, of an answer to a HEAD request or not. `empty` is the framing of a body that the
    /// end of the head has ended, as HTTP/2 can say it.
    ///
    /// # Errors
    /// Its framing could be read in two ways.
    pub fn into_body(
        mut self,
        head: &ResponseHead,
        to_head: bool,
        empty: Framing,
        limits: BodyLimits,
    ) -> Result<AnswerBody<'x>, ServerError> {
        let around = self.around;
        let (fields, version) = ((&self.fields[..], head.known), head.version);
        let framing = match framing::of_response(&self.buf, fields, version, head.status, to_head) {
            Ok(framing) => framing,
            Err(error) => return Err(ServerError::Malformed(error.why())),
        };
        let stays = keeps_alive(&self.buf, &self.fields, head);
        around.buffers.give_fields(std::mem::take(&mut self.fields));
        let buf = std::mem::take(&mut self.buf);
        let (source, framing) = match &self.link {
            Link::Http1(Connection { io, .. }) => {
                let source =
                    FromHttp1::behind(io, around.buffers, framing, (buf, head.len), around.heads.bytes);
                (Source::Http1(source), framing)
            }
            Link::Http2(_) => {
                around.buffers.give(buf);
                let Some(stream) = self.stream.take() else { return Err(ServerError::Closed) };
                let is_bare = stream.is_bare();
                let framing = framing_of_stream(framing, is_bare, empty);
                (Source::Stream(FromStream::new(stream, length(framing), is_bare)), framing)
            }
        };
        let body = Body::new(source, framing, around.clock, limits);
        let link = Some(self.link);
        Ok(AnswerBody { body, link, stays: stays && framing != Framing::UntilClose })
    }

    /// The connection, and what has been read behind the head: it belongs to another protocol from here on.
    pub fn into_tunnel(self, head: &ResponseHead) -> (Link, Vec<u8>) {
        let early = self.buf[head.len..].to_vec();
        self.around.buffers.give(self.buf);
        self.around.buffers.give_fields(self.fields);
        (self.link, early)
    }
}

/// Opens a stream, and sends the head over it.
async fn open_stream(
    link: &Link,
    head: &OutgoingHead<'_>,
    ends: bool,
    stall: Limit,
    timer: &mut Timer,
) -> Result<Rc<Exchange>, ServerError> {
    let Link::Http2(place) = link else { return Err(ServerError::Unprocessed) };
    timer.within(stall, place.send(head, ends)).await.unwrap_or(Err(ServerError::Timeout))
}

/// Over HTTP/2 a head alone may be all of an answer.
fn framing_of_stream(framing: Framing, is_bare: bool, empty: Framing) -> Framing {
    match framing {
        Framing::UntilClose if is_bare => empty,
        Framing::UntilClose => Framing::Chunked,
        framing => framing,
    }
}

fn length(framing: Framing) -> Option<u64> {
    match framing {
        Framing::Length(length) => Some(length),
        Framing::Empty => Some(0),
        Framing::Chunked | Framing::UntilClose => None,
    }
}

/// True if the server does not mean to close the connection behind its response.
pub fn keeps_alive(buf: &[u8], fields: &[Field], head: &ResponseHead) -> bool {
    let says_close =
        |field: &Field| field.known == Known::Connection && has_token(field.value.of_bytes(buf), "close");
    head.version == Version::Http11 && !(head.known.holds(Known::Connection) && fields.iter().any(says_close))
}

/// The body of an answer, with the connection that it comes over.
#[derive(Debug)]
pub struct AnswerBody<'x> {
    /// The body.
    pub body: Body<'x>,
    link: Option<Link>,
    /// The server does not mean to close the connection behind it.
    stays: bool,
}

impl AnswerBody<'_> {
    /// Gives the connection back to be used again, if the answer has ended cleanly and the request was sent whole.
    pub fn finish(&mut self, sent_whole: bool, upstream: &Upstream, now: Time) {
        let is_clean = self.body.is_done() && self.body.surplus().iter().all(|bytes| bytes.is_empty());
        let Some(Link::Http1(connection)) = self.link.take() else { return };
        if self.stays && sent_whole && is_clean {
            return upstream.keep(connection, now);
        }
        upstream.log_closed(match (self.stays, sent_whole) {
            (false, _) => "the server does not keep it open",
            (true, false) => "the request was not sent whole",
            (true, true) => "the answer did not end cleanly",
        });
    }

    /// Reads the body and throws it away; true if that was all of it.
    pub async fn read_away(&mut self) -> bool {
        loop {
            match self.body.advance() {
                Ok(Advance::Piece) => {}
                Ok(Advance::End) => return true,
                Ok(Advance::MustRead) if self.body.read().await.is_ok() => {}
                Ok(Advance::MustRead) | Err(_) => return false,
            }
        }
    }
}
