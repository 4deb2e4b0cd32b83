//! Forwarding: pick a server, connect, send, wait for its answer; another server when the retry policy says so.

pub mod converse;
pub mod deferred;
pub mod hedge;
pub mod held;
pub mod pick;
pub mod relay;
pub mod seat;
pub mod tunnel;
pub mod upload;

use std::fmt::Display;
use std::time::Duration;

use evenkeel_config::{Pool, Route};
use evenkeel_core::balance::Members;
use evenkeel_core::choose::Chosen;
use evenkeel_core::retry::{self, Attempt, Cause, Decision, Final, deadline};
use evenkeel_observe::{BreakerRefusal, Ended, RequestRefusal, RetryCause, RetryOutcome};
use evenkeel_types::Time;

use crate::forward::converse::converse;
use crate::forward::deferred::Parked;
use crate::forward::held::Held;
use crate::forward::pick::pick;
use crate::request::admit::Refusal;
use crate::request::exchange::{Exchange, Request};
use crate::request::log::Trail;
use crate::server::error::AnswerError;
use crate::server::{InFlight, Link, Upstream};
use crate::worker::Worker;
use crate::worker::timer::{Limit, Timer};
use crate::worker::view::View;

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
    /// When the response must be complete, if the route or the client says so.
    pub deadline: Option<Time>,
}

impl<'v> Destination<'v> {
    /// Where `request` goes.
    pub fn new(view: &'v View, route: (usize, &'v Route), pool: usize, request: &Request<'_>) -> Self {
        let (limit, header) = (route.1.timeout.request, route.1.deadline_header.as_ref());
        let said = header.and_then(|header| request.only(header.name()));
        Self { view, route, pool, deadline: deadline(request.started, limit, header, said) }
    }

    /// The pool.
    pub fn pool(&self) -> &'v Pool {
        self.view.pool(self.pool)
    }

    /// How long a server may take from the request's last byte to the head of its answer.
    pub fn head_within(&self) -> Duration {
        let within = self.pool().timeout.response;
        self.route.1.retry.per_try_timeout.map_or(within, |per_try| per_try.min(within))
    }

    /// Takes one retry, or hedge, out of what the pool can bear; `held` is what the request holds of a pool with limits.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn withdraw(&self, held: Option<&mut Held>, now: Time) -> Result<(), Final> {
        let (pool, view) = (&self.view.snapshot.pools[self.pool], &self.view.pools[self.pool]);
        let retry = match &held {
            None => None,
            Some(held) => Some(held.try_retry().ok_or_else(|| {
                view.figures.refuse(BreakerRefusal::MaxRetries);
                Final::Limit
            })?),
        };
        if !view.purse.withdraw(self.route.1.retry.budget, &pool.retries.budget, now) {
            return Err(Final::Budget);
        }
        if let (Some(held), Some(retry)) = (held, retry) {
            held.begin_retry(retry);
        }
        Ok(())
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
    /// What another server would have to make good; `None` if there is no time for it.
    pub cause: Option<Cause>,
    /// True if the connection may have been at fault: the same server can have the request over a fresh one.
    pub fresh: bool,
    /// The answer, if one has come that the route retries.
    pub parked: Option<Box<Parked>>,
}

impl Failed {
    /// An error before any byte of an answer.
    pub fn new(error: AnswerError) -> Self {
        Self { cause: error.cause(false), error, fresh: false, parked: None }
    }
}

/// How far a request has come on its way from server to server.
#[derive(Debug, Default)]
pub struct Course {
    tried: [usize; TRIES_MAX],
    count: usize,
    timeouts: usize,
    /// Servers that were sent the request.
    pub attempts: u32,
    retries: u32,
    /// An answer that is passed on if no other comes.
    pub parked: Option<Box<Parked>>,
}

impl Course {
    /// The servers that have been tried.
    pub fn tried(&self) -> &[usize] {
        &self.tried[..self.count]
    }

    /// Notes a server that is tried now; false if there were too many already.
    pub fn try_now(&mut self, server: usize) -> bool {
        if !self.may_go_on() {
            return false;
        }
        self.tried[self.count] = server;
        self.count += 1;
        true
    }

