//! Forwarding: pick a server, connect, send, wait for its answer; another server when nothing is lost by it.

use std::future::{Future, poll_fn};
use std::io::IoSlice;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use evenkeel_config::{Pool, Route};
use evenkeel_core::choose::{Chosen, choose};
use evenkeel_core::route::rewrite;
use evenkeel_net::Io;
use evenkeel_observe::{Ended, RequestRefusal};
use evenkeel_types::Time;

use super::admit::Refusal;
use super::record::Trail;
use super::relay::{self, Answer};
use crate::exchange::{Exchange, Request};
use crate::h1::body::Malformed;
use crate::h1::framing::Framing;
use crate::h1::{trailers, write};
use crate::message::{Advance, Body, BodyError};
use crate::timer::{Limit, Timer};
use crate::tunnel;
use crate::upstream::answer::AnswerError;
use crate::upstream::{Connection, Upstream, h1};
use crate::view::View;
use crate::worker::Worker;

/// Servers tried for one request. Only refused connections get this far, and they cost next to nothing.
const TRIES_MAX: usize = 16;
/// Connect timeouts that one request may sit through.
const CONNECT_TIMEOUTS_MAX: usize = 3;
/// Interim responses before the final one; a server that sends more is not well (RFC 9110, 15.2).
const INTERIM_MAX: usize = 16;

/// How forwarding ended.
#[derive(Debug)]
pub enum Ending {
    /// The client has its response.
    Answered,
    /// Nothing has gone to the client yet: it can be told.
    Refused(Refusal, Ended),
    /// The response broke off on its way: the client must see that it is cut.
    Cut(Ended, String),
    /// The client is gone.
    ClientGone(Ended),
    /// The server agreed to another protocol; a tunnel was open, and has ended.
    Tunnelled,
}

/// Where a request goes, which stays the same over all tries.
pub struct Destination<'v> {
    /// What is in force.
    pub view: &'v View,
    /// The route, with its position.
    pub route: (usize, &'v Route),
    /// The pool's position.
    pub pool: usize,
}

impl<'v> Destination<'v> {
    /// The pool.
    pub fn pool(&self) -> &'v Pool {
        self.view.pool(self.pool)
    }

    /// When the response must be complete, if the route says so.
    pub fn deadline(&self, request: &Request<'_>) -> Option<Time> {
        self.route.1.timeout.request.map(|limit| request.started + limit)
    }

    fn upstream(&self, server: usize) -> &'v Upstream {
        &self.view.pools[self.pool].upstreams[server]
    }
}

/// A try that failed.
struct Failed {
    error: AnswerError,
    /// True if nothing of the request has had an effect: another server, or connection, may have it.
    again: Again,
}

enum Again {
    /// The client has to be told.
    No,
    /// On another server.
    Elsewhere,
    /// On a new connection: the old one was being closed when we used it.
    Fresh,
}

/// Forwards a request to a server of the pool, and the server's answer to the client.
pub async fn forward(
    worker: &Worker,
    to: &Destination<'_>,
    exchange: &mut Exchange<'_>,
    trail: &mut Trail,
) -> Ending {
    let mut tried = [0_usize; TRIES_MAX];
    let mut timeouts = 0;
    let mut count = 0;
    let mut last: Option<AnswerError> = None;
    exchange.body.end_by(to.deadline(&exchange.request));
    while count < TRIES_MAX && timeouts < CONNECT_TIMEOUTS_MAX {
        let now = if count == 0 { exchange.request.started } else { worker.clock.now() };
        if to.deadline(&exchange.request).is_some_and(|deadline| now >= deadline) {
            last = Some(AnswerError::Deadline);
            break;
        }
        let pool = &to.view.snapshot.pools[to.pool];
        let chosen = choose(
            pool,
            to.pool(),
            &mut to.view.pools[to.pool].picker.borrow_mut(),
            &exchange.request,
            &tried[..count],
            now,
        );
        let Some(chosen) = chosen else { break };
        trail.server = Some(chosen.server);
        trail.tries += 1;
        let load = &to.upstream(chosen.server).load;
        load.begin();
        let failed = attempt(worker, to, chosen, exchange, trail).await;
        load.end();
        let Failed { error, again } = match failed {
            Ok(ending) => return ending,
            Err(failed) => failed,
        };
        worker.report(to, chosen.server, &error);
        if matches!(again, Again::No) {
            last = Some(error);
            break;
        }
        timeouts += usize::from(matches!(error, AnswerError::ConnectTimeout));
        tried[count] = chosen.server;
        count += 1;
        last = Some(error);
    }
    give_up(to, last)
}

