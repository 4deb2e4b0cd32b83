//! The way back: a server's response becomes the client's, head, body and trailers.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::time::Duration;

use evenkeel_config::{Algorithm, HeaderEdits, Sticky};
use evenkeel_core::choose::{Chosen, learn};
use evenkeel_core::sticky;
use evenkeel_net::Io;
use evenkeel_observe::Ended;
use h2::RecvStream;

use crate::body::{self, Advance, Body, BodyError, BodyLimits, FromHttp1, FromHttp2};
use crate::client::writer::{ATTEMPTS, Reply};
use crate::forward::{Destination, Ending};
use crate::http::field::{Field, Known, has_token, list};
use crate::http::framing::{self, Framing};
use crate::http::head::ResponseHead;
use crate::http::trailers;
use crate::http::version::Version;
use crate::http::write::{self, Nominated};
use crate::request::exchange::Request;
use crate::server::error::AnswerError;
use crate::server::h2::Waiting;
use crate::server::{Link, h1};
use crate::worker::Worker;
use crate::worker::timer::WriteError;

/// What an answer comes over.
pub enum Source<'a> {
    /// A connection of its own.
    Http1(&'a Io),
    /// A stream among others.
    Http2(RefCell<Option<Waiting>>),
}

impl Source<'_> {
    /// A stream that was opened just now.
    pub fn http2(waiting: Waiting) -> Self {
        Self::Http2(RefCell::new(Some(waiting)))
    }
}

/// What a server answers, as far as it has come.
pub struct Answer<'a> {
    /// Who asked.
    pub worker: &'a Worker,
    /// Where it comes from.
    pub to: &'a Destination<'a>,
    source: Source<'a>,
    chosen: Chosen,
    buf: Vec<u8>,
    fields: Vec<Field>,
    interim: bool,
    /// The server has been judged by it already.
    judged: bool,
    reusable: Cell<bool>,
    switched: Cell<bool>,
}

/// A part of an answer that outlives the borrow of its connection.
#[derive(Debug)]
pub struct Held {
    /// The stream, over HTTP/2.
    waiting: Option<Waiting>,
    /// What has been read.
    pub buf: Vec<u8>,
    /// The fields of the head in it, if that was read.
    pub fields: Vec<Field>,
    judged: bool,
}

impl Held {
    /// The status of a head that has not been read yet, if that much of it has come.
    pub fn status(&self) -> Option<u16> {
        match &self.waiting {
            Some(waiting) => waiting.status(),
            None => {
                let digits = self.buf.strip_prefix(b"HTTP/1.")?.get(2..5)?;
                std::str::from_utf8(digits).ok()?.parse().ok()
            }
        }
    }
}

impl<'a> Answer<'a> {
    /// Nothing yet.
    pub fn new(worker: &'a Worker, to: &'a Destination<'a>, source: Source<'a>, chosen: Chosen) -> Self {
        Self {
            worker,
            to,
            source,
            chosen,
            buf: Vec::new(),
            fields: Vec::new(),
            interim: false,
            judged: false,
            reusable: Cell::new(false),
            switched: Cell::new(false),
        }
    }

    /// Goes on with what was held, over the connection that it came over.
    pub fn resume(
        worker: &'a Worker,
        to: &'a Destination<'a>,
        chosen: Chosen,
        link: &'a Link,
        held: Held,
    ) -> Self {
        let Held { waiting, buf, fields, judged } = held;
        let source = match (link, waiting) {
            (Link::Http1(connection), _) => Source::Http1(&connection.io),
            (Link::Http2(_), waiting) => {
                Source::http2(waiting.expect("what was held of a stream holds the stream"))
            }
        };
        let mut answer = Self::new(worker, to, source, chosen);
        (answer.buf, answer.fields, answer.judged) = (buf, fields, judged);
        answer
    }

    /// Lets go of the connection, but not of what came over it.
    pub fn hold(&mut self) -> Held {
        let waiting = match &mut self.source {
            Source::Http1(_) => None,
            Source::Http2(waiting) => waiting.get_mut().take(),
        };
        let (buf, fields) = (std::mem::take(&mut self.buf), std::mem::take(&mut self.fields));
        Held { waiting, buf, fields, judged: self.judged }
    }

