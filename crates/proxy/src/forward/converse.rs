//! One try at a server: the request goes out, and the answer comes back, the one alongside the other.

use std::future::Future;
use std::io::IoSlice;
use std::pin::pin;
use std::time::Duration;

use evenkeel_core::choose::Chosen;
use evenkeel_core::retry::{self, Final};
use evenkeel_core::route::rewrite;
use evenkeel_observe::{Ended, RequestRefusal};
use evenkeel_types::Time;

use crate::body::{Body, BodyError};
use crate::client::writer::Reply;
use crate::forward::deferred::Parked;
use crate::forward::held::Answered;
use crate::forward::relay::{self, Answer, Held, Source};
use crate::forward::tunnel;
use crate::forward::upload::{Out, Upload, UploadError, send, upload};
use crate::forward::{Destination, Ending, Failed, pass_on};
use crate::http::framing::Framing;
use crate::http::head::ResponseHead;
use crate::request::admit::Refusal;
use crate::request::exchange::{Exchange, Request};
use crate::request::log::Trail;
use crate::server::error::AnswerError;
use crate::server::h1::Told;
use crate::server::{Link, h1, h2 as upstream_h2};
use crate::worker::Worker;
use crate::worker::timer::{Limit, Timer};

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
    let Exchange { request, body, reply, timer } = &mut *exchange;
    let outgoing = Outgoing::new(worker, to, request, body);
    let conversation = {
        let Begun { out, source, sent, at } = match begin(&outgoing, chosen.server, &link, timer).await {
            Ok(begun) => begun,
            Err(error) => return Err(failed(error, (false, false), (to, request, body))),
        };
        trail.sends(at);
        let mut answer = Answer::new(worker, to, source, chosen);
        let Outgoing { is_short, stall, .. } = outgoing;
        // In a box, for most requests are nothing but a head.
        let work = (!is_short).then(|| Box::pin(upload(worker, to, out, stall, body)));
        let mut upload = Upload { work, result: sent, is_short };
        hear(&mut upload, &mut answer, request, reply, timer, trail).await
    };
    conclude(worker, to, chosen, link, conversation, exchange, trail).await
}

/// Waits for the answer beside the upload, relays it, and says what came of both.
pub async fn hear<W: Future<Output = Result<(), UploadError>>>(
    upload: &mut Upload<W>,
    answer: &mut Answer<'_>,
    request: &Request<'_>,
    reply: &mut Reply<'_>,
    timer: &mut Timer,
    trail: &mut Trail,
) -> Conversation {
    let outcome = take_answer(upload, timer, answer, request, reply, trail).await;
    Conversation {
        uploaded: upload.result.take(),
        started: answer.has_started(),
        reusable: answer.is_reusable(),
        switched: answer.has_switched(),
        outcome: match outcome {
            Ok(Taken::Relayed(ending)) => Ok(ending),
            // In a box, for it is rare.
            Ok(Taken::ToRetry(head)) => Err(Unanswered::ToRetry(Box::new((answer.hold(), head)))),
            Err(error) => Err(Unanswered::Failed(error)),
        },
    }
}

/// Sees to what remains when all has been said: the connection, a tunnel, or the failure.
pub async fn conclude(
    worker: &Worker,
    to: &Destination<'_>,
    chosen: Chosen,
    link: Link,
    conversation: Conversation,
    exchange: &mut Exchange<'_>,
    trail: &mut Trail,
) -> Result<Ending, Failed> {
    let Exchange { request, body, reply, .. } = exchange;
    let Conversation { outcome, uploaded, started, reusable, switched } = conversation;
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
        (Err(Unanswered::ToRetry(answer)), _, link) => {
            let (held, head) = *answer;
            let error = AnswerError::Status(head.status);
            let parked = Some(Box::new(Parked { chosen, link, held, head }));
            Err(Failed { parked, ..Failed::new(error) })
        }
        (Err(_), Some(Err(UploadError::Client(error))), _) => Ok(blame_client(&error)),
        (Err(Unanswered::Failed(error)), _, link) => {
            if let (AnswerError::Timeout, Link::Http2(place)) = (&error, &link) {
                // Nobody knows whether the connection is still alive.
                place.give_up();
            }
            Err(failed(error, (started, link.reused()), (to, request, body)))
        }
    }
}

/// What of a request stays the same whoever it is sent to.
pub struct Outgoing<'a> {
    /// Who sends it.
    pub worker: &'a Worker,
    /// Where it goes.
    pub to: &'a Destination<'a>,
    /// Its head.
    pub request: &'a Request<'a>,
    framing: Framing,
    /// Nothing follows its head.
    is_short: bool,
    /// How long the server may take none of it.
    stall: Limit,
}

