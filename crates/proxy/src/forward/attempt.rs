//! One try at a server: a connection, a round trip over it, and what its answer comes to.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use evenkeel_core::admission::{self, AfterHead, Leg};
use evenkeel_core::choose::Chosen;
use evenkeel_core::retry::{self, Final};
use evenkeel_core::route::{rewrite, stripped};
use evenkeel_observe::flight::StepKind;
use evenkeel_observe::{Ended, RequestRefusal};
use evenkeel_types::Time;

use super::deferred::Deferred;
use super::forwarding::{Failed, Forwarding};
use super::outcome::{Asked, BegunTry, Outcome};
use super::respond::{Answer, interim, respond};
use super::target::Target;
use crate::body::{Body, BodyError};
use crate::client::writer::ToClient;
use crate::http::framing::Framing;
use crate::http::head::ResponseHead;
use crate::http::version::Version;
use crate::request::admit::Refusal;
use crate::request::incoming::{Incoming, Request};
use crate::request::log::RequestLog;
use crate::request::spans::passed;
use crate::server::error::ServerError;
use crate::server::exchange::{OutgoingHead, RoundTrip, Surroundings};
use crate::server::h1::{self, Changes, DeadlineField, Ours};
use crate::server::upload::{Out, Passage, Sending, Upload, UploadError};
use crate::server::{Asker, Link, Upstream};
use crate::worker::timer::{Limit, Timer};

/// One try: at most two connections, the second in place of one that the server was closing. A plain exchange may have asked
/// the server over the first. `None` if another server is to be asked, or none any more.
pub async fn attempt<'x, 'c>(
    of: &mut Forwarding<'x, 'c>,
    leg: Leg,
    chosen: &Chosen,
    client: &mut ToClient<'_, 'c>,
    log: &mut RequestLog,
) -> Option<Outcome<'x, 'c>> {
    let mut is_second = false;
    loop {
        let asked = match of.asked.take() {
            Some(asked) => Ok(*asked),
            None => ask(of, leg, (chosen, is_second), client, log).await,
        };
        let tried = match asked {
            Ok(asked) => await_answer(of, leg, asked, client, log).await,
            Err(Some(failed)) => Err(failed),
            Err(None) => return Some(of.gone()),
        };
        match tried {
            Ok(outcome) => return outcome,
            Err(Failed { fresh: true, .. }) if !is_second => of.incoming.body.borrow_mut().rewind(),
            Err(failed) => {
                of.fail(leg, failed, log);
                return None;
            }
        }
        is_second = true;
    }
}

/// Sends the request to a server, over a kept connection if there is one and this is not the second that it gets.
///
/// # Errors
/// It could not be sent, or the client has left meanwhile (`None`).
async fn ask<'x, 'c>(
    of: &mut Forwarding<'x, 'c>,
    leg: Leg,
    (chosen, is_second): (&Chosen, bool),
    client: &mut ToClient<'_, 'c>,
    log: &mut RequestLog,
) -> Result<Asked<'x, 'c>, Option<Failed>> {
    let Incoming { request, .. } = of.incoming;
    let upstream = of.target.upstream(chosen.server);
    let link = link(&of.target, (upstream, is_second), request, client, log).await.ok_or(None)??;
    if of.admission.handle_connected(leg) {
        Box::pin(of.discard_deferred()).await;
    }
    let started = start(&of.target, chosen, link, of.incoming, client.timer).await;
    started.map_err(|error| Some(failed(of, error, (false, false))))
}

/// A connection to a server: a kept one, unless it is the second for a request, or one that is opened; `None` if the client
/// leaves meanwhile.
async fn link(
    target: &Target<'_>,
    (upstream, is_second): (&Upstream, bool),
    request: &Request<'_>,
    client: &mut ToClient<'_, '_>,
    log: &mut RequestLog,
) -> Option<Result<Link, Failed>> {
    if !is_second && let Some(kept) = upstream.kept(&request.host, request.sender, request.started) {
        return Some(Ok(kept));
    }
    let connecting = pin!(connect(target, upstream, request.asker(), client.timer));
    let (link, took) = client.writer.unless_gone(connecting).await.ok()?;
    log.connect = Some(log.connect.unwrap_or_default() + took);
    Some(link)
}

