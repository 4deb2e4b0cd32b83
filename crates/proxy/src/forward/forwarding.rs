//! A request that is being forwarded: where it goes, how far it has come, and what the tries before have left.

use std::time::Duration;

use evenkeel_core::admission::{AfterFailure, Leg, Step, Terms};
use evenkeel_core::choose::{Chosen, Why};
use evenkeel_core::retry::{Cause, Final};
use evenkeel_observe::flight::StepKind;
use evenkeel_types::Time;

use super::attempt::resume;
use super::deferred::Deferred;
use super::driver::Admission;
use super::outcome::{Asked, BegunForwarding, Outcome};
use super::target::Target;
use crate::client::writer::ToClient;
use crate::request::incoming::{Incoming, Request};
use crate::request::log::RequestLog;
use crate::server::error::ServerError;

/// A request that is being forwarded.
pub struct Forwarding<'x, 'c> {
    /// Where it goes.
    pub target: Target<'x>,
    /// The request.
    pub incoming: Incoming<'x, 'c>,
    /// What admission goes by.
    pub terms: Terms<'x, Request<'x>>,
    /// What admission has said and was not done yet.
    pub step: Option<Step>,
    /// The server that a plain exchange has asked, at that step. In a box, because it is seldom.
    pub asked: Option<Box<Asked<'x, 'c>>>,
    /// Which servers get it, and what it holds meanwhile.
    pub admission: Admission,
    /// A response that is passed on if no other comes.
    pub deferred: Option<Box<Deferred<'x>>>,
    /// How the last try failed.
    pub last: Option<ServerError>,
}

/// A try that failed.
pub struct Failed {
    /// How.
    pub error: ServerError,
    /// What another server would have to make good; `None` if there is no time for it.
    pub cause: Option<Cause>,
    /// True if the connection may have been at fault: the same server can have the request over a fresh one.
    pub fresh: bool,
}

impl Failed {
    /// An error before any byte of an answer.
    pub fn new(error: ServerError) -> Self {
        Self { cause: error.cause(false), error, fresh: false }
    }
}

/// Limits the request's body, and keeps of it what a retry would need. True if two servers may have the request at once.
fn prepare(target: &Target<'_>, incoming: Incoming<'_, '_>) -> bool {
    let (request, mut body) = (incoming.request, incoming.body.borrow_mut());
    let policy = &target.route.retry;
    body.end_by(target.deadline);
    let (is_done, upgrades) = (body.is_done(), request.upgrade.is_some());
    if !is_done && !upgrades && policy.may_send_twice() && policy.repeats(request.method) {
        body.keep(policy.replay);
    }
    is_done && !upgrades
}

/// What follows from a failed try, in words; `None` if that goes without saying.
fn follows(after: AfterFailure) -> Option<String> {
    match after {
        AfterFailure::Retry => Some("another server is asked".into()),
        AfterFailure::GiveUp(Some(why)) => Some(format!("not retried: {why}")),
        AfterFailure::Others => Some("another server still has the request".into()),
        AfterFailure::Won(..) => Some("the answer of another server is the best there is".into()),
        AfterFailure::GiveUp(None) => None,
    }
}

/// Why a server was chosen, as a step.
pub fn chose(why: Why) -> String {
    format!("chosen: {why}")
}

impl<'x, 'c> Forwarding<'x, 'c> {
    /// One of which nothing is done yet.
    pub fn new(target: Target<'x>, incoming: Incoming<'x, 'c>) -> Self {
        let terms = target.terms(incoming.request, prepare(&target, incoming));
        let admission = Admission::new(&target.side().gate, &terms, incoming.request.started);
        Self { target, incoming, terms, step: None, asked: None, admission, deferred: None, last: None }
    }

    /// One that a plain exchange has begun.
    pub fn begun(begun: BegunForwarding<'x>, incoming: Incoming<'x, 'c>) -> Self {
        let BegunForwarding { target, admission, step, asked } = begun;
        let terms = target.terms(incoming.request, prepare(&target, incoming));
        let (step, asked) = (Some(step), asked.map(|asked| Box::new(resume(&target, asked, incoming))));
        Self { target, incoming, terms, step, asked, admission, deferred: None, last: None }
    }

    /// The try of this leg has failed: reports the server, notes what follows, and makes ready for it.
    #[cold]
    pub fn fail(&mut self, leg: Leg, failed: Failed, log: &mut RequestLog) -> AfterFailure {
        let Failed { error, cause, .. } = failed;
        let Self { target, incoming, .. } = *self;
        let (server, now) = (self.admission.server_of(leg), target.worker.clock.now());
        target.report_failure(server, &error);
        if let Some(trace) = incoming.request.trace.get() {
            trace.failed(server, (error.word(), error.to_string()), now);
        }
        let replayable = incoming.body.borrow().can_rewind();
        let (failed, now) = (error.failed_try(cause, replayable), target.worker.clock.now());
        self.note_failure(self.admission.server_of(leg), &error, log, now);
        let after = self.admission.handle_failure(leg, &failed, &self.terms, now);
        let what = follows(after);
        let then = what.as_deref().unwrap_or("no other server is asked");
        self.log_failure(server, &error, then);
        if let Some(what) = what {
            log.noted.open().step(now, StepKind::Retry, what);
        }
        match after {
            AfterFailure::Retry => {
                log.retry = Some(format!("retried after: {error}"));
                incoming.body.borrow_mut().rewind();
            }
            AfterFailure::GiveUp(Some(why)) if why != Final::NotListed => {
                log.retry = Some(format!("not retried: {why}"));
            }
            _ => {}
        }
        self.last = Some(error);
        after
    }

