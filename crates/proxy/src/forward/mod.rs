//! Forwarding: admission chooses a server, the server is asked, and another one when the retry policy says so, until there is
//! a response.

pub mod attempt;
pub mod body;
pub mod deferred;
pub mod driver;
mod forwarding;
mod hedge;
pub mod outcome;
pub mod report;
pub mod respond;
pub mod target;
pub mod tunnel;

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use evenkeel_core::admission::{self, GiveUp, Role, Step};
use evenkeel_observe::flight::StepKind;
use evenkeel_observe::{Ended, RequestRefusal};
use evenkeel_types::Time;

use self::attempt::attempt;
pub use self::forwarding::{Forwarding, chose};
use self::hedge::race;
use self::outcome::Outcome;
use self::target::Target;
use crate::client::writer::ToClient;
use crate::request::admit::Refusal;
use crate::request::log::RequestLog;
use crate::server::error::ServerError;

/// Forwards a request to a server of the pool; what comes back is its response, or why there is none. Does what admission says,
/// step by step. What must last beyond a step lies in `of`, because an argument that is kept across a wait takes its room twice.
pub async fn forward<'x, 'c>(
    of: &mut Forwarding<'x, 'c>,
    client: &mut ToClient<'_, 'c>,
    log: &mut RequestLog,
) -> Outcome<'x, 'c> {
    let mut now = of.incoming.request.started;
    loop {
        let step = match of.step.take() {
            Some(step) => step,
            None => poll_fn(|cx| Poll::Ready(of.admission.poll(&of.terms, now, cx))).await,
        };
        let outcome = match step {
            Step::Send { leg, chosen, role } => {
                if of.asked.is_none() {
                    log.tries_at(&chosen);
                    of.target.begin_try(of.incoming.request, chosen.server, false);
                    if log.tries > 1 {
                        of.note_choice(&chosen, log);
                    }
                    of.count_attempts(client);
                }
                match role {
                    Role::Alone => attempt(of, leg, &chosen, client, log).await,
                    _ => Box::pin(race(of, (leg, chosen), client, log)).await,
                }
            }
            Step::Wait { until } => match Box::pin(wait(of, until, client, log)).await {
                Some(next) => {
                    of.step = Some(next);
                    continue;
                }
                None => Some(of.gone()),
            },
            Step::Renew => renew(of, log),
            Step::Pause { until } => Box::pin(pause(of, until, client, log)).await,
            Step::Refuse(refusal) => Some(refuse(of, refusal, log)),
            Step::GiveUp(why) => Some(give_up(of, why, client, log)),
            // No server has the request between two tries.
            Step::Asking { .. } | Step::NotHedged(_) => Some(give_up(of, GiveUp::Failed, client, log)),
        };
        if let Some(outcome) = outcome {
            return outcome;
        }
        now = of.target.worker.clock.now();
    }
}

/// Goes on with the pool as it is now; `Some` if the configuration does not have it any more.
#[cold]
fn renew<'x, 'c>(of: &mut Forwarding<'x, 'c>, log: &mut RequestLog) -> Option<Outcome<'x, 'c>> {
    let Target { worker, view, pool, .. } = of.target;
    let Some(newer) = pool.newer(view, worker) else {
        let refusal = Refusal::new(503, RequestRefusal::NoBackend, "no healthy server");
        return Some(Outcome::Refused(refusal, Ended::Refused));
    };
    log.renewals += u32::from(!std::ptr::eq(newer, pool));
    of.target.pool = newer;
    log.server = None;
    of.admission.renew(&newer.gate);
    None
}

/// Waits in the pool's queue, `until` then at first; `None` if the client left meanwhile.
async fn wait(
    of: &mut Forwarding<'_, '_>,
    until: Time,
    client: &mut ToClient<'_, '_>,
    log: &mut RequestLog,
) -> Option<Step> {
    let ToClient { writer, timer } = client;
    let (io, clock) = (writer.io().map(Rc::clone), of.target.worker.clock);
    let (began, pool) = (clock.now(), &of.target.pool().name);
    let what = match of.admission.is_queued() {
        true => format!("it waited in the queue of pool {pool}"),
        false => format!("it waited until a server of pool {pool} could be used"),
    };
    let (mut until, mut is_first) = (until, true);
    let waiting = poll_fn(|cx| {
        loop {
            if !std::mem::take(&mut is_first) {
                // The client's end may be hidden behind bytes that have not been read.
                if io.as_ref().is_some_and(|io| io.has_ended()) {
                    return Poll::Ready(None);
                }
                match of.admission.poll(&of.terms, clock.now(), cx) {
                    Step::Wait { until: later } => until = later,
                    step => return Poll::Ready(Some(step)),
                }
            }
            if timer.poll_until(cx, until).is_pending() {
                return Poll::Pending;
            }
        }
    });
    let step = writer.unless_left(waiting).await.ok().flatten();
    log.noted.open().waited(began, clock.now(), StepKind::Queue, what);
    step
}

