//! One try at a server: the request goes out, and the answer comes back, the one alongside the other.

use std::future::{Future, poll_fn};
use std::io::IoSlice;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use evenkeel_core::choose::Chosen;
use evenkeel_core::route::rewrite;
use evenkeel_net::Io;
use evenkeel_observe::{Ended, RequestRefusal};
use evenkeel_types::Time;
use h2::SendStream;

use super::admit::Refusal;
use super::forward::{Again, Destination, Ending, Failed};
use super::record::Trail;
use super::relay::{self, Answer, Source};
use crate::downstream::reply::Reply;
use crate::exchange::{Exchange, Request};
use crate::h1::body::Malformed;
use crate::h1::framing::Framing;
use crate::h1::{trailers, write};
use crate::h2::lines;
use crate::h2::send::send as send_data;
use crate::message::{Advance, Body, BodyError};
use crate::timer::{Limit, Timer};
use crate::tunnel;
use crate::upstream::answer::AnswerError;
use crate::upstream::{Link, h1, h2 as upstream_h2};
use crate::worker::Worker;

/// Interim responses before the final one; a server that sends more is not well (RFC 9110, 15.2).
const INTERIM_MAX: usize = 16;

/// Sends the request and takes the answer, the one alongside the other: a server may answer early.
pub async fn converse(
    worker: &Worker,
    to: &Destination<'_>,
    chosen: Chosen,
    link: Link,
    exchange: &mut Exchange<'_>,
    trail: &mut Trail,
) -> Result<Ending, Failed> {
    let stall = Limit { at_most: to.deadline(&exchange.request), ..to.pool().timeout.response.into() };
    // What asks for another protocol has no body: what follows belongs to that protocol.
    let is_short = exchange.body.is_done() || exchange.request.upgrade.is_some();
    let begun = begin(worker, to, chosen, &link, exchange, trail, (stall, is_short)).await?;
    let Exchange { request, body, reply, timer } = exchange;
    let Conversation { outcome, uploaded, started, reusable, switched } = {
        let mut answer = Answer::new(worker, to, begun.source, chosen);
        // In a box, for most requests are nothing but a head.
        let work = (!is_short).then(|| Box::pin(upload(worker, to, begun.out, stall, body)));
        let mut upload = Upload { work, result: begun.sent, is_short };
        let outcome = take_answer(&mut upload, timer, &mut answer, request, reply, trail).await;
        Conversation {
            outcome,
            uploaded: upload.result,
            started: answer.has_started(),
            reusable: answer.is_reusable(),
            switched: answer.has_switched(),
        }
    };
    match (outcome, uploaded, link) {
        (Ok(None), _, Link::Http1(connection)) if switched => {
            let idle = to.route.1.timeout.idle;
            let server = &connection.io;
            match reply.io() {
                Some(client) => {
                    Box::pin(tunnel::run(worker, client, body.surplus(), server, idle, trail)).await
                }
                None => Box::pin(tunnel::run_stream(worker, body, reply, server, idle, trail)).await,
            }
            Ok(Ending::Tunnelled)
        }
        (Ok(None), Some(Ok(())), Link::Http1(connection)) if reusable => {
            to.upstream(chosen.server).keep(connection, worker.clock.now());
            Ok(Ending::Answered)
        }
        (Ok(None), ..) => Ok(Ending::Answered),
        (Ok(Some(ending)), ..) => Ok(ending),
        (Err(_), Some(Err(UploadError::Client(error))), _) => Ok(blame_client(&error)),
        (Err(error), _, Link::Http1(connection)) => {
            Err(failed(error, connection.reused && !started, request, body))
        }
        (Err(error), _, Link::Http2(place)) => {
            if matches!(error, AnswerError::Timeout) {
                // Nobody knows whether the connection is still alive.
                place.give_up();
            }
            Err(failed(error, place.reused && !started, request, body))
        }
    }
}

/// A request whose head is on its way.
struct Begun<'l> {
    /// What the rest goes over.
    out: Out<'l>,
    /// What the answer comes over.
    source: Source<'l>,
    /// Whether it was sent, if the head is all of it.
    sent: Option<Result<(), UploadError>>,
}

/// Writes the head, and sends it unless it can go out along with what follows.
async fn begin<'l>(
    worker: &Worker,
    to: &Destination<'_>,
    chosen: Chosen,
    link: &'l Link,
    exchange: &mut Exchange<'_>,
    trail: &mut Trail,
    (stall, is_short): (Limit, bool),
) -> Result<Begun<'l>, Failed> {
    let Exchange { request, body, timer, .. } = exchange;
    let upstream = to.upstream(chosen.server);
    let mut head = worker.buffers.medium();
    let path = rewrite(to.route.1, &request.path);
    let (mark, query) = request.query.map_or(("", ""), |query| ("?", query));
    let (target, edits) = ([&*path, mark, query], &to.route.1.request_headers);
    h1::write_request(&mut head, request, &upstream.host, &target, edits, body.framing());
    trail.sent = Some(worker.clock.now());
    let place = match link {
        Link::Http2(place) => place,
        Link::Http1(connection) => {
            let io = &connection.io;
            let mut sent = None;
            if is_short {
                sent = Some(send(timer, stall, io, &mut [IoSlice::new(&head)]).await);
                worker.buffers.give(std::mem::take(&mut head));
            }
            return Ok(Begun { out: Out::Http1(io, head), source: Source::Http1(io), sent });
        }
    };
    let started = async {
        let head = upstream_h2::head(&head, request.method, &target.concat(), upstream.is_secure())?;
        place.send(head, is_short).await
    };
    let started = timer.within(stall, Box::pin(started)).await;
    worker.buffers.give(head);
    match started {
        Ok(Ok((waiting, stream))) => {
            let sent = is_short.then_some(Ok(()));
            Ok(Begun { out: Out::Http2(stream), source: Source::http2(waiting), sent })
        }
        Ok(Err(error)) => Err(failed(error, false, request, body)),
        Err(_) => Err(Failed { error: too_late(worker, stall.at_most), again: Again::No }),
    }
}