impl<'a> Outgoing<'a> {
    /// A request that nobody was sent yet, or that can be sent again.
    pub fn new(
        worker: &'a Worker,
        to: &'a Destination<'a>,
        request: &'a Request<'a>,
        body: &Body<'_>,
    ) -> Self {
        let stall = Limit { at_most: to.deadline, ..to.pool().timeout.response.into() };
        // What asks for another protocol has no body: what follows belongs to that protocol.
        let is_short = body.is_done() || request.upgrade.is_some();
        Self { worker, to, request, framing: body.framing(), is_short, stall }
    }
}

/// A request whose head is on its way.
pub struct Begun<'l> {
    /// What the rest goes over.
    out: Out<'l>,
    /// What the answer comes over.
    pub source: Source<'l>,
    /// Whether it was sent, if the head is all of it.
    sent: Option<Result<(), UploadError>>,
    /// Since when.
    pub at: Time,
}

/// Writes the head, and sends it unless it can go out along with what follows.
///
/// # Errors
/// No stream could be opened for it.
pub async fn begin<'l>(
    outgoing: &Outgoing<'_>,
    server: usize,
    link: &'l Link,
    timer: &mut Timer,
) -> Result<Begun<'l>, AnswerError> {
    let Outgoing { worker, to, request, framing, is_short, stall } = *outgoing;
    let upstream = to.upstream(server);
    let mut head = worker.buffers.medium();
    let path = rewrite(to.route.1, &request.path);
    let (mark, query) = request.query.map_or(("", ""), |query| ("?", query));
    let (target, edits) = ([&*path, mark, query], &to.route.1.request_headers);
    let told = to.route.1.deadline_header.as_ref().map(|header| Told {
        name: header.name(),
        value: to.deadline.map(|deadline| retry::told(header, deadline, worker.clock.now())),
    });
    h1::write_request(&mut head, request, &upstream.host, &target, edits, framing, told.as_ref());
    let at = worker.clock.now();
    let place = match link {
        Link::Http2(place) => place,
        Link::Http1(connection) => {
            let io = &connection.io;
            let mut sent = None;
            if is_short {
                sent = Some(send(timer, stall, io, &mut [IoSlice::new(&head)]).await);
                worker.buffers.give(std::mem::take(&mut head));
            }
            return Ok(Begun { out: Out::Http1(io, head), source: Source::Http1(io), sent, at });
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
            Ok(Begun { out: Out::Http2(stream), source: Source::http2(waiting), sent, at })
        }
        Ok(Err(error)) => Err(error),
        Err(_) => Err(too_late(worker, stall.at_most)),
    }
}

