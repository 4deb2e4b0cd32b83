//! One try at a server: a connection, a round trip over it, and what its answer comes to.

use std::cell::RefCell;
use std::time::Duration;

use evenkeel_core::choose::Chosen;
use evenkeel_core::retry::{self, Cause, Decision, Final};
use evenkeel_core::route::{rewrite, stripped};
use evenkeel_observe::{Ended, RequestRefusal};

use super::deferred::Deferred;
use super::hedge;
use super::held::Answered;
use super::outcome::{Asked, Outcome};
use super::respond::{Answer, interim, respond};
use super::target::Target;
use super::tries::{Failed, Tries};
use crate::body::{Body, BodyError};
use crate::client::writer::ToClient;
use crate::http::head::ResponseHead;
use crate::request::admit::Refusal;
use crate::request::incoming::Incoming;
use crate::request::log::RequestLog;
use crate::server::error::ServerError;
use crate::server::exchange::{OutgoingHead, RoundTrip};
use crate::server::h1::{self, Changes, DeadlineField, Ours};
use crate::server::upload::{Passage, Sending, UploadError};
use crate::server::{InFlight, Link, Upstream};
use crate::worker::timer::{Limit, Timer};

/// One try: at most two connections, the second in place of one that the server was closing.
///
/// # Errors
/// The server gave no answer, or one that the route retries.
pub async fn attempt<'x, 'c>(
    target: Target<'x>,
    chosen: Chosen,
    incoming: Incoming<'x, 'c>,
    client: &mut ToClient<'_, 'c>,
    log: &mut RequestLog,
    tries: &mut Tries<'x>,
) -> Result<Outcome<'x, 'c>, Failed<'x>> {
    if target.route.hedge.is_some()
        && let Some(after) = hedge::after(target, &chosen, incoming, tries)
    {
        return Box::pin(hedge::race(target, (chosen, after), incoming, client, log, tries)).await;
    }
    let upstream = target.upstream(chosen.server);
    // In a pool with limits its seat counts it.
    tries.holds.in_flight = tries.holds.seat.is_none().then(|| InFlight::at(upstream, target.worker.clock));
    let mut kept = upstream.kept(incoming.request.started);
    let mut is_second = false;
    loop {
        let link = match kept.take() {
            Some(link) => link,
            None => {
                let (link, took) = connect(target, upstream, client.timer).await;
                log.connect = Some(log.connect.unwrap_or_default() + took);
                link?
            }
        };
        if let Some(deferred) = tries.deferred.take() {
            Box::pin(deferred.discard(target, incoming.request)).await;
        }
        match round_trip(target, chosen, link, incoming, client, log, tries).await {
            Err(Failed { fresh: true, .. }) if !is_second => incoming.body.borrow_mut().rewind(),
            other => return other,
        }
        is_second = true;
    }
}

/// Opens a connection to a server, and tells how long that took.
pub async fn connect<'x>(
    target: Target<'x>,
    upstream: &Upstream,
    timer: &mut Timer,
) -> (Result<Link, Failed<'x>>, Duration) {
    let (clock, at_most) = (target.worker.clock, target.deadline);
    let before = clock.now();
    let limit = Limit { since: Some(before), after: target.pool().timeout.connect, at_most };
    // In a box, because it is large and seldom needed.
    let connecting = Box::pin(upstream.connect(before, target.view.response_heads));
    let connected = timer.within(limit, connecting).await;
    let now = clock.now();
    let error = match connected {
        Ok(Ok(link)) => return (Ok(link), now - before),
        Ok(Err(error)) => ServerError::Connect(error),
        Err(_) if target.is_over() => return (Err(Failed::new(ServerError::Deadline)), now - before),
        Err(_) => ServerError::ConnectTimeout,
    };
    upstream.figures().connect_failures.increment();
    (Err(Failed::new(error)), now - before)
}