    /// Notes how a try ended.
    pub fn failed(&mut self, failed: &Failed) {
        self.timeouts += usize::from(matches!(failed.error, AnswerError::ConnectTimeout));
        self.attempts += u32::from(failed.cause != Some(Cause::Connect));
    }

    fn may_go_on(&self) -> bool {
        self.count < TRIES_MAX && self.timeouts < CONNECT_TIMEOUTS_MAX
    }

    /// Why no other server of these can be asked, if none can.
    pub fn no_server(&self, members: &Members) -> Option<Final> {
        match retry::any_left(members, self.tried()) {
            false => Some(Final::Servers),
            true => (!self.may_go_on()).then_some(Final::Unreachable),
        }
    }
}

/// Forwards a request to a server of the pool, and the server's answer to the client.
pub async fn forward(
    worker: &Worker,
    to: &Destination<'_>,
    exchange: &mut Exchange<'_>,
    trail: &mut Trail,
) -> Ending {
    let mut course = Course::default();
    let mut last: Option<AnswerError> = None;
    prepare(to, exchange);
    loop {
        let now = if course.count == 0 { exchange.request.started } else { worker.clock.now() };
        if to.deadline.is_some_and(|deadline| now >= deadline) {
            last = Some(AnswerError::Deadline);
            break;
        }
        let chosen = match pick(worker, to, exchange, trail, course.tried(), now).await {
            Ok(Some(chosen)) => chosen,
            Ok(None) => break,
            // None is left that has room: what came of the try before decides.
            Err(Ending::Refused(refusal, ended)) if last.is_some() => {
                trail.retry = not_retried(last.as_ref(), &refusal.why);
                trail.seat = None;
                if ended == Ended::RequestTimeout && course.parked.is_none() {
                    last = Some(AnswerError::Deadline);
                }
                break;
            }
            Err(ending) => {
                pick::note_open(worker, to, &ending, trail);
                return ending;
            }
        };
        if !course.try_now(chosen.server) {
            break;
        }
        trail.server = Some(chosen.server);
        trail.tries += 1;
        if to.route.1.retry.header {
            exchange.reply.attempts = course.attempts + 1;
        }
        let tried = attempt(worker, to, chosen, exchange, trail, &mut course).await;
        pick::give_back(trail, tried.as_ref().err().map(|failed| &failed.error));
        let mut failed = match tried {
            Ok(ending) => return ending,
            Err(failed) => failed,
        };
        worker.report(to, trail.server.unwrap_or(chosen.server), &failed.error);
        course.failed(&failed);
        course.parked = failed.parked.take().or(course.parked.take());
        let decision = Box::pin(go_on(worker, to, exchange, trail, &mut course, &failed)).await;
        last = Some(failed.error);
        match decision {
            Ok(true) => {}
            Ok(false) => break,
            Err(gone) => return gone,
        }
    }
    // In a box, for it is rare.
    Box::pin(give_up(worker, to, exchange, trail, (course, last))).await
}

/// Pays for what a retry may cost, and keeps what it would need.
fn prepare(to: &Destination<'_>, exchange: &mut Exchange<'_>) {
    let Exchange { request, body, .. } = exchange;
    let policy = &to.route.1.retry;
    let budget = &to.view.snapshot.pools[to.pool].retries.budget;
    to.view.pools[to.pool].purse.request(policy.budget, budget, request.started);
    body.end_by(to.deadline);
    if !body.is_done()
        && request.upgrade.is_none()
        && policy.may_send_twice()
        && policy.repeats(request.method)
    {
        body.keep(policy.replay);
    }
}