/// Opens a connection to a server for a request, and tells how long that took.
pub async fn connect(
    target: &Target<'_>,
    upstream: &Upstream,
    asker: Asker<'_>,
    timer: &mut Timer,
) -> (Result<Link, Failed>, Duration) {
    let (clock, at_most) = (target.worker.clock, target.deadline);
    let before = clock.now();
    let limit = Limit { since: Some(before), after: target.pool().timeout.connect, at_most };
    // In a box, because it is large and seldom needed.
    let connecting =
        Box::pin(upstream.connect(asker, before, target.worker.surroundings(target.view.response_heads)));
    let connected = timer.within(limit, connecting).await;
    let now = clock.now();
    let error = match connected {
        Ok(Ok(link)) => return (Ok(link), now - before),
        Ok(Err(error)) => error,
        Err(_) if target.is_over() => return (Err(Failed::new(ServerError::Deadline)), now - before),
        Err(_) => ServerError::ConnectTimeout,
    };
    upstream.figures().connect_failures.increment();
    if matches!(error, ServerError::ConnectTimeout) {
        upstream.log_failed(&error);
    }
    (Err(Failed::new(error)), now - before)
}

/// Sends the request over `link`: the head, unless it can go out along with what follows.
///
/// # Errors
/// No stream could be opened for it.
pub async fn start<'x, 'c>(
    target: &Target<'x>,
    chosen: &Chosen,
    link: Link,
    incoming: Incoming<'x, 'c>,
    timer: &mut Timer,
) -> Result<Asked<'x, 'c>, ServerError> {
    let Target { worker, view, route, .. } = *target;
    let (request, upstream) = (incoming.request, target.upstream(chosen.server));
    let (framing, is_short) = {
        let body = incoming.body.borrow();
        // Over HTTP/2, what follows a request for another protocol belongs to that protocol.
        let is_tunnel = request.upgrade.is_some() && request.version == Version::Http2;
        (body.framing(), body.is_done() || is_tunnel)
    };
    let asked = request.forwarded(route);
    let path = rewrite(route, &asked);
    let (mark, query) = request.query.map_or(("", ""), |query| ("?", query));
    let parts = [&*path, mark, query];
    let mut head = OutgoingHead {
        lines: worker.buffers.medium(),
        method: request.method,
        target: parts,
        is_secure: upstream.is_secure(),
        upgrade: request.upgrade.filter(|_| is_short),
    };
    write_head(&mut head.lines, target, chosen.server, request, (&asked, parts), framing);
    let passage = passage(target, request);
    let rest: Option<&'x RefCell<Body<'c>>> = (!is_short).then_some(incoming.body);
    let around = Surroundings { of_connection: request.unsent, ..worker.surroundings(view.response_heads) };
    let mut trip = RoundTrip::over(around, link);
    match trip.send(&mut head, rest, &passage, timer).await {
        Ok(sending) => Ok(Asked { chosen: *chosen, trip, sending }),
        Err(ServerError::Timeout) => Err(too_late(target)),
        Err(error) => Err(error),
    }
}

/// Goes on with a try that a plain exchange has begun: the request came whole.
pub fn resume<'x, 'c>(target: &Target<'x>, begun: BegunTry, incoming: Incoming<'x, 'c>) -> Asked<'x, 'c> {
    let BegunTry { chosen, connection, unsent, answer, sent, uploaded } = begun;
    let Target { worker, view, .. } = *target;
    incoming.body.borrow_mut().skip_early();
    let sending = match unsent {
        None => Sending::Done(Ok(())),
        Some(Ok(unsent)) => {
            let out = Out::Http1(Rc::clone(&connection.io), unsent);
            let passage = passage(target, incoming.request);
            Sending::Going(Box::new(Upload::new(incoming.body, out, passage, worker.clock)))
        }
        Some(Err(error)) => Sending::Done(Err(error)),
    };
    let of_connection = incoming.request.unsent;
    let around = Surroundings { of_connection, ..worker.surroundings(view.response_heads) };
    let trip = RoundTrip::resume(around, connection, answer, sent, uploaded);
    Asked { chosen, trip, sending }
}

/// What the body of a request needs on its way.
fn passage<'x>(target: &Target<'x>, request: &Request<'_>) -> Passage<'x> {
    let Target { worker, view, route, .. } = *target;
    let ours = Ours {
        reserved: &view.reserved,
        deadline: route.deadline_header.as_ref().map(|header| header.name()),
        edits: &route.request_headers,
        underscores: request.drops_underscores,
    };
    Passage { buffers: &worker.buffers, ours, heads: view.heads, stall: target.stall() }
}