/// What follows from a failure: whether the request may go over a fresh connection. `untouched` says that the
/// connection was an old one and that no byte of an answer came.
fn failed(error: AnswerError, untouched: bool, request: &Request<'_>, body: &mut Body<'_>) -> Failed {
    let may = match error {
        AnswerError::Unprocessed => true,
        AnswerError::Closed | AnswerError::Reset(_) => untouched && request.is_idempotent(),
        _ => false,
    };
    let again = if may && body.rewind() { Again::Fresh } else { Again::No };
    Failed { error, again }
}

/// What came of sending a request and waiting for its answer.
struct Conversation {
    /// `None`: the response went through whole.
    outcome: Result<Option<Ending>, AnswerError>,
    /// `None`: the request was not sent to its end.
    uploaded: Option<Result<(), UploadError>>,
    /// The server has said something.
    started: bool,
    /// The connection can carry another request.
    reusable: bool,
    /// The connection now belongs to another protocol.
    switched: bool,
}

/// Ends the exchange for a client that did not send its body as it said it would.
fn blame_client(error: &BodyError) -> Ending {
    let (status, kind) = match error {
        BodyError::Cut | BodyError::Io(_) => return Ending::ClientGone(Ended::ClientAborted),
        BodyError::Deadline => {
            let refusal =
                Refusal { status: 504, kind: None, why: error.to_string().into(), retry_after: None };
            return Ending::Refused(refusal, Ended::RequestTimeout);
        }
        BodyError::Timeout => (408, RequestRefusal::BodyTimeout),
        BodyError::TooLarge => (413, RequestRefusal::BodyTooLarge),
        BodyError::Malformed(_) => (400, RequestRefusal::Malformed),
    };
    let ended = if status == 408 { Ended::ClientTimeout } else { Ended::Refused };
    Ending::Refused(Refusal::new(status, kind, error.to_string()), ended)
}

/// Waits for the final head, passing interim ones on, and relays the response.
async fn take_answer<W: Future<Output = Result<(), UploadError>>>(
    upload: &mut Upload<W>,
    timer: &mut Timer,
    answer: &mut Answer<'_>,
    request: &Request<'_>,
    reply: &mut Reply<'_>,
    trail: &mut Trail,
) -> Result<Option<Ending>, AnswerError> {
    let (worker, to) = (answer.worker, answer.to);
    let at_most = to.deadline(request);
    // A request without a body is on its way as soon as it is written.
    let mut since = upload.is_short.then_some(trail.sent).flatten();
    for _ in 0..=INTERIM_MAX {
        let head = {
            let mut reading = pin!(answer.read_head());
            let early = if upload.result.is_none() { upload.beside(reading.as_mut()).await } else { None };
            match early {
                Some(head) => head?,
                None => {
                    if matches!(upload.result, Some(Err(UploadError::Client(_)))) {
                        return Err(AnswerError::Closed);
                    }
                    let limit = Limit { since: since.take(), after: to.pool().timeout.response, at_most };
                    match reply.unless_gone(timer.within(limit, reading)).await {
                        Ok(read) => read.map_err(|_| too_late(worker, at_most))??,
                        Err(_) => return Ok(Some(Ending::ClientGone(Ended::ClientAborted))),
                    }
                }
            }
        };
        if head.status == 101 || head.status >= 200 {
            let now = worker.clock.now();
            trail.answer_came(now);
            if let Some(held) = &mut trail.held {
                held.answered(head.status, trail.sent, now);
            }
            let relaying = relay::relay(worker, answer, head, request, reply, trail.first_byte());
            return upload.until(pin!(relaying)).await;
        }
        if Box::pin(relay::interim(answer, &head, reply)).await.is_err() {
            return Ok(Some(Ending::ClientGone(Ended::ClientAborted)));
        }
    }
    Err(AnswerError::Malformed("too many interim responses"))
}

/// A wait for the server has ended: by the server's own limit, or by that of the whole exchange.
fn too_late(worker: &Worker, at_most: Option<Time>) -> AnswerError {
    match at_most {
        Some(at_most) if worker.clock.now() >= at_most => AnswerError::Deadline,
        _ => AnswerError::Timeout,
    }
}