/// Sends the request over `link`: the head, unless it can go out along with what follows.
///
/// # Errors
/// No stream could be opened for it.
pub async fn start<'x, 'c>(
    target: Target<'x>,
    chosen: Chosen,
    link: Link,
    incoming: Incoming<'x, 'c>,
    timer: &mut Timer,
) -> Result<Asked<'x, 'c>, ServerError> {
    let Target { worker, view, route, .. } = target;
    let (request, upstream) = (incoming.request, target.upstream(chosen.server));
    let (framing, is_short) = {
        let body = incoming.body.borrow();
        // What asks for another protocol has no body: what follows belongs to that protocol.
        (body.framing(), body.is_done() || request.upgrade.is_some())
    };
    let path = rewrite(route, &request.path);
    let (mark, query) = request.query.map_or(("", ""), |query| ("?", query));
    let (parts, edits) = ([&*path, mark, query], &route.request_headers);
    let deadline = route.deadline_header.as_ref().map(|header| DeadlineField {
        name: header.name(),
        value: target.deadline.map(|deadline| retry::told(header, deadline, worker.clock.now())),
    });
    let mut lines = worker.buffers.medium();
    let changes = Changes {
        server_host: &upstream.host,
        target: parts,
        prefix: stripped(route, &request.path),
        edits,
        body: framing,
        deadline,
    };
    h1::write_request(&mut lines, request, &changes);
    let head = OutgoingHead { lines, method: request.method, target: parts, is_secure: upstream.is_secure() };
    let ours = Ours {
        reserved: &view.reserved,
        deadline: route.deadline_header.as_ref().map(|header| header.name()),
        edits,
        underscores: request.drops_underscores,
    };
    let passage = Passage { buffers: &worker.buffers, ours, heads: view.heads, stall: target.stall() };
    let rest: Option<&'x RefCell<Body<'c>>> = (!is_short).then_some(incoming.body);
    match RoundTrip::start(worker.surroundings(view.response_heads), link, head, rest, passage, timer).await {
        Ok((trip, sending)) => Ok(Asked { chosen, trip, sending }),
        Err((ServerError::Timeout, _)) => Err(too_late(target)),
        Err((error, _)) => Err(error),
    }
}

/// One round trip, from the request's head to the head of its answer.
async fn round_trip<'x, 'c>(
    target: Target<'x>,
    chosen: Chosen,
    link: Link,
    incoming: Incoming<'x, 'c>,
    client: &mut ToClient<'_, 'c>,
    log: &mut RequestLog,
    tries: &mut Tries<'x>,
) -> Result<Outcome<'x, 'c>, Failed<'x>> {
    match start(target, chosen, link, incoming, client.timer).await {
        Ok(asked) => await_answer(target, asked, incoming, client, log, tries).await,
        Err(error) => Err(failed(target, error, (false, false), incoming)),
    }
}

/// Waits for the final head, and makes a response of it.
///
/// # Errors
/// There was no answer, or one that the route retries.
pub async fn await_answer<'x, 'c>(
    target: Target<'x>,
    mut asked: Asked<'x, 'c>,
    incoming: Incoming<'x, 'c>,
    client: &mut ToClient<'_, 'c>,
    log: &mut RequestLog,
    tries: &mut Tries<'x>,
) -> Result<Outcome<'x, 'c>, Failed<'x>> {
    log.sends(asked.trip.sent);
    let error = match final_head(target, &mut asked, client, log).await {
        Ok(Some(head)) => return settle(target, asked, head, incoming, client, log, tries),
        Ok(None) => return Ok(Outcome::gone()),
        Err(error) => error,
    };
    let Asked { trip, sending, .. } = asked;
    if let Sending::Done(Err(UploadError::Client(error))) = sending {
        return Ok(blame_client(&error));
    }
    if matches!(error, ServerError::Timeout) {
        trip.gave_no_answer();
    }
    Err(failed(target, error, (trip.has_started(), trip.is_untouched()), incoming))
}

/// Waits for the final head beside the rest of the request, and passes interim ones on; `None` if the client left.
async fn final_head(
    target: Target<'_>,
    asked: &mut Asked<'_, '_>,
    client: &mut ToClient<'_, '_>,
    log: &mut RequestLog,
) -> Result<Option<ResponseHead>, ServerError> {
    let Asked { trip, sending, .. } = asked;
    let at_most = target.deadline;
    // A request without a body is on its way as soon as it is written.
    let mut since = (!sending.goes_on()).then_some(trip.sent);
    loop {
        let head = match trip.send_rest(sending).await? {
            Some(early) => early,
            None => {
                log.uploaded(trip.uploaded);
                let limit = Limit { since: since.take(), after: target.head_within(), at_most };
                let reading = client.timer.within(limit, trip.read_head());
                match client.writer.unless_gone(reading).await {
                    Ok(read) => read.map_err(|_| too_late(target))??,
                    Err(_) => return Ok(None),
                }
            }
        };
        if head.status == 101 || head.status >= 200 {
            return Ok(Some(head));
        }
        if Box::pin(interim(trip, &head, client.writer)).await.is_err() {
            return Ok(None);
        }
        trip.pass_interim(&head)?;
    }
}

