//! A request that is being forwarded: where it goes, how far it has come, and what the tries before have left.

use evenkeel_core::admission::{AfterFailure, Leg, Terms};
use evenkeel_core::retry::{Cause, Final};

use super::deferred::Deferred;
use super::driver::Admission;
use super::outcome::Outcome;
use super::target::Target;
use crate::client::writer::ToClient;
use crate::request::incoming::{Incoming, Request};
use crate::request::log::RequestLog;
use crate::request::trace::Tried;
use crate::server::error::ServerError;

/// A request that is being forwarded.
pub struct Forwarding<'x, 'c> {
    /// Where it goes.
    pub target: Target<'x>,
    /// The request.
    pub incoming: Incoming<'x, 'c>,
    /// What admission goes by.
    pub terms: Terms<'x, Request<'x>>,
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

impl<'x, 'c> Forwarding<'x, 'c> {
    /// Notes that a server of the pool is tried, if the request is traced.
    #[inline]
    pub fn begin_try(&self, position: usize, is_hedge: bool) {
        let Target { worker, .. } = self.target;
        if let Some(trace) = self.incoming.request.trace.get() {
            let upstream = self.target.upstream(position);
            let (pool, server, address) = (&self.target.pool().name, &upstream.id, upstream.address());
            let of = Tried { position, pool, server, address };
            trace.begin_try(of, is_hedge, worker.clock.now(), worker.random());
        }
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
        let failed = error.failed_try(cause, replayable);
        let after = self.admission.handle_failure(leg, &failed, &self.terms, now);
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

    /// Keeps a response that another server's is to replace.
    pub fn defer(&mut self, deferred: Deferred<'x>, log: &mut RequestLog) {
        let error = ServerError::Status(deferred.head.status);
        if let Some(trace) = self.incoming.request.trace.get() {
            trace.put_off(deferred.chosen.server, deferred.head.status, self.target.worker.clock.now());
        }
        log.retry = Some(format!("retried after: {error}"));
        self.incoming.body.borrow_mut().rewind();
        (self.deferred, self.last) = (Some(Box::new(deferred)), Some(error));
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