fn give_up(to: &Destination<'_>, last: Option<AnswerError>) -> Ending {
    let Some(error) = last else {
        let why = format!("no healthy server in pool {}", to.pool().name);
        return Ending::Refused(Refusal::new(503, RequestRefusal::NoBackend, why), Ended::Refused);
    };
    let ended = match (&error, error.status()) {
        (AnswerError::Deadline, _) => Ended::RequestTimeout,
        (_, 504) => Ended::BackendTimeout,
        _ => Ended::BackendAborted,
    };
    let status = error.status();
    Ending::Refused(Refusal { status, kind: None, why: error.to_string().into() }, ended)
}

/// One try: at most two connections, the second in place of one that the server was closing.
async fn attempt(
    worker: &Worker,
    to: &Destination<'_>,
    chosen: Chosen,
    exchange: &mut Exchange<'_>,
    trail: &mut Trail,
) -> Result<Ending, Failed> {
    let upstream = to.upstream(chosen.server);
    let at_most = to.deadline(&exchange.request);
    let idle = upstream.take_idle(exchange.request.started);
    let connection = match idle {
        Some(connection) => connection,
        None => connect(worker, to, upstream, exchange.timer, at_most, trail).await?,
    };
    match converse(worker, to, chosen, connection, exchange, trail).await {
        Err(Failed { again: Again::Fresh, .. }) => {
            let connection = connect(worker, to, upstream, exchange.timer, at_most, trail).await?;
            converse(worker, to, chosen, connection, exchange, trail).await
        }
        other => other,
    }
}

async fn connect(
    worker: &Worker,
    to: &Destination<'_>,
    upstream: &Upstream,
    timer: &mut Timer,
    at_most: Option<Time>,
    trail: &mut Trail,
) -> Result<Connection, Failed> {
    let before = worker.clock.now();
    let limit = Limit { since: Some(before), after: to.pool().timeout.connect, at_most };
    let connected = timer.within(limit, upstream.connect()).await;
    trail.connect = Some(trail.connect.unwrap_or_default() + (worker.clock.now() - before));
    let error = match connected {
        Ok(Ok(io)) => return Ok(Connection { io, reused: false }),
        Ok(Err(error)) => AnswerError::Connect(error),
        Err(_) if at_most.is_some_and(|at_most| worker.clock.now() >= at_most) => {
            return Err(Failed { error: AnswerError::Deadline, again: Again::No });
        }
        Err(_) => AnswerError::ConnectTimeout,
    };
    upstream.figures().connect_failures.increment();
    Err(Failed { error, again: Again::Elsewhere })
}