/// Decides whether another server gets the request, and makes ready for that. The error says that the client left
/// meanwhile.
async fn go_on(
    worker: &Worker,
    to: &Destination<'_>,
    exchange: &mut Exchange<'_>,
    trail: &mut Trail,
    course: &mut Course,
    failed: &Failed,
) -> Result<bool, Ending> {
    let Some(cause) = failed.cause else { return Ok(false) };
    let Exchange { request, body, reply, timer } = exchange;
    let (pool, now) = (&to.view.snapshot.pools[to.pool], worker.clock.now());
    let attempt = Attempt {
        cause,
        method: request.method,
        replayable: body.can_rewind(),
        answered: !reply.is_unsent(),
        attempts: course.attempts,
        retries: course.retries,
        no_server: course.no_server(&pool.members),
        now,
        deadline: to.deadline,
    };
    // The tries before have ended.
    let mut held = trail.held.as_deref_mut();
    held.iter_mut().for_each(|held| held.end_retries());
    let decision = retry::retry(&to.route.1.retry, &attempt, || to.withdraw(held, now), || worker.random());
    count(to, cause, decision);
    match decision {
        Decision::Final(Final::NotListed) => Ok(false),
        Decision::Final(why) => {
            trail.retry = not_retried(Some(&failed.error), &why);
            Ok(false)
        }
        Decision::Retry { after } => {
            trail.retry = Some(format!("retried after: {}", failed.error));
            body.rewind();
            course.retries += u32::from(cause != Cause::Connect);
            if after.is_zero() {
                return Ok(true);
            }
            let pause = Limit { since: Some(now), after, at_most: to.deadline };
            match reply.unless_gone(timer.within(pause, std::future::pending::<()>())).await {
                Ok(_) => Ok(true),
                Err(_) => Err(Ending::ClientGone(Ended::ClientAborted)),
            }
        }
    }
}

/// For the record: why nobody made good what failed. What came of an answer that stays parked behind another failure is told
/// when it is passed on.
fn not_retried(error: Option<&AnswerError>, why: &dyn Display) -> Option<String> {
    let parked = error.filter(|error| matches!(error, AnswerError::Status(_)));
    let passed_on = parked.map(|error| format!("{error} passed on, ")).unwrap_or_default();
    Some(format!("{passed_on}not retried: {why}"))
}

/// Counts and notes an answer that the route would retry, and that is passed on at once.
pub fn pass_on(to: &Destination<'_>, status: u16, why: Final, trail: &mut Trail) {
    count(to, Cause::Status(status), Decision::Final(why));
    trail.note(format!("{status} from the server passed on, not retried: {why}"));
}

/// Counts a decision about what another server could have made good.
fn count(to: &Destination<'_>, cause: Cause, decision: Decision) {
    let cause = match cause {
        Cause::Connect => RetryCause::Connect,
        Cause::Reset | Cause::Begun => RetryCause::Reset,
        Cause::Timeout => RetryCause::Timeout,
        Cause::Status(_) => RetryCause::Status,
        Cause::Malformed => return,
    };
    let outcome = match decision {
        Decision::Retry { .. } => RetryOutcome::Retried,
        Decision::Final(Final::NotListed) => return,
        Decision::Final(Final::Answered) => RetryOutcome::Answered,
        Decision::Final(Final::Early) => RetryOutcome::Early,
        Decision::Final(Final::Method) => RetryOutcome::Method,
        Decision::Final(Final::Body) => RetryOutcome::Body,
        Decision::Final(Final::Attempts) => RetryOutcome::Attempts,
        Decision::Final(Final::Deadline) => RetryOutcome::Deadline,
        Decision::Final(Final::Servers) => RetryOutcome::Servers,
        Decision::Final(Final::Unreachable) => RetryOutcome::Unreachable,
        Decision::Final(Final::Budget) => RetryOutcome::Budget,
        Decision::Final(Final::Limit) => RetryOutcome::Limit,
    };
    to.view.pools[to.pool].figures.retries.decided(cause, outcome);
}

