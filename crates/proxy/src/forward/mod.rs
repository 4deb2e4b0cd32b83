//! Forwarding: a server is chosen, asked, and another one when the retry policy says so, until there is a response.

mod attempt;
pub mod body;
pub mod deferred;
mod hedge;
pub mod held;
pub mod holds;
pub mod outcome;
pub mod pick;
mod report;
mod respond;
pub mod seat;
pub mod target;
mod tries;
pub mod tunnel;

use std::fmt::Display;

use evenkeel_core::retry::{self, Attempt, Decision, Final};
use evenkeel_observe::{Ended, RequestRefusal};

use self::attempt::attempt;
use self::outcome::Outcome;
use self::pick::{Denied, pick};
use self::target::Target;
use self::tries::{Failed, Tries};
use crate::client::writer::ToClient;
use crate::request::admit::Refusal;
use crate::request::incoming::Incoming;
use crate::request::log::RequestLog;
use crate::server::error::ServerError;
use crate::worker::timer::Limit;

/// Forwards a request to a server of the pool; what comes back is its response, or why there is none.
pub async fn forward<'x, 'c>(
    target: Target<'x>,
    incoming: Incoming<'x, 'c>,
    client: &mut ToClient<'_, 'c>,
    log: &mut RequestLog,
) -> Outcome<'x, 'c> {
    let mut tries = Tries::default();
    let mut last: Option<ServerError> = None;
    prepare(target, incoming);
    loop {
        let now = if tries.tried().is_empty() { incoming.request.started } else { target.worker.clock.now() };
        if target.deadline.is_some_and(|deadline| now >= deadline) {
            last = Some(ServerError::Deadline);
            break;
        }
        let chosen = match pick(target, incoming.request, client, &mut tries, now).await {
            Ok(Some(chosen)) => chosen,
            Ok(None) => break,
            // No server is left that has room: what came of the try before decides.
            Err(Denied::Refused(refusal, ended)) if last.is_some() => {
                log.retry = not_retried(last.as_ref(), &refusal.why);
                tries.holds.seat = None;
                if ended == Ended::RequestTimeout && tries.deferred.is_none() {
                    last = Some(ServerError::Deadline);
                }
                break;
            }
            Err(denied) => {
                pick::note_open(target, &denied, log);
                return denied.into();
            }
        };
        if !tries.try_now(chosen.server) {
            break;
        }
        log.server = Some(chosen.server);
        log.tries += 1;
        if target.route.retry.header {
            client.writer.attempts = tries.attempts + 1;
        }
        let mut failed = match attempt(target, chosen, incoming, client, log, &mut tries).await {
            Ok(outcome) => return outcome,
            Err(failed) => failed,
        };
        tries.give_back(Some(&failed.error));
        target.report_failure(log.server.unwrap_or(chosen.server), &failed.error);
        tries.failed(&failed);
        tries.deferred = failed.deferred.take().or(tries.deferred.take());
        let decision = Box::pin(go_on(target, incoming, client, log, &mut tries, &failed)).await;
        last = Some(failed.error);
        match decision {
            Some(true) => {}
            Some(false) => break,
            None => return Outcome::gone(),
        }
    }
    give_up(target, incoming, client, log, tries, last)
}

/// Pays for what a retry may cost, and keeps what it would need.
fn prepare(target: Target<'_>, incoming: Incoming<'_, '_>) {
    let (request, mut body) = (incoming.request, incoming.body.borrow_mut());
    let policy = &target.route.retry;
    target.side().purse.request(policy.budget, &target.state().retries.budget, request.started);
    body.end_by(target.deadline);
    if !body.is_done()
        && request.upgrade.is_none()
        && policy.may_send_twice()
        && policy.repeats(request.method)
    {
        body.keep(policy.replay);
    }
}

