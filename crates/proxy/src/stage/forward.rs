//! Forwarding: pick a server, connect, send, wait for its answer; another server when nothing is lost by it.

use evenkeel_config::{Pool, Route};
use evenkeel_core::choose::Chosen;
use evenkeel_observe::{Ended, RequestRefusal};
use evenkeel_types::Time;

use super::admit::Refusal;
use super::converse::converse;
use super::pick::{self, pick};
use super::record::Trail;
use crate::exchange::{Exchange, Request};
use crate::timer::Limit;
use crate::upstream::answer::AnswerError;
use crate::upstream::{Link, Upstream};
use crate::view::View;
use crate::worker::Worker;

/// Servers tried for one request. Only refused connections get this far, and they cost next to nothing.
const TRIES_MAX: usize = 16;
/// Connect timeouts that one request may sit through.
const CONNECT_TIMEOUTS_MAX: usize = 3;
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

    /// One of its servers.
    pub fn upstream(&self, server: usize) -> &'v Upstream {
        &self.view.pools[self.pool].upstreams[server]
    }
}

/// A try that failed.
pub struct Failed {
    /// How.
    pub error: AnswerError,
    /// Whether anybody may have the request again, because nothing of it has had an effect.
    pub again: Again,
}

/// Who may have a request again.
pub enum Again {
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
        let chosen = match pick(worker, to, exchange, trail, &tried[..count], now).await {
            Ok(Some(chosen)) => chosen,
            Ok(None) => break,
            Err(ending) => return ending,
        };
        trail.server = Some(chosen.server);
        trail.tries += 1;
        let failed = attempt(worker, to, chosen, exchange, trail).await;
        pick::give_back(to, chosen.server, trail, failed.as_ref().err().map(|failed| &failed.error));
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
    Ending::Refused(Refusal { status, kind: None, why: error.to_string().into(), retry_after: None }, ended)
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
    let link = match upstream.kept(exchange.request.started) {
        Some(link) => link,
        None => connect(worker, to, upstream, exchange, trail).await?,
    };
    match converse(worker, to, chosen, link, exchange, trail).await {
        Err(Failed { again: Again::Fresh, .. }) => {
            let link = connect(worker, to, upstream, exchange, trail).await?;
            converse(worker, to, chosen, link, exchange, trail).await
        }
        other => other,
    }
}

async fn connect(
    worker: &Worker,
    to: &Destination<'_>,
    upstream: &Upstream,
    exchange: &mut Exchange<'_>,
    trail: &mut Trail,
) -> Result<Link, Failed> {
    let at_most = to.deadline(&exchange.request);
    let before = worker.clock.now();
    let limit = Limit { since: Some(before), after: to.pool().timeout.connect, at_most };
    // In a box, for it is large and seldom needed.
    let connecting = Box::pin(upstream.connect(before, to.view.heads, worker.shared.descriptors()));
    let connected = exchange.timer.within(limit, connecting).await;
    trail.connect = Some(trail.connect.unwrap_or_default() + (worker.clock.now() - before));
    let error = match connected {
        Ok(Ok(link)) => return Ok(link),
        Ok(Err(error)) => AnswerError::Connect(error),
        Err(_) if at_most.is_some_and(|at_most| worker.clock.now() >= at_most) => {
            return Err(Failed { error: AnswerError::Deadline, again: Again::No });
        }
        Err(_) => AnswerError::ConnectTimeout,
    };
    upstream.figures().connect_failures.increment();
    Err(Failed { error, again: Again::Elsewhere })
}