/// By whose doing a request could not be sent.
enum UploadError {
    /// The client did not send its body.
    Client(BodyError),
    /// The server did not take it. It may have answered all the same.
    Server,
}

/// The request on its way to the server, beside which the answer is waited for.
struct Upload<W> {
    /// `None` if it has been sent already.
    work: Option<Pin<Box<W>>>,
    /// It is a head and nothing else.
    is_short: bool,
    result: Option<Result<(), UploadError>>,
}

impl<W: Future<Output = Result<(), UploadError>>> Upload<W> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.result.is_none()
            && let Some(work) = &mut self.work
            && let Poll::Ready(result) = work.as_mut().poll(cx)
        {
            self.result = Some(result);
        }
        if self.result.is_some() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Goes on until the upload has ended, `None`, or `other` is ready before that.
    async fn beside<F: Future>(&mut self, mut other: Pin<&mut F>) -> Option<F::Output> {
        poll_fn(|cx| {
            if self.poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            other.as_mut().poll(cx).map(Some)
        })
        .await
    }

    /// Goes on until `other` is ready.
    async fn until<F: Future>(&mut self, mut other: Pin<&mut F>) -> F::Output {
        poll_fn(|cx| {
            let _ = self.poll(cx);
            other.as_mut().poll(cx)
        })
        .await
    }
}

/// Where a request goes.
enum Out<'o> {
    /// Behind this head, over a connection of its own.
    Http1(&'o Io, Vec<u8>),
    /// Over a stream that its head has opened.
    Http2(SendStream<Bytes>),
}

/// Sends what is left of the request: the body as it comes in.
async fn upload(
    worker: &Worker,
    to: &Destination<'_>,
    out: Out<'_>,
    stall: Limit,
    body: &mut Body<'_>,
) -> Result<(), UploadError> {
    let mut timer = Timer::new(worker.clock);
    match out {
        Out::Http1(io, head) => upload_http1(worker, to, io, head, &mut timer, stall, body).await,
        Out::Http2(stream) => upload_http2(to, stream, &mut timer, stall, body).await,
    }
}

async fn upload_http1(
    worker: &Worker,
    to: &Destination<'_>,
    io: &Io,
    head: Vec<u8>,
    timer: &mut Timer,
    stall: Limit,
    body: &mut Body<'_>,
) -> Result<(), UploadError> {
    let chunked = body.framing() == Framing::Chunked;
    // What came along with the head goes out along with the head.
    let mut waiting = head;
    loop {
        match body.advance().map_err(UploadError::Client)? {
            Advance::Piece => {}
            Advance::End => break,
            Advance::MustRead => {
                if !waiting.is_empty() {
                    send(timer, stall, io, &mut [IoSlice::new(&waiting)]).await?;
                    waiting.clear();
                }
                body.read().await.map_err(UploadError::Client)?;
                continue;
            }
        }
        let piece = body.piece();
        let mut line = [0; 18];
        let (before, after): (&[u8], &[u8]) =
            if chunked { (write::chunk_size(piece.len(), &mut line), b"\r\n") } else { (b"", b"") };
        let mut slices = [&waiting[..], before, piece, after].map(IoSlice::new);
        send(timer, stall, io, &mut slices).await?;
        waiting.clear();
    }
    if chunked {
        let trailers = trailers_of(to, body)?;
        waiting.extend_from_slice(b"0\r\n");
        waiting.extend_from_slice(if trailers.is_empty() { b"\r\n" } else { &trailers });
    }
    if !waiting.is_empty() {
        send(timer, stall, io, &mut [IoSlice::new(&waiting)]).await?;
    }
    worker.buffers.give(waiting);
    Ok(())
}

async fn upload_http2(
    to: &Destination<'_>,
    mut stream: SendStream<Bytes>,
    timer: &mut Timer,
    stall: Limit,
    body: &mut Body<'_>,
) -> Result<(), UploadError> {
    loop {
        match body.advance().map_err(UploadError::Client)? {
            Advance::Piece => {
                let sent = send_data(&mut stream, body.piece(), false, timer, stall).await;
                sent.map_err(|_| UploadError::Server)?;
            }
            Advance::End => break,
            Advance::MustRead => body.read().await.map_err(UploadError::Client)?,
        }
    }
    let trailers = trailers_of(to, body)?;
    if trailers.is_empty() {
        return stream.send_data(Bytes::new(), true).map_err(|_| UploadError::Server);
    }
    let fields = lines::to_fields(&trailers).map_err(|_| UploadError::Server)?;
    stream.send_trailers(fields).map_err(|_| UploadError::Server)
}

fn trailers_of(to: &Destination<'_>, body: &Body<'_>) -> Result<Vec<u8>, UploadError> {
    let malformed = |_| UploadError::Client(BodyError::Malformed(Malformed("malformed trailers")));
    trailers::pass(body.trailers(), to.view.heads).map_err(malformed)
}

async fn send(
    timer: &mut Timer,
    stall: Limit,
    io: &Io,
    slices: &mut [IoSlice<'_>],
) -> Result<(), UploadError> {
    timer.write_all(stall, io, slices).await.map_err(|_| UploadError::Server)
}