async fn give_up(
    worker: &Worker,
    to: &Destination<'_>,
    exchange: &mut Exchange<'_>,
    trail: &mut Trail,
    (course, last): (Course, Option<AnswerError>),
) -> Ending {
    if to.route.1.retry.header {
        exchange.reply.attempts = course.attempts;
    }
    let last = match course.parked {
        None => last,
        Some(parked) => {
            if let Some(error) = last.filter(|error| !matches!(error, AnswerError::Status(_))) {
                let status = parked.head.status;
                trail.note(format!("{status} from the server passed on, for nobody made it good: {error}"));
            }
            match parked.pass_on(worker, to, exchange, trail).await {
                Ok(ending) => return ending,
                Err(failed) => Some(failed.error),
            }
        }
    };
    let Some(error) = last else {
        trail.detail = Some(format!("no healthy server in pool {}", to.pool().name));
        let refusal = Refusal::new(503, RequestRefusal::NoBackend, "no healthy server");
        return Ending::Refused(refusal, Ended::Refused);
    };
    let ended = match (&error, error.status()) {
        (AnswerError::Unsendable, _) => Ended::Refused,
        (AnswerError::Deadline, _) => Ended::RequestTimeout,
        (_, 504) => Ended::BackendTimeout,
        _ => Ended::BackendAborted,
    };
    trail.detail = Some(error.to_string());
    let kind = matches!(error, AnswerError::Unsendable).then_some(RequestRefusal::Malformed);
    let refusal = Refusal { status: error.status(), kind, why: error.to_client(), retry_after: None };
    Ending::Refused(refusal, ended)
}

/// One try: at most two connections, the second in place of one that the server was closing.
async fn attempt(
    worker: &Worker,
    to: &Destination<'_>,
    chosen: Chosen,
    exchange: &mut Exchange<'_>,
    trail: &mut Trail,
    course: &mut Course,
) -> Result<Ending, Failed> {
    if to.route.1.hedge.is_some()
        && let Some(after) = hedge::after(worker, to, &chosen, exchange, course)
    {
        return Box::pin(hedge::race(worker, to, (chosen, after), exchange, trail, course)).await;
    }
    let upstream = to.upstream(chosen.server);
    // In a pool with limits its seat counts it.
    let _in_flight = trail.seat.is_none().then(|| InFlight::at(upstream, worker.clock));
    let link = match upstream.kept(exchange.request.started) {
        Some(link) => link,
        None => connect_for(worker, to, upstream, exchange, trail).await?,
    };
    if let Some(parked) = course.parked.take() {
        Box::pin(parked.discard(worker, to, &exchange.request)).await;
    }
    match converse(worker, to, chosen, link, exchange, trail).await {
        Err(Failed { fresh: true, .. }) => {
            exchange.body.rewind();
            let link = connect_for(worker, to, upstream, exchange, trail).await?;
            converse(worker, to, chosen, link, exchange, trail).await
        }
        other => other,
    }
}

async fn connect_for(
    worker: &Worker,
    to: &Destination<'_>,
    upstream: &Upstream,
    exchange: &mut Exchange<'_>,
    trail: &mut Trail,
) -> Result<Link, Failed> {
    let (link, took) = connect(worker, to, upstream, exchange.timer).await;
    trail.connect = Some(trail.connect.unwrap_or_default() + took);
    link
}

/// Opens a connection to a server, and tells how long that took.
pub async fn connect(
    worker: &Worker,
    to: &Destination<'_>,
    upstream: &Upstream,
    timer: &mut Timer,
) -> (Result<Link, Failed>, Duration) {
    let at_most = to.deadline;
    let before = worker.clock.now();
    let limit = Limit { since: Some(before), after: to.pool().timeout.connect, at_most };
    // In a box, for it is large and seldom needed.
    let connecting = Box::pin(upstream.connect(before, to.view.heads));
    let connected = timer.within(limit, connecting).await;
    let now = worker.clock.now();
    let error = match connected {
        Ok(Ok(link)) => return (Ok(link), now - before),
        Ok(Err(error)) => AnswerError::Connect(error),
        Err(_) if at_most.is_some_and(|at_most| now >= at_most) => {
            return (Err(Failed::new(AnswerError::Deadline)), now - before);
        }
        Err(_) => AnswerError::ConnectTimeout,
    };
    upstream.figures().connect_failures.increment();
    (Err(Failed::new(error)), now - before)
}