    /// Waits until the server begins to answer.
    ///
    /// # Errors
    /// It closed or failed instead.
    pub async fn begun(&mut self) -> Result<(), AnswerError> {
        let Self { worker, source, buf, .. } = self;
        match source {
            Source::Http1(io) => match poll_fn(|cx| worker.buffers.poll_medium(io, cx, buf)).await {
                Ok(0) => Err(AnswerError::Closed),
                Ok(_) => Ok(()),
                Err(error) => Err(AnswerError::Reset(error)),
            },
            Source::Http2(waiting) => match waiting.get_mut() {
                Some(waiting) => waiting.begun().await,
                None => Ok(()),
            },
        }
    }

    /// The server is judged by a status that its client will perhaps not see.
    pub fn judge(&mut self, status: u16) {
        self.judged = true;
        if matches!(status, 502..=504) {
            self.worker.report_status(self.to, self.chosen.server, status);
        }
    }

    /// Nothing of it has gone to the client.
    pub fn is_unsent(&self) -> bool {
        !self.interim
    }

    /// Reads the next head.
    pub async fn read_head(&mut self) -> Result<ResponseHead, AnswerError> {
        let Self { worker, source, buf, fields, to, .. } = self;
        match source {
            Source::Http1(io) => {
                if buf.is_empty() {
                    let read = poll_fn(|cx| worker.buffers.poll_medium(io, cx, buf)).await;
                    if read.map_err(AnswerError::Reset)? == 0 {
                        return Err(AnswerError::Closed);
                    }
                }
                if fields.capacity() == 0 {
                    *fields = worker.buffers.fields();
                }
                h1::read_head(io, buf, fields, to.view.heads).await
            }
            Source::Http2(waiting) => match waiting.get_mut() {
                Some(waiting) => waiting.read_head(to.view.heads, buf, fields).await,
                None => Err(AnswerError::Closed),
            },
        }
    }

    /// True if the server has begun to answer.
    pub fn has_started(&self) -> bool {
        self.interim || !self.buf.is_empty()
    }

    /// The position of the server that gives it.
    pub fn server(&self) -> usize {
        self.chosen.server
    }

    /// True if the connection can carry another request.
    pub fn is_reusable(&self) -> bool {
        self.reusable.get()
    }

    /// True if the connection now belongs to another protocol.
    pub fn has_switched(&self) -> bool {
        self.switched.get()
    }
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        self.worker.buffers.give(std::mem::take(&mut self.buf));
        self.worker.buffers.give_fields(std::mem::take(&mut self.fields));
    }
}

/// Passes an interim response on, and makes room for the next head.
///
/// # Errors
/// The client is gone.
pub async fn interim(
    answer: &mut Answer<'_>,
    head: &ResponseHead,
    reply: &mut Reply<'_>,
) -> Result<(), WriteError> {
    let Answer { buf, fields, .. } = &*answer;
    let nominated = Nominated::of(buf, fields);
    let passed = reply.interim(head.status, |out| {
        write::copy_fields(out, buf, head.len, fields, |field| {
            !field.known.is_hop_by_hop() && !nominated.holds(buf, fields, field)
        });
    });
    passed.await?;
    answer.buf.drain(..head.len);
    answer.interim = true;
    Ok(())
}

/// Relays the final response. `None`: it went through whole, or the connection is to become a tunnel.
///
/// # Errors
/// The response is none that could be passed on; nothing has gone to the client.
pub async fn relay(
    worker: &Worker,
    answer: &Answer<'_>,
    head: ResponseHead,
    request: &Request<'_>,
    reply: &mut Reply<'_>,
    first_byte: Option<Duration>,
) -> Result<Option<Ending>, AnswerError> {
    let Answer { buf, fields, to, chosen, .. } = answer;
    let ambiguous = |e: framing::Ambiguous| AnswerError::Malformed(e.0);
    let framing =
        framing::of_response(buf, fields, head.version, head.status, request.is_head()).map_err(ambiguous)?;
    if head.status == 101 {
        return switch(answer, &head, request, reply).await;
    }
    if request.takes_for_tunnel(head.status) {
        return Err(AnswerError::Malformed("success where a switch of protocols was asked for"));
    }
    if answer.judged {
        // Once is enough.
    } else if matches!(head.status, 502..=504) {
        worker.report_status(to, chosen.server, head.status);
    } else if let (Algorithm::LeastResponseTime, Some(took)) = (&to.pool().algorithm, first_byte) {
        // Good answers only: a server that fails fast is not a quick one.
        to.view.pools[to.pool].upstreams[chosen.server].load.observe_latency(took, request.started + took);
    }
    reply.answers_head(request.is_head());
    let (source, framing) = body_of(answer, &head, framing, reply);
    write_head(answer, &head, request, reply, framing);
    let limits =
        BodyLimits { stall: to.pool().timeout.response, at_most: to.deadline, rate_min: 0, bytes_max: None };
    let mut body = Body::new(source, framing, worker.clock, limits);
    match relay_body(&mut body, reply, to).await {
        Ok(()) => {
            let surplus = body.surplus().iter().any(|bytes| !bytes.is_empty());
            answer
                .reusable
                .set(!surplus && keeps_alive(buf, fields, &head) && framing != Framing::UntilClose);
            Ok(None)
        }
        Err(Broken::Client(gone)) => Ok(Some(client_gone(&gone))),
        // Nothing of it has gone out: the client can have an error in its place.
        Err(Broken::Server(error)) if reply.is_unsent() => Err(error),
        Err(Broken::Server(error)) => {
            worker.report(to, chosen.server, &error);
            let ended = match error {
                AnswerError::Body(BodyError::Deadline) => Ended::RequestTimeout,
                AnswerError::Body(BodyError::Timeout) => Ended::BackendTimeout,
                _ => Ended::BackendAborted,
            };
            Ok(Some(Ending::Cut(ended, error.to_string())))
        }
    }
}