/// Writes the head of the request to this server. The route forwards the path `asked`; the server sees path and query in
/// `parts`.
pub fn write_head(
    out: &mut Vec<u8>,
    target: &Target<'_>,
    server: usize,
    request: &Request<'_>,
    (asked, parts): (&str, [&str; 3]),
    body: Framing,
) {
    let Target { worker, view, route, .. } = *target;
    let deadline = route.deadline_header.as_ref().map(|header| DeadlineField {
        name: header.name(),
        value: target.deadline.map(|deadline| retry::remaining(header, deadline, worker.clock.now())),
    });
    let changes = Changes {
        server_host: &target.upstream(server).host,
        target: parts,
        prefix: stripped(route, asked),
        via: target.pool().via,
        edits: &route.request_headers,
        body,
        deadline,
        node: target.node(),
        trace: passed(view, request, Some(server)),
    };
    h1::write_request(out, request, &changes);
}

/// Waits for the final head, and makes a response of it; `None` if another server's is to replace it.
///
/// # Errors
/// There was no answer, or none that could be passed on.
pub async fn await_answer<'x, 'c>(
    of: &mut Forwarding<'x, 'c>,
    leg: Leg,
    mut asked: Asked<'x, 'c>,
    client: &mut ToClient<'_, 'c>,
    log: &mut RequestLog,
) -> Result<Option<Outcome<'x, 'c>>, Failed> {
    log.sends(asked.trip.sent);
    let error = match final_head(&of.target, &mut asked, of.incoming, client, log).await {
        Ok(Some(head)) => return settle(of, leg, asked, head, client, log),
        Ok(None) => return Ok(Some(Outcome::gone())),
        Err(error) => error,
    };
    let Asked { trip, sending, .. } = asked;
    if let Sending::Done(Err(UploadError::Client(error))) = sending {
        return Ok(Some(blame_client(&error)));
    }
    if matches!(error, ServerError::Timeout) {
        trip.gave_no_answer();
    }
    Err(failed(of, error, (trip.has_started(), trip.is_untouched())))
}

/// Waits for the final head beside the rest of the request, and passes interim ones on; `None` if the client left.
async fn final_head(
    target: &Target<'_>,
    asked: &mut Asked<'_, '_>,
    incoming: Incoming<'_, '_>,
    client: &mut ToClient<'_, '_>,
    log: &mut RequestLog,
) -> Result<Option<ResponseHead>, ServerError> {
    let Asked { trip, sending, .. } = asked;
    // A request without a body is on its way as soon as it is written.
    let mut since = (!sending.goes_on()).then_some(trip.sent);
    let expects_continue = incoming.request.expects_continue;
    let mut has_continued = false;
    loop {
        let early = if expects_continue && !has_continued && sending.goes_on() {
            let limit = Limit {
                since: Some(trip.sent),
                after: target.pool().timeout.continue_after,
                at_most: target.deadline,
            };
            match Box::pin(client.timer.within(limit, trip.send_rest(sending))).await {
                Ok(sent) => sent?,
                Err(_) => {
                    has_continued = true;
                    let is_awaited = incoming.body.borrow().bytes() == 0;
                    // The server says nothing of whether it wants the body.
                    if is_awaited && Box::pin(client.writer.interim(100, |_| {})).await.is_err() {
                        return Ok(None);
                    }
                    continue;
                }
            }
        } else {
            trip.send_rest(sending).await?
        };
        let head = match early {
            Some(early) => early,
            None => {
                log.uploaded(trip.uploaded);
                match next_head(target, trip, since.take(), client).await? {
                    Some(head) => head,
                    None => return Ok(None),
                }
            }
        };
        if head.status == 101 || head.status >= 200 {
            return Ok(Some(head));
        }
        let is_said = expects_continue && head.status == 100 && std::mem::replace(&mut has_continued, true);
        if !is_said && Box::pin(interim(trip, &head, client.writer)).await.is_err() {
            return Ok(None);
        }
        trip.pass_interim(&head)?;
    }
}

/// Waits for the next head, for which the server has had time `since` then, or else from now on; `None` if the client left.
async fn next_head(
    target: &Target<'_>,
    trip: &mut RoundTrip<'_>,
    since: Option<Time>,
    client: &mut ToClient<'_, '_>,
) -> Result<Option<ResponseHead>, ServerError> {
    let limit = Limit { since, after: target.head_within(), at_most: target.deadline };
    // Pinned where they are made: each is large, and would be copied into the next.
    let reading = pin!(trip.read_head());
    let reading = pin!(client.timer.within(limit, reading));
    match client.writer.unless_gone(reading).await {
        Ok(read) => read.map_err(|_| too_late(target))?.map(Some),
        Err(_) => Ok(None),
    }
}