/// Judges the server by its answer, and decides whether the client gets it.
///
/// # Errors
/// The route retries it, or it is none that could be passed on.
fn settle<'x, 'c>(
    target: Target<'x>,
    asked: Asked<'x, 'c>,
    head: ResponseHead,
    incoming: Incoming<'x, 'c>,
    client: &mut ToClient<'_, 'c>,
    log: &mut RequestLog,
    tries: &mut Tries<'x>,
) -> Result<Outcome<'x, 'c>, Failed<'x>> {
    let now = target.worker.clock.now();
    log.answer_came(now);
    let (server, status) = (asked.chosen.server, head.status);
    // An answer that came before the end of the request says nothing of how quick its server is.
    let is_sent = !asked.sending.goes_on();
    let took = log.first_byte().filter(|_| is_sent);
    target.report_answer(server, status, took);
    // A hedge took as long as the one before it.
    target.measure(status, log.hedged.map(|began| now - began).or(took), now);
    let uploading = log.uploading(is_sent, now);
    let holds = &mut tries.holds;
    if let Some(held) = &mut holds.held {
        held.answered(holds.seat.as_deref_mut(), &Answered { status, at: now, took, uploading });
    }
    match is_retried(target, &asked, incoming, status) {
        Some(Ok(())) => {
            if matches!(status, 502..=504) {
                target.report_status(server, status);
            }
            let Asked { chosen, trip, .. } = asked;
            let deferred = Some(Box::new(Deferred { chosen, trip, head }));
            return Err(Failed { deferred, ..Failed::new(ServerError::Status(status)) });
        }
        Some(Err(why)) => pass_on(target, status, why, log),
        None => {}
    }
    let answer = Answer { asked, head, is_judged: false, took };
    respond(target, answer, incoming, client, &mut tries.holds)
        .map(Outcome::Response)
        .map_err(|error| failed(target, error, (true, false), incoming))
}

/// Whether the policy is to be asked about this answer, if its status is one that the route retries: the request must have
/// been sent whole, and nothing have gone to the client.
fn is_retried(
    target: Target<'_>,
    asked: &Asked<'_, '_>,
    incoming: Incoming<'_, '_>,
    status: u16,
) -> Option<Result<(), Final>> {
    let policy = &target.route.retry;
    policy.on.statuses.binary_search(&status).ok()?;
    Some(match asked.sending.result() {
        _ if asked.trip.has_passed_interim() => Err(Final::Answered),
        Some(Ok(())) => Ok(()),
        _ if !policy.repeats(incoming.request.method) => Err(Final::Method),
        _ => Err(Final::Early),
    })
}

/// Counts and notes an answer that the route would retry, and that is passed on at once.
fn pass_on(target: Target<'_>, status: u16, why: Final, log: &mut RequestLog) {
    target.count(Cause::Status(status), Decision::Final(why));
    log.note(format!("{status} from the server passed on, not retried: {why}"));
}

/// What follows from a failure; `started` says that a part of an answer had come, `untouched` that the connection was an
/// old one over which nothing came.
fn failed<'x>(
    target: Target<'x>,
    error: ServerError,
    (started, untouched): (bool, bool),
    incoming: Incoming<'_, '_>,
) -> Failed<'x> {
    let repeats = target.route.retry.repeats_over_a_fresh_connection(incoming.request.method);
    let fresh = error.is_worth_a_fresh_connection(untouched, repeats) && incoming.body.borrow().can_rewind();
    Failed { cause: error.cause(started), error, fresh, deferred: None }
}

/// A wait for the server has ended: by the server's own limit, or by that of the whole exchange.
pub fn too_late(target: Target<'_>) -> ServerError {
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
