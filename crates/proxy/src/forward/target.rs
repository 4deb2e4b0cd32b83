//! Where a request goes, which stays the same over all tries.

use std::rc::Rc;
use std::time::Duration;

use evenkeel_config::{Outlier, Pool, Route};
use evenkeel_core::retry::{Final, deadline};
use evenkeel_core::snapshot;
use evenkeel_observe::{BreakerRefusal, PoolMetrics};
use evenkeel_types::Time;

use super::held::Held;
use crate::request::incoming::Request;
use crate::server::Upstream;
use crate::worker::Worker;
use crate::worker::pool_view::PoolView;
use crate::worker::timer::Limit;
use crate::worker::view::View;

/// A route, and one of its pools.
#[derive(Debug, Clone, Copy)]
pub struct Target<'v> {
    /// Who forwards.
    pub worker: &'v Worker,
    /// What is in force.
    pub view: &'v View,
    /// The route.
    pub route: &'v Route,
    /// The pool as it was when the request came to it.
    pub pool: &'v PoolView,
    /// When the response must be complete, if the route or the client says so.
    pub deadline: Option<Time>,
}

impl<'v> Target<'v> {
    /// Where `request` goes.
    pub fn new(
        worker: &'v Worker,
        view: &'v View,
        route: &'v Route,
        pool: &'v PoolView,
        request: &Request<'_>,
    ) -> Self {
        let (limit, header) = (route.timeout.request, route.deadline_header.as_ref());
        let said = header.and_then(|header| request.only(header.name()));
        Self { worker, view, route, pool, deadline: deadline(request.started, limit, header, said) }
    }

    /// The pool's configuration.
    pub fn pool(&self) -> &'v Pool {
        self.pool.config()
    }

    /// The pool's servers.
    pub fn state(&self) -> &'v snapshot::Pool {
        self.pool.servers()
    }

    /// This worker's side of the pool.
    pub fn side(&self) -> &'v PoolView {
        self.pool
    }

    /// What is counted of the pool.
    pub fn figures(&self) -> &'v PoolMetrics {
        &self.side().figures
    }

    /// One of its servers.
    pub fn upstream(&self, server: usize) -> &'v Rc<Upstream> {
        &self.side().upstreams[server]
    }

    /// How long a server may take from the request's last byte to the head of its answer.
    pub fn head_within(&self) -> Duration {
        let within = self.pool().timeout.response;
        self.route.retry.per_try_timeout.map_or(within, |per_try| per_try.min(within))
    }

    /// How long a server may take nothing of what it is sent.
    pub fn stall(&self) -> Limit {
        Limit { at_most: self.deadline, ..self.pool().timeout.response.into() }
    }

    /// True when the time for the whole exchange is up.
    pub fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| self.worker.clock.now() >= deadline)
    }

    /// True if the pool compares its servers.
    pub fn compares(&self) -> bool {
        self.pool().outlier.as_ref().is_some_and(Outlier::compares)
    }

    /// Takes one retry, or hedge, out of what the pool can bear; `held` is what the request holds of a pool with limits.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn withdraw(&self, held: Option<&mut Held>, now: Time) -> Result<(), Final> {
        let retry = match &held {
            None => None,
            Some(held) => Some(held.try_retry().ok_or_else(|| {
                self.figures().refuse(BreakerRefusal::MaxRetries);
                Final::Limit
            })?),
        };
        if !self.side().purse.withdraw(self.route.retry.budget, &self.state().retries.budget, now) {
            return Err(Final::Budget);
        }
        if let (Some(held), Some(retry)) = (held, retry) {
            held.begin_retry(retry);
        }
        Ok(())
    }
}
