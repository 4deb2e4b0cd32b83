//! What the proxy does for `core::admission`: it says what time it is, and counts and logs what happens at a pool.

use std::sync::Arc;

use evenkeel_config::Pool;
use evenkeel_core::admission::{self, HedgeNotice, Notice, QueueNotice, RefusedBy};
use evenkeel_core::breaker::{CircuitChange, CircuitState, Full};
use evenkeel_core::retry::{Cause, Decision, Final};
use evenkeel_observe::events::{Event, EventKind, Severity};
use evenkeel_observe::{
    BreakerRefusal, Gauge, HedgeOutcome, PoolMetrics, QueueRefusal, Registry, RetryCause, RetryOutcome,
};
use evenkeel_types::{Clock, Time};

/// One worker's view of a pool that requests are forwarded to.
pub type Gate = admission::Gate<PoolDriver>;
/// A request on its way into a pool and from server to server.
pub type Admission = admission::Admission<PoolDriver>;
/// All that a request holds of a pool while it is in flight.
pub type Permit = admission::Permit<PoolDriver>;

/// Where the notices of one pool go.
#[derive(Debug, Clone)]
pub struct PoolDriver {
    /// The process's clock.
    pub clock: Clock,
    /// What is counted, of its servers too.
    pub registry: Arc<Registry>,
    /// What is counted of the pool.
    pub metrics: Arc<PoolMetrics>,
}

impl admission::Driver for PoolDriver {
    #[inline]
    fn now(&self) -> Time {
        self.clock.now()
    }

    #[cold]
    fn notice(&self, pool: &Pool, notice: Notice) {
        let metrics = &*self.metrics;
        match notice {
            Notice::Circuit { server, change } => self.circuit(pool, server, change),
            Notice::Concurrency(limit) => metrics.concurrency_limit.set(i64::from(limit)),
            Notice::Refused(by) => metrics.refuse(refusal(by)),
            Notice::Queue(QueueNotice::Joined) => metrics.queue_length.add(1),
            Notice::Queue(QueueNotice::Left) => metrics.queue_length.add(-1),
            Notice::Queue(QueueNotice::Granted { waited }) => metrics.waited(waited),
            Notice::Queue(QueueNotice::Refused(why)) => metrics.refuse_to_wait(match why {
                admission::QueueRefusal::Full => QueueRefusal::Full,
                admission::QueueRefusal::Timeout => QueueRefusal::Timeout,
                admission::QueueRefusal::Gone => QueueRefusal::Gone,
            }),
            Notice::Retry { cause, decision } => decided(metrics, cause, decision),
            Notice::Hedge(HedgeNotice::Won) => metrics.retries.hedged(HedgeOutcome::Won),
            Notice::Hedge(HedgeNotice::Lost) => metrics.retries.hedged(HedgeOutcome::Lost),
            Notice::Hedge(HedgeNotice::BudgetExhausted) => metrics.retries.budget_exhausted.increment(),
        }
    }
}

impl PoolDriver {
    /// A circuit breaker of the pool, or of one of its servers, has changed.
    fn circuit(&self, config: &Pool, server: Option<usize>, change: CircuitChange) {
        let (CircuitChange { from, to, reason }, pool) = (change, &config.name);
        let (was, is) = (from.as_str(), to.as_str());
        let severity = match to {
            CircuitState::Closed => Severity::Info,
            CircuitState::HalfOpen => Severity::Warning,
            CircuitState::Open => Severity::Critical,
        };
        let event = |of: &str| {
            Event::new(
                EventKind::Breaker,
                severity,
                format!("the circuit breaker of {of} went from {was} to {is}: {reason}"),
            )
        };
        self.registry.events.record(match server {
            None => event("the pool").pool(pool),
            Some(server) => {
                let id = &config.backends[server].id;
                event(&format!("server {id}")).server(pool, id)
            }
        });
        match server {
            None => {
                show(&self.metrics.breaker_state, to);
                tracing::warn!(%pool, from = was, to = is, reason, "circuit breaker of the pool changed");
            }
            Some(server) => {
                let id = &config.backends[server].id;
                show(&self.registry.backend(pool, id).breaker_state, to);
                tracing::warn!(
                    %pool, server = %id, from = was, to = is, reason, "circuit breaker of the server changed"
                );
            }
        }
    }
}

/// Sets a gauge of a circuit breaker: 0 closed, 1 open, 2 half open.
fn show(gauge: &Gauge, state: CircuitState) {
    gauge.set(match state {
        CircuitState::Closed => 0,
        CircuitState::Open => 1,
        CircuitState::HalfOpen => 2,
    });
}

fn refusal(by: RefusedBy) -> BreakerRefusal {
    match by {
        RefusedBy::Full(Full::Requests) => BreakerRefusal::MaxRequests,
        RefusedBy::Full(Full::Connections) => BreakerRefusal::MaxConnections,
        RefusedBy::Full(Full::Concurrency) => BreakerRefusal::Concurrency,
        RefusedBy::Full(Full::Servers | Full::OwnServer) => BreakerRefusal::ServersFull,
        RefusedBy::PoolCircuit => BreakerRefusal::Open,
        RefusedBy::ServerCircuits => BreakerRefusal::ServersOpen,
        RefusedBy::RetriesMax => BreakerRefusal::MaxRetries,
    }
}

/// Counts what the retry policy has decided about a failed try, if another server could have made it good and the route
/// retries that.
fn decided(metrics: &PoolMetrics, cause: Cause, decision: Decision) {
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
    metrics.retries.decided(cause, outcome);
}