/// Where the response's body comes from, and how long it is: over HTTP/2 a head alone may be all of it.
fn body_of<'a>(
    answer: &'a Answer<'a>,
    head: &ResponseHead,
    framing: Framing,
    reply: &Reply<'_>,
) -> (body::Source<'a>, Framing) {
    let heads = answer.to.view.heads;
    let waiting = match &answer.source {
        Source::Http1(io) => {
            let early = &answer.buf[head.len..];
            let source = FromHttp1::new(io, &answer.worker.buffers, framing, early, heads.bytes);
            return (body::Source::Http1(source), framing);
        }
        Source::Http2(waiting) => waiting,
    };
    let stream = waiting.borrow_mut().as_mut().and_then(|waiting| waiting.body.take());
    let is_over = stream.as_ref().is_none_or(RecvStream::is_end_stream);
    let framing = match framing {
        Framing::UntilClose if is_over && reply.io().is_some() => Framing::Length(0),
        Framing::UntilClose if is_over => Framing::Empty,
        Framing::UntilClose => Framing::Chunked,
        framing => framing,
    };
    let length = match framing {
        Framing::Length(length) => Some(length),
        Framing::Empty => Some(0),
        Framing::Chunked | Framing::UntilClose => None,
    };
    (body::Source::Http2(FromHttp2::new(stream, length)), framing)
}

/// By whose doing a response broke off.
enum Broken {
    Client(WriteError),
    Server(AnswerError),
}

/// The body, piece by piece.
async fn relay_body(body: &mut Body<'_>, reply: &mut Reply<'_>, to: &Destination<'_>) -> Result<(), Broken> {
    let server = |e| Broken::Server(AnswerError::Body(e));
    loop {
        match body.advance().map_err(server)? {
            Advance::Piece => reply.data(body.piece()).await.map_err(Broken::Client)?,
            Advance::End => break,
            Advance::MustRead => {
                // What is there goes out before we wait for more.
                reply.flush().await.map_err(Broken::Client)?;
                reply.unless_gone(body.read()).await.map_err(Broken::Client)?.map_err(server)?;
            }
        }
    }
    let is_ours = |name: &[u8]| is_ours(name, reply.attempts > 0, &to.route.1.response_headers);
    let trailers = trailers::pass(body.trailers(), to.view.heads, is_ours)
        .map_err(|_| Broken::Server(AnswerError::Malformed("malformed trailers")))?;
    reply.end(&trailers);
    reply.flush().await.map_err(Broken::Client)
}

fn client_gone(gone: &WriteError) -> Ending {
    Ending::ClientGone(match gone {
        WriteError::Failed => Ended::ClientAborted,
        WriteError::Stalled => Ended::ClientTimeout,
    })
}

/// True if the server does not mean to close the connection behind its response.
pub fn keeps_alive(buf: &[u8], fields: &[Field], head: &ResponseHead) -> bool {
    let mut options = fields.iter().filter(|f| f.known == Known::Connection);
    head.version == Version::Http11 && !options.any(|f| has_token(f.value.of_bytes(buf), "close"))
}