/// Has admission judge the server by its answer, and decide whether the client gets it; `None` if it is deferred.
///
/// # Errors
/// It cannot be passed on.
fn settle<'x, 'c>(
    of: &mut Forwarding<'x, 'c>,
    leg: Leg,
    asked: Asked<'x, 'c>,
    head: ResponseHead,
    client: &mut ToClient<'_, 'c>,
    log: &mut RequestLog,
) -> Result<Option<Outcome<'x, 'c>>, Failed> {
    let (target, now) = (of.target, of.target.worker.clock.now());
    log.answer_came(now);
    let (server, status) = (asked.chosen.server, head.status);
    // An answer that came before the end of the request says nothing of how quick its server is.
    let is_over = !asked.sending.goes_on();
    let took = log.first_byte().filter(|_| is_over);
    target.answered(of.incoming.request, server, (status, took));
    let answer = admission::Answer {
        status,
        at: now,
        took,
        uploading: log.uploading(is_over, now),
        is_sent: matches!(asked.sending.result(), Some(Ok(()))),
        has_begun: asked.trip.has_passed_interim(),
        replayable: of.incoming.body.borrow().can_rewind(),
    };
    let mut is_judged = false;
    match of.admission.handle_head(leg, &answer, &of.terms) {
        AfterHead::PassOn => {}
        AfterHead::Defer => {
            target.report_status(server, status);
            let Asked { chosen, trip, .. } = asked;
            of.defer(Deferred { chosen, trip, head }, log);
            return Ok(None);
        }
        AfterHead::NotRetried { why, was_asked } => {
            is_judged = was_asked;
            not_retried(of, (server, status), (why, was_asked), client, log);
        }
    }
    match respond(target, Answer { asked, head, is_judged, took }, of.incoming, client, &mut of.admission) {
        Ok(response) => Ok(Some(Outcome::Response(response))),
        // It was retried in vain: what is wrong with it now is not retried once more.
        Err(error) if is_judged => Ok(Some(Outcome::failed(&error, log))),
        Err(error) => Err(failed(of, error, (true, false))),
    }
}

/// Notes why an answer is passed on though the route retries its status.
#[cold]
fn not_retried(
    of: &Forwarding<'_, '_>,
    (server, status): (usize, u16),
    (why, was_asked): (Final, bool),
    client: &mut ToClient<'_, '_>,
    log: &mut RequestLog,
) {
    let words = format!("{} passed on, not retried: {why}", ServerError::Status(status));
    let id = &of.target.pool().backends[server].id;
    log.noted.open().step_of(of.target.worker.clock.now(), StepKind::Retry, words.clone(), id);
    if was_asked {
        of.target.report_status(server, status);
        of.count_attempts(client);
        log.retry = Some(words);
    } else {
        log.note(words);
    }
}

/// What follows from a failure; `started` says that a part of an answer had come, `untouched` that the connection was an
/// old one over which nothing came.
fn failed(of: &Forwarding<'_, '_>, error: ServerError, (started, untouched): (bool, bool)) -> Failed {
    let Incoming { request, body } = of.incoming;
    let repeats = of.target.route.retry.repeats_over_a_fresh_connection(request.method);
    let fresh = error.is_worth_a_fresh_connection(untouched, repeats) && body.borrow().can_rewind();
    Failed { cause: error.cause(started), error, fresh }
}

/// A wait for the server has ended: by the server's own limit, or by that of the whole exchange.
pub fn too_late(target: &Target<'_>) -> ServerError {
    if target.is_over() { ServerError::Deadline } else { ServerError::Timeout }
}

/// Ends the request of a client that did not send its body as it said it would.
fn blame_client<'x, 'c>(error: &BodyError) -> Outcome<'x, 'c> {
    let (status, kind) = match error {
        BodyError::Cut | BodyError::Io(_) => return Outcome::gone(),
        BodyError::Deadline => {
            let refusal =
                Refusal { status: 504, kind: None, why: error.to_string().into(), retry_after: None };
            return Outcome::Refused(refusal, Ended::RequestTimeout);
        }
        BodyError::Timeout => (408, RequestRefusal::BodyTimeout),
        BodyError::TooLarge => (413, RequestRefusal::BodyTooLarge),
        BodyError::Malformed(_) => (400, RequestRefusal::Malformed),
    };
    let ended = if status == 408 { Ended::ClientTimeout } else { Ended::Refused };
    Outcome::Refused(Refusal::new(status, kind, error.to_string()), ended)
}
