//! Where a request goes, which stays the same over all tries.

use std::rc::Rc;
use std::time::Duration;

use evenkeel_config::{Outlier, Pool, Route};
use evenkeel_core::admission::Terms;
use evenkeel_core::health::LiveTraffic;
use evenkeel_core::retry::deadline;
use evenkeel_core::snapshot;
use evenkeel_types::Time;

use crate::request::incoming::Request;
use crate::request::trace::Tried;
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
    /// A key whose owner gets the request, whatever the pool's algorithm: among cache nodes.
    pub owner_of: Option<u64>,
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
        let deadline = deadline(request.started, limit, header, said);
        Self { worker, view, route, pool, deadline, owner_of: None }
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

    /// What this node is called, on routes with a cache: requests say that they have passed through it (RFC 8586).
    pub fn node(&self) -> Option<&'v str> {
        self.route.cache.as_ref().map(|_| &*self.worker.shared.node)
    }

    /// True when the time for the whole exchange is up.
    pub fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| self.worker.clock.now() >= deadline)
    }

    /// True if the pool compares its servers.
    pub fn compares(&self) -> bool {
        self.pool().outlier.as_ref().is_some_and(Outlier::compares)
    }

    /// Notes that a server of the pool is tried, if the request is traced.
    #[inline]
    pub fn begin_try(&self, request: &Request<'_>, position: usize, is_hedge: bool) {
        if let Some(trace) = request.trace.get() {
            let upstream = self.upstream(position);
            let (pool, server, address) = (&self.pool().name, &upstream.id, upstream.address());
            let of = Tried { position, pool, server, address };
            trace.begin_try(of, is_hedge, self.worker.clock.now(), self.worker.random());
        }
    }

    /// What admission goes by. `is_short` says that two servers may have the request at once.
    #[inline]
    pub fn terms<'r, 'a>(&self, request: &'r Request<'a>, is_short: bool) -> Terms<'r, Request<'a>>
    where
        'v: 'r,
    {
        let (retry, hedge) = (&self.route.retry, self.route.hedge.as_ref());
        Terms {
            of: LiveTraffic::Requests,
            request,
            owner_of: self.owner_of,
            retry,
            hedge,
            is_short,
            deadline: self.deadline,
        }
    }
}
