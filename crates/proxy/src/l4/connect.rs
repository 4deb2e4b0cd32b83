//! From a pool to a connection to one of its servers: admission chooses, and another server is tried while nothing has been
//! sent to any.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use evenkeel_config::{Algorithm, Route};
use evenkeel_core::admission::{self, Answer, Leg, Step, Terms};
use evenkeel_core::health::TermWatch;
use evenkeel_core::l4::StreamFacts;
use evenkeel_net::Io;
use evenkeel_observe::{ConnectionRefusal, StreamEnded};
use evenkeel_types::Time;

use super::Stream;
use crate::forward::driver::{Admission, Permit};
use crate::forward::report::tell;
use crate::server::Sender;
use crate::server::error::ServerError;
use crate::worker::Worker;
use crate::worker::pool_view::PoolView;
use crate::worker::timer::{Limit, Timer};
use crate::worker::view::View;

/// A connection to a server, what it holds of the pool as long as it lives, and the term of the server in its role.
type Connected = (Io, Option<Permit>, TermWatch);

/// Why there is none: how the client's connection ends, and the reason for the log.
pub(super) type Unconnected = (StreamEnded, String);

/// Connects to a server of the pool.
///
/// # Errors
/// The pool does not take the connection, no server could be reached, or the client has left.
pub async fn connect(
    worker: &Worker,
    view: &View,
    stream: &mut Stream,
    client: &Io,
) -> Result<Connected, Unconnected> {
    let mut pool = view.pool_now(stream.plan.pool);
    let sender = Rc::clone(&stream.sender);
    let facts = StreamFacts { client: stream.client, sni: None };
    let route: &Route = view.snapshot.routes.route(stream.plan.route);
    let retry = &route.retry;
    let terms =
        Terms { request: &facts, owner_of: None, retry, hedge: None, is_short: false, deadline: None };
    let mut admission = Admission::new(&pool.gate, &terms, worker.clock.now());
    let mut timer = Timer::new(worker.clock);
    let mut last = None;
    loop {
        let step = poll_fn(|cx| Poll::Ready(admission.poll(&terms, worker.clock.now(), cx))).await;
        let step = match step {
            Step::Wait { until } => wait(worker, (&mut admission, &terms), until, client, &mut timer).await,
            step => Some(step),
        };
        match step {
            Some(Step::Send { leg, chosen, .. }) => {
                stream.log.server = Some(chosen.server);
                stream.log.tries += 1;
                let trial = open(worker, &pool, (chosen.server, &sender), &mut timer).await;
                stream.log.connect = Some(stream.log.connect.unwrap_or_default() + trial.took);
                match trial.opened {
                    Ok(server) => {
                        settle(&mut admission, (leg, chosen.server), &trial.answer, &terms, &pool);
                        let term = pool.upstreams[chosen.server].watch_term();
                        return Ok((server, admission.take_permit(), term));
                    }
                    Err(error) => {
                        report(worker, &pool, chosen.server, &error);
                        let failed = error.failed_try(error.cause(false), true);
                        admission.handle_failure(leg, &failed, &terms, trial.answer.at);
                        last = Some(error);
                    }
                }
            }
            Some(Step::Renew) => {
                let Some(newer) = view.pool_again(&pool, worker) else {
                    return Err(given_up(worker, &pool, last.as_ref()));
                };
                admission.renew(&newer.gate);
                pool = newer;
                (stream.log.pool, stream.log.server) = (Some(Rc::clone(&pool)), None);
            }
            Some(Step::Pause { until }) => poll_fn(|cx| timer.poll_until(cx, until)).await,
            Some(Step::Refuse(refusal)) => {
                worker.metrics.connection_refused(ConnectionRefusal::Pool);
                return Err((StreamEnded::Refused, refusal.to_string()));
            }
            // Nothing was sent to any server: there is no other leg.
            Some(Step::GiveUp(_) | Step::Asking { .. } | Step::NotHedged(_)) => {
                return Err(given_up(worker, &pool, last.as_ref()));
            }
            Some(Step::Wait { .. }) => {}
            None => {
                admission.handle_gone(worker.clock.now());
                return Err((StreamEnded::ClientLeft, "the client left while it waited for a server".into()));
            }
        }
    }
}

/// A try to connect to one server.
struct Trial {
    opened: Result<Io, ServerError>,
    took: Duration,
    /// What a connection says of the server, where requests have an answer.
    answer: Answer,
}

async fn open(
    worker: &Worker,
    pool: &PoolView,
    (server, sender): (usize, &Rc<Sender>),
    timer: &mut Timer,
) -> Trial {
    let before = worker.clock.now();
    let limit = Limit { since: Some(before), ..pool.config().timeout.connect.into() };
    let connecting = Box::pin(pool.upstreams[server].open_stream(sender));
    let opened = timer.within(limit, connecting).await.unwrap_or(Err(ServerError::ConnectTimeout));
    let now = worker.clock.now();
    Trial { opened, took: now - before, answer: Answer::whole(200, before, now) }
}

/// The server has taken the connection, which is all that it can be judged by.
fn settle(
    admission: &mut Admission,
    (leg, server): (Leg, usize),
    answer: &Answer,
    terms: &Terms<'_, StreamFacts<'_>>,
    pool: &PoolView,
) {
    admission.handle_connected(leg);
    admission.handle_head(leg, answer, terms);
    if let (Algorithm::LeastResponseTime, Some(took)) = (&pool.config().algorithm, answer.took) {
        pool.upstreams[server].load.observe_latency(took, answer.at);
    }
}

/// Counts a server that could not be connected to, and tells passive checks.
pub(super) fn report(worker: &Worker, pool: &PoolView, server: usize, error: &ServerError) {
    let figures = pool.upstreams[server].figures();
    figures.connect_failures.increment();
    if let Some(kind) = error.kind() {
        figures.failed(kind);
    }
    if let Some(failure) = error.failure() {
        tell(worker, pool.config(), server, failure);
    }
}

/// Why there is no server, after the last of those that were tried.
#[cold]
pub(super) fn given_up(worker: &Worker, pool: &PoolView, last: Option<&ServerError>) -> Unconnected {
    match last {
        Some(error) => (StreamEnded::ConnectFailed, error.to_string()),
        None => {
            worker.metrics.connection_refused(ConnectionRefusal::Pool);
            (StreamEnded::Refused, format!("no healthy server in pool {}", pool.config().name))
        }
    }
}

/// Waits in the pool's queue; `None` if the client's connection failed meanwhile. One that has only ended its side may still
/// wait for an answer.
async fn wait(
    worker: &Worker,
    (admission, terms): (&mut Admission, &Terms<'_, StreamFacts<'_>>),
    until: Time,
    client: &Io,
    timer: &mut Timer,
) -> Option<admission::Step> {
    let mut until = until;
    poll_fn(|cx| {
        loop {
            if client.poll_failed(cx).is_ready() {
                return Poll::Ready(None);
            }
            match admission.poll(terms, worker.clock.now(), cx) {
                Step::Wait { until: later } => until = later,
                step => return Poll::Ready(Some(step)),
            }
            if timer.poll_until(cx, until).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await
}
