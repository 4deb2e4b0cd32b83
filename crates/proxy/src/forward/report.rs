//! What a server did goes to the metrics, to passive checks and to the latencies that servers are chosen by.

use std::time::Duration;

use evenkeel_config::{Algorithm, Pool};
use evenkeel_core::admission::Dismissed;
use evenkeel_core::health::{Failure, LiveFailure, LiveTraffic};
use evenkeel_observe::BackendFailure;
use evenkeel_types::Time;

use super::target::Target;
use crate::request::incoming::Request;
use crate::server::error::ServerError;
use crate::shared::Event;
use crate::worker::Worker;

impl Target<'_> {
    /// Counts a failed try, and lets passive checks know if the pool has any.
    pub fn report_failure(&self, server: usize, error: &ServerError) {
        if let Some(kind) = error.kind() {
            self.upstream(server).figures().failed(kind);
            self.upstream(server).notes().failed(error);
        }
        if let Some(failure) = error.failure() {
            if failure == Failure::Timeout && self.compares() {
                self.upstream(server).figures().took(self.pool().timeout.response);
            }
            self.tell(server, failure);
        }
    }

    /// Counts an answer whose status speaks of a failure, and lets passive checks know if the pool has any.
    pub fn report_status(&self, server: usize, status: u16) {
        let failure = Failure::Status(status);
        if matches!(status, 502..=504) || self.counts(failure) {
            self.upstream(server).figures().failed(BackendFailure::Status);
            self.upstream(server).notes().failed(&failure);
            self.tell(server, failure);
        }
    }

    /// Notes that a server has answered, in `took` after the request was sent: in the request's trace, and at the pool.
    pub fn answered(&self, request: &Request<'_>, server: usize, (status, took): (u16, Option<Duration>)) {
        if let Some(trace) = request.trace.get() {
            trace.answered(server, status);
        }
        self.report_answer(server, status, took);
    }

    /// Notes that a server answered, `took` after the request was sent, if the pool compares its servers.
    pub fn report_answer(&self, server: usize, status: u16, took: Option<Duration>) {
        if self.compares() {
            self.upstream(server).figures().answered(status, took);
        }
    }

    /// Reports an answer that is thrown away because another server's was better.
    pub fn report_dismissed(&self, dismissed: Option<Dismissed>) {
        let Some(Dismissed { server, status, took, .. }) = dismissed else { return };
        self.report_answer(server, status, Some(took));
        self.report_status(server, status);
    }

    /// Judges the server by the status that goes to the client.
    pub fn judge(&self, server: usize, status: u16, took: Option<Duration>, at: Time) {
        if status >= 500 || status >= 400 && self.counts(Failure::Status(status)) {
            self.report_status(server, status);
        } else if let (Algorithm::LeastResponseTime, Some(took)) = (&self.pool().algorithm, took) {
            // Good answers only: a server that fails fast is not a quick one.
            self.upstream(server).load.observe_latency(took, at);
        }
    }

    /// True if the pool's passive checks count such a failure.
    fn counts(&self, failure: Failure) -> bool {
        self.pool().outlier.as_ref().is_some_and(|outlier| failure.counts(&outlier.on))
    }

    fn tell(&self, server: usize, failure: Failure) {
        tell(self.worker, self.pool(), server, LiveFailure { of: LiveTraffic::Requests, how: failure });
    }
}

/// Lets passive checks know of a failure, if the pool has any that count it.
pub fn tell(worker: &Worker, pool: &Pool, server: usize, failure: LiveFailure) {
    if pool.outlier.as_ref().is_some_and(|outlier| failure.how.counts(&outlier.on)) {
        let id = pool.backends[server].id.clone();
        worker.shared.tell(Event::Failure { pool: pool.name.clone(), id, failure });
    }
}