/// What follows from a failure; `started` says that a part of an answer had come, `reused` that the connection was an
/// old one.
fn failed(
    error: AnswerError,
    (started, reused): (bool, bool),
    (to, request, body): (&Destination<'_>, &Request<'_>, &Body<'_>),
) -> Failed {
    let fresh = is_worth_a_fresh_connection(&error, reused && !started, to, request) && body.can_rewind();
    Failed { cause: error.cause(started), error, fresh, parked: None }
}

/// True if the same server may have the request again over a fresh connection. `untouched` says that the connection was
/// an old one and that no byte of an answer came: most likely it was being closed for being idle.
pub fn is_worth_a_fresh_connection(
    error: &AnswerError,
    untouched: bool,
    to: &Destination<'_>,
    request: &Request<'_>,
) -> bool {
    match error {
        AnswerError::Unprocessed => true,
        AnswerError::Closed | AnswerError::Reset(_) => {
            untouched && to.route.1.retry.repeats_over_a_fresh_connection(request.method)
        }
        _ => false,
    }
}

/// What came of sending a request and waiting for its answer.
pub struct Conversation {
    /// `None`: the response went through whole.
    outcome: Result<Option<Ending>, Unanswered>,
    /// `None`: the request was not sent to its end.
    uploaded: Option<Result<(), UploadError>>,
    /// The server has said something.
    started: bool,
    /// The connection can carry another request.
    reusable: bool,
    /// The connection now belongs to another protocol.
    switched: bool,
}

impl Conversation {
    /// The end of one whose answer was held for a while and then relayed.
    pub fn of_relayed(outcome: Result<Option<Ending>, AnswerError>, answer: &Answer<'_>) -> Self {
        Self {
            outcome: outcome.map_err(Unanswered::Failed),
            uploaded: Some(Ok(())),
            started: true,
            reusable: answer.is_reusable(),
            switched: false,
        }
    }
}

/// Why nothing has gone to the client.
enum Unanswered {
    /// There is nothing that could.
    Failed(AnswerError),
    /// Another server may have something better.
    ToRetry(Box<(Held, ResponseHead)>),
}

/// What an answer came to.
enum Taken {
    /// It went to the client.
    Relayed(Option<Ending>),
    /// Its head is one that the route retries.
    ToRetry(ResponseHead),
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
) -> Result<Taken, AnswerError> {
    let (worker, to) = (answer.worker, answer.to);
    let at_most = to.deadline;
    // A request without a body is on its way as soon as it is written.
    let mut since = upload.is_short.then_some(trail.sent).flatten();
    for _ in 0..=INTERIM_MAX {
        let head = {
            let mut reading = pin!(answer.read_head());
            let early = if upload.result.is_none() { upload.beside(reading.as_mut()).await } else { None };
            match early {
                Some(head) => head?,
                None => {
                    match upload.result {
                        Some(Err(UploadError::Client(_))) => return Err(AnswerError::Closed),
                        Some(Ok(())) if upload.work.take().is_some() => trail.uploaded(worker.clock.now()),
                        _ => {}
                    }
                    let limit = Limit { since: since.take(), after: to.head_within(), at_most };
                    match reply.unless_gone(timer.within(limit, reading)).await {
                        Ok(read) => read.map_err(|_| too_late(worker, at_most))??,
                        Err(_) => return Ok(Taken::gone()),
                    }
                }
            }
        };
        if head.status == 101 || head.status >= 200 {
            let now = worker.clock.now();
            trail.answer_came(now);
            // An answer that came before the end of the request says nothing of how quick its server is.
            let took = trail.first_byte().filter(|_| upload.result.is_some());
            worker.report_answer(to, answer.server(), head.status, took);
            measure(to, head.status, trail.hedged.map(|began| now - began).or(took), now);
            let uploading = trail.uploading(upload.result.is_some(), now);
            if let Some(held) = &mut trail.held {
                held.answered(
                    trail.seat.as_deref_mut(),
                    &Answered { status: head.status, at: now, took, uploading },
                );
            }
            match is_retried(upload, answer, request, &head) {
                Some(Ok(())) => {
                    answer.judge(head.status);
                    return Ok(Taken::ToRetry(head));
                }
                Some(Err(why)) => pass_on(to, head.status, why, trail),
                None => {}
            }
            let relaying = relay::relay(worker, answer, head, request, reply, took);
            return upload.until(pin!(relaying)).await.map(Taken::Relayed);
        }
        if Box::pin(relay::interim(answer, &head, reply)).await.is_err() {
            return Ok(Taken::gone());
        }
    }
    Err(AnswerError::Malformed("too many interim responses"))
}

impl Taken {
    fn gone() -> Self {
        Self::Relayed(Some(Ending::ClientGone(Ended::ClientAborted)))
    }
}

/// Whether the policy is to be asked about this answer, if its status is one that the route retries: the request must have
/// been sent whole, and nothing have gone to the client.
fn is_retried<W>(
    upload: &Upload<W>,
    answer: &Answer<'_>,
    request: &Request<'_>,
    head: &ResponseHead,
) -> Option<Result<(), Final>> {
    let policy = &answer.to.route.1.retry;
    policy.on.statuses.binary_search(&head.status).ok()?;
    Some(match upload.result {
        _ if !answer.is_unsent() => Err(Final::Answered),
        Some(Ok(())) => Ok(()),
        _ if !policy.repeats(request.method) => Err(Final::Method),
        _ => Err(Final::Early),
    })
}

/// Takes in how long the answer took, if a route asks for what is usual. A hedge took as long as the one before it.
fn measure(to: &Destination<'_>, status: u16, took: Option<Duration>, now: Time) {
    // A server that fails fast is not a quick one.
    if to.view.pools[to.pool].is_measured
        && status < 500
        && let Some(took) = took
    {
        to.view.snapshot.pools[to.pool].retries.latencies.observe(took, now);
    }
}

/// A wait for the server has ended: by the server's own limit, or by that of the whole exchange.
pub fn too_late(worker: &Worker, at_most: Option<Time>) -> AnswerError {
    match at_most {
        Some(at_most) if worker.clock.now() >= at_most => AnswerError::Deadline,
        _ => AnswerError::Timeout,
    }
}
