//! What becomes of a try goes to the metrics, to passive checks and to the pool's latencies.

use std::time::Duration;

use evenkeel_config::Algorithm;
use evenkeel_core::health::Failure;
use evenkeel_core::retry::{Cause, Decision, Final};
use evenkeel_observe::{BackendFailure, RetryCause, RetryOutcome};
use evenkeel_types::Time;

use super::target::Target;
use crate::server::error::ServerError;
use crate::shared::Event;

impl Target<'_> {
    /// Counts a failed try, and lets passive checks know if the pool has any.
    pub fn report_failure(&self, server: usize, error: &ServerError) {
        if let Some(kind) = error.kind() {
            self.upstream(server).figures().failed(kind);
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
        self.upstream(server).figures().failed(BackendFailure::Status);
        self.tell(server, Failure::Status(status));
    }

    /// Notes that a server answered, `took` after the request was sent, if the pool compares its servers.
    pub fn report_answer(&self, server: usize, status: u16, took: Option<Duration>) {
        if self.compares() {
            self.upstream(server).figures().answered(status, took);
        }
    }

    /// Judges the server by the status that goes to the client.
    pub fn judge(&self, server: usize, status: u16, took: Option<Duration>, at: Time) {
        if matches!(status, 502..=504) {
            self.report_status(server, status);
        } else if let (Algorithm::LeastResponseTime, Some(took)) = (&self.pool().algorithm, took) {
            // Good answers only: a server that fails fast is not a quick one.
            self.upstream(server).load.observe_latency(took, at);
        }
    }

    /// Takes in how long the answer took, if a route asks for what is usual.
    pub fn measure(&self, status: u16, took: Option<Duration>, now: Time) {
        // A server that fails fast is not a quick one.
        if self.side().is_measured
            && status < 500
            && let Some(took) = took
        {
            self.state().retries.latencies.observe(took, now);
        }
    }

    /// Counts a decision about what another server could have made good.
    pub fn count(&self, cause: Cause, decision: Decision) {
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
        self.figures().retries.decided(cause, outcome);
    }

    fn tell(&self, server: usize, failure: Failure) {
        let pool = self.pool();
        if pool.outlier.is_some() {
            let id = pool.backends[server].id.clone();
            self.worker.shared.tell(Event::Failure { pool: pool.name.clone(), id, failure });
        }
    }
}