fn write_head(
    answer: &Answer<'_>,
    head: &ResponseHead,
    request: &Request<'_>,
    reply: &mut Reply<'_>,
    framing: Framing,
) {
    let Answer { buf, fields, to, chosen, .. } = answer;
    let edits = &to.route.1.response_headers;
    let nominated = Nominated::of(buf, fields);
    // A length that describes a body which is not sent (RFC 9110, 8.6).
    let keep_length = framing == Framing::Empty
        && (head.status == 304 || request.is_head() && !matches!(head.status, 100..=199 | 204));
    let counts = reply.attempts > 0;
    let out = reply.head(head.status, head.reason.of_bytes(buf));
    write::copy_fields(out, buf, head.len, fields, |field| match field.known {
        Known::ContentLength => keep_length,
        Known::XRequestId => false,
        known if known.is_hop_by_hop() => false,
        _ if nominated.holds(buf, fields, field) => false,
        _ => !is_ours(field.name.of_bytes(buf), counts, edits),
    });
    if edits.is_empty() || !write::edited_away(edits, b"x-request-id") {
        write::field(out, "x-request-id", request.id.as_bytes());
    }
    write_affinity(answer, *chosen, request, out);
    write::edits(out, edits);
    reply.head_done(framing);
}

/// True if what a server says under `name` does not go on. Another balancer behind us may say how many attempts it has
/// made, where we say it ourselves.
fn is_ours(name: &[u8], counts: bool, edits: &HeaderEdits) -> bool {
    counts && name.eq_ignore_ascii_case(ATTEMPTS.as_bytes()) || write::edited_away(edits, name)
}

/// Gives the client the cookie of its server, or learns the one that the server gives.
fn write_affinity(answer: &Answer<'_>, chosen: Chosen, request: &Request<'_>, out: &mut Vec<u8>) {
    let pool = &answer.to.view.snapshot.pools[answer.to.pool];
    match (&answer.to.pool().sticky, &pool.cookie) {
        (Some(Sticky::Cookie { name, ttl }), Some(cookie)) if chosen.issue_cookie => {
            let value = cookie.set_cookie(name, chosen.server, *ttl, request.scheme == "https");
            write::field(out, "set-cookie", value.as_bytes());
        }
        (Some(Sticky::AppCookie(name)), _) => {
            for field in answer.fields.iter().filter(|f| f.known == Known::SetCookie) {
                if let Some(value) = sticky::set_cookie_value(field.value.of_bytes(&answer.buf), name) {
                    learn(pool, value, chosen.server);
                }
            }
        }
        _ => {}
    }
}

/// The server agrees to another protocol: tells the client, and leaves the connection to the tunnel.
async fn switch(
    answer: &Answer<'_>,
    head: &ResponseHead,
    request: &Request<'_>,
    reply: &mut Reply<'_>,
) -> Result<Option<Ending>, AnswerError> {
    let Some(protocol) = request.upgrade else {
        return Err(AnswerError::Malformed("101 without being asked"));
    };
    let Answer { buf, fields, to, chosen, .. } = answer;
    let agreed = fields.iter().find(|f| f.known == Known::Upgrade).map(|f| f.value.of_bytes(buf));
    let Some(agreed) = agreed.filter(|agreed| list(protocol).any(|asked| asked.eq_ignore_ascii_case(agreed)))
    else {
        return Err(AnswerError::Malformed("101 to a protocol that was not asked for"));
    };
    let edits = &to.route.1.response_headers;
    let is_stream = request.version == Version::Http2;
    // On a stream the upgrade is complete with any success, and needs no proof (RFC 8441, 5).
    let out = reply.head(if is_stream { 200 } else { 101 }, head.reason.of_bytes(buf));
    write::copy_fields(out, buf, head.len, fields, |field| {
        let name = field.name.of_bytes(buf);
        let is_proof = is_stream && name.eq_ignore_ascii_case(b"sec-websocket-accept");
        let is_ours = field.known == Known::XRequestId || field.known.is_hop_by_hop();
        !(is_proof || is_ours || write::edited_away(edits, name))
    });
    write::field(out, "x-request-id", request.id.as_bytes());
    write_affinity(answer, *chosen, request, out);
    write::edits(out, edits);
    reply.switch_done(agreed);
    // What the server has sent behind its head already belongs to the new protocol.
    let early = &buf[head.len..];
    let sent = async {
        reply.flush().await?;
        reply.raw(early).await
    };
    match sent.await {
        Ok(()) => {
            answer.switched.set(true);
            Ok(None)
        }
        Err(gone) => Ok(Some(client_gone(&gone))),
    }
}