/// Sends the request and takes the answer, the one alongside the other: a server may answer early.
async fn converse(
    worker: &Worker,
    to: &Destination<'_>,
    chosen: Chosen,
    connection: Connection,
    exchange: &mut Exchange<'_>,
    trail: &mut Trail,
) -> Result<Ending, Failed> {
    let Exchange { request, body, reply, timer } = exchange;
    let mut head = worker.buffers.medium();
    let path = rewrite(to.route.1, &request.path);
    let (mark, query) = request.query.map_or(("", ""), |query| ("?", query));
    let (target, edits) = ([&*path, mark, query], &to.route.1.request_headers);
    h1::write_request(&mut head, request, &to.upstream(chosen.server).host, &target, edits, body.framing());
    let sent = worker.clock.now();
    trail.sent = Some(sent);

    let Conversation { outcome, uploaded, started, reusable, switched } = {
        let mut answer = Answer::new(worker, to, &connection.io, chosen);
        let at_most = to.deadline(request);
        let is_short = body.is_done();
        let mut result = None;
        if is_short {
            let stall = Limit { at_most, ..to.pool().timeout.response.into() };
            result = Some(send(timer, stall, &connection.io, &mut [IoSlice::new(&head)]).await);
            worker.buffers.give(std::mem::take(&mut head));
        }
        let work = pin!(upload(worker, to, &connection.io, at_most, head, body));
        let mut upload = Upload { work, result, is_short };
        let outcome = take_answer(&mut upload, timer, &mut answer, request, reply, trail).await;
        Conversation {
            outcome,
            uploaded: upload.result,
            started: answer.has_started(),
            reusable: answer.is_reusable(),
            switched: answer.has_switched(),
        }
    };
    match (outcome, uploaded) {
        (Ok(None), _) if switched => {
            let idle = to.route.1.timeout.idle;
            let server = &connection.io;
            match reply.io() {
                Some(client) => tunnel::run(worker, client, body.surplus(), server, idle, trail).await,
                None => tunnel::run_stream(worker, body, reply, server, idle, trail).await,
            }
            Ok(Ending::Tunnelled)
        }
        (Ok(None), uploaded) => {
            if reusable && matches!(uploaded, Some(Ok(()))) {
                to.upstream(chosen.server).keep(connection, worker.clock.now());
            }
            Ok(Ending::Answered)
        }
        (Ok(Some(ending)), _) => Ok(ending),
        (Err(_), Some(Err(UploadError::Client(error)))) => Ok(blame_client(&error)),
        (Err(error), _) => {
            let dying =
                matches!(error, AnswerError::Closed | AnswerError::Reset(_)) && connection.reused && !started;
            let again =
                if dying && request.is_idempotent() && body.rewind() { Again::Fresh } else { Again::No };
            Err(Failed { error, again })
        }
    }
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
            let refusal = Refusal { status: 504, kind: None, why: error.to_string().into() };
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
    upload: &mut Upload<'_, W>,
    timer: &mut Timer,
    answer: &mut Answer<'_>,
    request: &Request<'_>,
    reply: &mut crate::downstream::reply::Reply<'_>,
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
            let relaying = relay::relay(worker, answer, head, request, reply, trail.first_byte());
            return upload.until(pin!(relaying)).await;
        }
        if relay::interim(answer, &head, reply).await.is_err() {
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
struct Upload<'u, W> {
    work: Pin<&'u mut W>,
    /// It is a head and nothing else.
    is_short: bool,
    result: Option<Result<(), UploadError>>,
}

impl<W: Future<Output = Result<(), UploadError>>> Upload<'_, W> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.result.is_none()
            && let Poll::Ready(result) = self.work.as_mut().poll(cx)
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

/// Sends the head, and the body as it comes in.
async fn upload(
    worker: &Worker,
    to: &Destination<'_>,
    io: &Io,
    at_most: Option<Time>,
    head: Vec<u8>,
    body: &mut Body<'_>,
) -> Result<(), UploadError> {
    let mut timer = Timer::new(worker.clock);
    let stall = Limit { at_most, ..to.pool().timeout.response.into() };
    let chunked = body.framing() == Framing::Chunked;
    // What came along with the head goes out along with the head.
    let mut waiting = head;
    loop {
        match body.advance().map_err(UploadError::Client)? {
            Advance::Piece => {}
            Advance::End => break,
            Advance::MustRead => {
                if !waiting.is_empty() {
                    send(&mut timer, stall, io, &mut [IoSlice::new(&waiting)]).await?;
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
        send(&mut timer, stall, io, &mut slices).await?;
        waiting.clear();
    }
    if chunked {
        let malformed = |_| UploadError::Client(BodyError::Malformed(Malformed("malformed trailers")));
        let trailers = trailers::pass(body.trailers(), to.view.heads).map_err(malformed)?;
        waiting.extend_from_slice(b"0\r\n");
        waiting.extend_from_slice(if trailers.is_empty() { b"\r\n" } else { &trailers });
    }
    if !waiting.is_empty() {
        send(&mut timer, stall, io, &mut [IoSlice::new(&waiting)]).await?;
    }
    worker.buffers.give(waiting);
    Ok(())
}

async fn send(
    timer: &mut Timer,
    stall: Limit,
    io: &Io,
    slices: &mut [IoSlice<'_>],
) -> Result<(), UploadError> {
    timer.write_all(stall, io, slices).await.map_err(|_| UploadError::Server)
}