    /// Logs how a try has failed, and what follows.
    fn log_failure(&self, server: usize, error: &ServerError, then: &str) {
        let (pool, request) = (self.target.pool(), &self.incoming.request.id);
        let (server, pool) = (&pool.backends[server].id, &pool.name);
        tracing::debug!(%pool, %server, %request, %error, then, "a try has failed");
    }

    /// Keeps a response that another server's is to replace.
    pub fn defer(&mut self, deferred: Deferred<'x>, log: &mut RequestLog) {
        let error = ServerError::Status(deferred.head.status);
        if let Some(trace) = self.incoming.request.trace.get() {
            trace.put_off(deferred.chosen.server, deferred.head.status, self.target.worker.clock.now());
        }
        log.retry = Some(format!("retried after: {error}"));
        let now = self.target.worker.clock.now();
        self.note_failure(deferred.chosen.server, &error, log, now);
        let what = "another server is asked; this answer is kept until that one is reached";
        self.log_failure(deferred.chosen.server, &error, what);
        log.noted.open().step(now, StepKind::Retry, what);
        self.incoming.body.borrow_mut().rewind();
        (self.deferred, self.last) = (Some(Box::new(deferred)), Some(error));
    }

    /// Notes for the flight recorder which server gets the request, where that is not the first one, or not the only one.
    #[cold]
    pub fn note_choice(&self, chosen: &Chosen, log: &mut RequestLog) {
        let Target { worker, .. } = self.target;
        let (id, what) = (&self.target.pool().backends[chosen.server].id, chose(chosen.why));
        log.noted.open().step_of(worker.clock.now(), StepKind::Choose, what, id);
    }

    /// Notes for the flight recorder that a server is asked beside the first one, which has been silent for so long.
    #[cold]
    pub fn note_hedge(&self, first: &Chosen, hedge: &Chosen, after: Duration, log: &mut RequestLog) {
        let (backends, started) = (&self.target.pool().backends, self.incoming.request.started);
        let notes = log.noted.open();
        if !std::mem::replace(&mut notes.has_choice, true) {
            notes.step_of(started, StepKind::Choose, chose(first.why), &backends[first.server].id);
        }
        let after_ms = after.as_secs_f64() * 1e3;
        let what = format!("asked as well, because no answer had come for {after_ms:.1} ms: {}", hedge.why);
        let (server, pool, request) =
            (&backends[hedge.server].id, &self.target.pool().name, &self.incoming.request.id);
        tracing::debug!(%pool, %server, %request, "{what}");
        let now = self.target.worker.clock.now();
        notes.step_of(now, StepKind::Choose, what, &backends[hedge.server].id);
    }

    /// Notes for the flight recorder how a try has failed, and what led to it.
    fn note_failure(&self, server: usize, error: &ServerError, log: &mut RequestLog, now: Time) {
        let (id, started) = (&self.target.pool().backends[server].id, self.incoming.request.started);
        log.noted.blame(error);
        let (sent, why, connect) = (log.sent, log.why, log.connect);
        let notes = log.noted.open();
        let before = notes.last_at(started);
        notes.connect = connect;
        if !std::mem::replace(&mut notes.has_choice, true)
            && log.tries == 1
            && let Some(why) = why
        {
            notes.step_of(before, StepKind::Choose, chose(why), id);
        }
        let mut since = before;
        if let Some(at) = sent.filter(|_| sent != notes.sent) {
            notes.step_of(at, StepKind::Send, "the request was sent", id);
            (notes.sent, since) = (sent, at);
        }
        let kind = if error.is_of_connecting() { StepKind::Connect } else { StepKind::Answer };
        if let Some(step) = notes.step(now, kind, error.to_string()) {
            (step.server, step.took) = (Some(id.clone()), Some(now - since));
        }
    }

    /// Throws the deferred response away, because another server has been reached.
    #[cold]
    pub async fn discard_deferred(&mut self) {
        if let Some(deferred) = self.deferred.take() {
            deferred.discard(self.target, self.incoming.request).await;
        }
    }

    /// Has the response say how many servers were sent the request, if the route wants that.
    #[inline]
    pub fn count_attempts(&self, client: &mut ToClient<'_, '_>) {
        if self.target.route.retry.header {
            client.writer.attempts = self.admission.attempts();
        }
    }

    /// The client has left.
    #[cold]
    pub fn gone(&mut self) -> Outcome<'x, 'c> {
        let dismissed = self.admission.handle_gone(self.target.worker.clock.now());
        self.target.report_dismissed(dismissed);
        Outcome::gone()
    }
}