/// Decides whether another server gets the request, and makes ready for that; `None` if the client left meanwhile.
async fn go_on(
    target: Target<'_>,
    incoming: Incoming<'_, '_>,
    client: &mut ToClient<'_, '_>,
    log: &mut RequestLog,
    tries: &mut Tries<'_>,
    failed: &Failed<'_>,
) -> Option<bool> {
    let Some(cause) = failed.cause else { return Some(false) };
    let (worker, now) = (target.worker, target.worker.clock.now());
    let attempt = Attempt {
        cause,
        method: incoming.request.method,
        replayable: incoming.body.borrow().can_rewind(),
        // A response goes to the client only when forwarding is over.
        answered: false,
        attempts: tries.attempts,
        retries: tries.retries,
        no_server: tries.no_server(&target.state().members),
        now,
        deadline: target.deadline,
    };
    // The tries before have ended.
    let mut held = tries.holds.held.as_deref_mut();
    held.iter_mut().for_each(|held| held.end_retries());
    let policy = &target.route.retry;
    let decision = retry::retry(policy, &attempt, || target.withdraw(held, now), || worker.random());
    target.count(cause, decision);
    match decision {
        Decision::Final(Final::NotListed) => Some(false),
        Decision::Final(why) => {
            log.retry = not_retried(Some(&failed.error), &why);
            Some(false)
        }
        Decision::Retry { after } => {
            log.retry = Some(format!("retried after: {}", failed.error));
            incoming.body.borrow_mut().rewind();
            tries.retries += u32::from(cause != retry::Cause::Connect);
            if after.is_zero() {
                return Some(true);
            }
            let pause = Limit { since: Some(now), after, at_most: target.deadline };
            let pausing = client.timer.within(pause, std::future::pending::<()>());
            client.writer.unless_gone(pausing).await.ok().map(|_| true)
        }
    }
}

/// For the log: why no other server made good what failed. What came of a deferred response behind another failure is
/// said when it is passed on.
fn not_retried(error: Option<&ServerError>, why: &dyn Display) -> Option<String> {
    let deferred = error.filter(|error| matches!(error, ServerError::Status(_)));
    let passed_on = deferred.map(|error| format!("{error} passed on, ")).unwrap_or_default();
    Some(format!("{passed_on}not retried: {why}"))
}

/// What the client gets when no server is to be tried any more.
#[cold]
fn give_up<'x, 'c>(
    target: Target<'x>,
    incoming: Incoming<'x, 'c>,
    client: &mut ToClient<'_, 'c>,
    log: &mut RequestLog,
    mut tries: Tries<'x>,
    last: Option<ServerError>,
) -> Outcome<'x, 'c> {
    if target.route.retry.header {
        client.writer.attempts = tries.attempts;
    }
    let last = match tries.deferred.take() {
        None => last,
        Some(deferred) => {
            if let Some(error) = last.filter(|error| !matches!(error, ServerError::Status(_))) {
                let status = deferred.head.status;
                log.note(format!(
                    "{status} from the server passed on, because no other made it good: {error}"
                ));
            }
            match deferred.pass_on(target, incoming, client, log, &mut tries.holds) {
                Ok(outcome) => return outcome,
                Err(error) => Some(error),
            }
        }
    };
    match last {
        Some(error) => {
            let (refusal, ended) = refusal_of(&error, log);
            Outcome::Refused(refusal, ended)
        }
        None => {
            log.detail = Some(format!("no healthy server in pool {}", target.pool().name));
            let refusal = Refusal::new(503, RequestRefusal::NoBackend, "no healthy server");
            Outcome::Refused(refusal, Ended::Refused)
        }
    }
}

/// What the client gets in place of a response that a server did not give, and how the request has ended with that.
pub fn refusal_of(error: &ServerError, log: &mut RequestLog) -> (Refusal, Ended) {
    let ended = match (error, error.status()) {
        (ServerError::Unsendable, _) => Ended::Refused,
        (ServerError::Deadline, _) => Ended::RequestTimeout,
        (_, 504) => Ended::BackendTimeout,
        _ => Ended::BackendAborted,
    };
    log.detail = Some(error.to_string());
    let kind = matches!(error, ServerError::Unsendable).then_some(RequestRefusal::Malformed);
    (Refusal { status: error.status(), kind, why: error.to_client(), retry_after: None }, ended)
}