/// Pauses before a retry; `Some` if the client left meanwhile.
async fn pause<'x, 'c>(
    of: &mut Forwarding<'x, 'c>,
    until: Time,
    client: &mut ToClient<'_, 'c>,
    log: &mut RequestLog,
) -> Option<Outcome<'x, 'c>> {
    let ToClient { writer, timer } = client;
    let clock = of.target.worker.clock;
    let began = clock.now();
    let paused = writer.unless_gone(poll_fn(|cx| timer.poll_until(cx, until))).await;
    log.noted.open().waited(began, clock.now(), StepKind::Retry, "it paused before the retry");
    paused.is_err().then(|| of.gone())
}

/// What the client gets when the pool does not take its request.
#[cold]
fn refuse<'x, 'c>(
    of: &Forwarding<'x, 'c>,
    refused: admission::Refusal,
    log: &mut RequestLog,
) -> Outcome<'x, 'c> {
    use admission::Refusal::{
        Deadline, Full, NoServer, PoolOpen, QueueFull, QueueTimeout, ServersOpen, TooManyWait,
    };
    let why = refused.to_string();
    let kind = match refused {
        Deadline => {
            let refusal = Refusal { status: 504, kind: None, why: why.into(), retry_after: None };
            return Outcome::Refused(refusal, Ended::RequestTimeout);
        }
        PoolOpen(_) | ServersOpen => RequestRefusal::BreakerOpen,
        Full(_) | QueueFull { .. } | QueueTimeout { .. } => RequestRefusal::NoPlace,
        NoServer { .. } | TooManyWait => {
            log.detail = Some(format!("pool {}: {why}", of.target.pool().name));
            RequestRefusal::NoBackend
        }
    };
    let worker = of.target.worker;
    let step = match kind {
        RequestRefusal::NoBackend => StepKind::Choose,
        _ => StepKind::Limit,
    };
    log.noted.open().step(worker.clock.now(), step, format!("pool {}: {why}", of.target.pool().name));
    // For the log alone: the client need not know.
    if kind == RequestRefusal::BreakerOpen
        && worker.logs()
        && let Some(circuit) = of.admission.gate().circuit_in_words(worker.clock.now())
    {
        log.note(circuit);
    }
    let refusal = Refusal::new(503, kind, why);
    let refusal = match refused.retry_after() {
        Some(wait) => refusal.after(wait),
        None => refusal,
    };
    Outcome::Refused(refusal, Ended::Refused)
}

/// What the client gets when no server is asked any more.
#[cold]
fn give_up<'x, 'c>(
    of: &mut Forwarding<'x, 'c>,
    why: GiveUp,
    client: &mut ToClient<'_, 'c>,
    log: &mut RequestLog,
) -> Outcome<'x, 'c> {
    of.count_attempts(client);
    if let GiveUp::Refused(refusal) = why {
        // What has come of the try before says what the client gets.
        let passed_on = match &of.last {
            Some(error @ ServerError::Status(_)) => format!("{error} passed on, "),
            _ => String::new(),
        };
        log.retry = Some(format!("{passed_on}not retried: {refusal}"));
        log.noted.open().step(
            of.target.worker.clock.now(),
            StepKind::Retry,
            format!("not retried: {refusal}"),
        );
    }
    let is_late = match why {
        GiveUp::Deadline => true,
        GiveUp::Refused(admission::Refusal::Deadline) => of.deferred.is_none(),
        _ => false,
    };
    if is_late {
        of.last = Some(ServerError::Deadline);
    }
    let mut last = of.last.take();
    if let Some(deferred) = of.deferred.take() {
        if let Some(error) = last.filter(|error| !matches!(error, ServerError::Status(_))) {
            let status = deferred.head.status;
            log.note(format!("{status} from the server passed on, because no other made it good: {error}"));
        }
        match deferred.pass_on(of.target, of.incoming, client, log, &mut of.admission) {
            Ok(outcome) => return outcome,
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => Outcome::failed(&error, log),
        None => {
            log.detail = Some(format!("no healthy server in pool {}", of.target.pool().name));
            let refusal = Refusal::new(503, RequestRefusal::NoBackend, "no healthy server");
            Outcome::Refused(refusal, Ended::Refused)
        }
    }
}
