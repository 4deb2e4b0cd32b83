//! Picking a server: the one that is chosen, if the pool and the server have room for one more; else waiting for room.

use std::cell::Cell;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_config::{Pool as PoolConfig, Queue};
use evenkeel_core::balance::Load;
use evenkeel_core::breaker::{Breaker, Full, Grant, Passed, Ticket, Want};
use evenkeel_core::choose::{Chosen, Why, choose, waited};
use evenkeel_core::snapshot::{Guard, Pool};
use evenkeel_observe::{BreakerRefusal, Ended, PoolMetrics, QueueRefusal, RequestRefusal};
use evenkeel_types::{Clock, Time};

use super::admit::Refusal;
use super::forward::{Destination, Ending};
use super::held::{Guarded, Held};
use super::record::Trail;
use super::seat::Seat;
use crate::exchange::{Exchange, Request};
use crate::timer::Limit;
use crate::upstream::answer::AnswerError;
use crate::view::View;
use crate::worker::Worker;

/// When a client that found no room may come again, if nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Picks a server that is not among `tried`, and in a pool with limits takes a place at it for the trail, which
/// [`give_back`] returns; `None` when there is no server left.
///
/// # Errors
/// There is no room, or the client did not wait for it.
pub async fn pick(
    worker: &Worker,
    to: &Destination<'_>,
    exchange: &mut Exchange<'_>,
    trail: &mut Trail,
    tried: &[usize],
    now: Time,
) -> Result<Option<Chosen>, Ending> {
    let pool = &to.view.snapshot.pools[to.pool];
    if let Some(guard) = &pool.guard {
        // In a box, for it may wait, and is large.
        return Box::pin(Picking::new(worker, to, pool, guard).pick(exchange, trail, tried, now)).await;
    }
    let picker = &mut to.view.pools[to.pool].picker.borrow_mut();
    Ok(choose(pool, to.pool(), picker, &exchange.request, tried, now))
}

/// Gives back the place that [`pick`] took; `error` if the try failed.
pub fn give_back(trail: &mut Trail, error: Option<&AnswerError>) {
    if let Some(held) = &mut trail.held {
        held.tried(trail.seat.take(), error);
    }
}

/// Picks a server that is not among `tried` for what waits for no place, a hedge or a copy, and in a pool with limits takes a
/// place at it; `None` when no server has one.
pub fn pick_at_once(
    view: &View,
    pool: usize,
    request: &Request<'_>,
    held: Option<&mut Held>,
    tried: &[usize],
    now: Time,
) -> Option<(Chosen, Option<Box<Seat>>)> {
    let (of, config) = (&view.snapshot.pools[pool], view.pool(pool));
    let picker = &mut view.pools[pool].picker.borrow_mut();
    let Some(held) = held else { return Some((choose(of, config, picker, request, tried, now)?, None)) };
    let mut passed = Passed::new(tried);
    while passed.goes_on(of, config, now) {
        let chosen = choose(of, config, picker, request, passed.skip(), now)?;
        let max = config.backends[chosen.server].max_connections;
        if !of.members.server(chosen.server).load.try_begin(max.unwrap_or(u32::MAX)) {
            passed.full(chosen.server);
        } else if let Ok(seat) = held.sit_down(chosen.server, now) {
            return Some((chosen, Some(seat)));
        } else {
            passed.open(chosen.server);
        }
    }
    None
}

/// Picking from a pool that has limits.
struct Picking<'p> {
    worker: &'p Worker,
    to: &'p Destination<'p>,
    pool: &'p Pool,
    guard: &'p Guard,
    config: &'p PoolConfig,
    /// Since when it waits: for one place after the other, but not anew for each.
    since: Cell<Option<Time>>,
}

impl<'p> Picking<'p> {
    fn new(worker: &'p Worker, to: &'p Destination<'p>, pool: &'p Pool, guard: &'p Guard) -> Self {
        Self { worker, to, pool, guard, config: to.pool(), since: Cell::new(None) }
    }

    async fn pick(
        &self,
        exchange: &mut Exchange<'_>,
        trail: &mut Trail,
        tried: &[usize],
        now: Time,
    ) -> Result<Option<Chosen>, Ending> {
        let Trail { held, seat, .. } = trail;
        let held = match held {
            Some(held) => held,
            held => held.insert(Box::new(self.held(now)?)),
        };
        if !held.is_in_pool() {
            self.enter(exchange, held).await?;
        }
        let (mut passed, mut only) = (Passed::new(tried), None);
        while passed.goes_on(self.pool, self.config, now) {
            let picker = &mut self.to.view.pools[self.to.pool].picker.borrow_mut();
            let request = &exchange.request;
            let Some(chosen) = choose(self.pool, self.config, picker, request, passed.skip(), now) else {
                break;
            };
            let max = self.config.backends[chosen.server].max_connections;
            if !self.load(chosen.server).try_begin(max.unwrap_or(u32::MAX)) {
                passed.full(chosen.server);
                // Who belongs to a server waits for it, if there is where to wait.
                if chosen.why == Why::Sticky && self.config.queue.is_some() {
                    only = Some(chosen.server);
                    break;
                }
            } else if let Ok(taken) = held.sit_down(chosen.server, now) {
                *seat = Some(taken);
                return Ok(Some(chosen));
            } else {
                passed.open(chosen.server);
            }
        }
        match &self.config.queue {
            Some(queue) if passed.any_full => {
                self.wait_for_server(exchange, (held, seat), queue, only, passed.out()).await
            }
            _ if passed.any_full => Err(self.refuse(Full::Servers)),
            _ if passed.any_open => {
                self.metrics().refuse(BreakerRefusal::ServersOpen);
                let why = "the circuit breakers of all servers are open";
                Err(refused(Refusal::new(503, RequestRefusal::BreakerOpen, why).after(RETRY_AFTER)))
            }
            _ => Ok(None),
        }
    }

    /// What a request holds that the pool's circuit breaker lets through.
    fn held(&self, now: Time) -> Result<Held, Ending> {
        let mut held = Held::new(Guarded::of(self.worker, self.to.view, self.to.pool));
        match held.ask_pool(now) {
            Ok(()) => Ok(held),
            Err(open) => {
                self.metrics().refuse(BreakerRefusal::Open);
                let refusal = Refusal::new(503, RequestRefusal::BreakerOpen, open.to_string());
                Err(refused(refusal.after(open.after)))
            }
        }
    }

    /// Takes a place in the pool, or waits for one.
    async fn enter(&self, exchange: &mut Exchange<'_>, held: &mut Held) -> Result<(), Ending> {
        if let Err(full) = self.guard.breaker.enter(self.config) {
            let Some(queue) = &self.config.queue else { return Err(self.refuse(full)) };
            let waiting = self.join(Want::Place, full)?;
            self.guard.breaker.offer_place(waiting.since);
            self.wait(exchange, waiting, queue).await?;
        }
        held.entered();
        Ok(())
    }

    /// Waits for a place at a server: at `only`, or at any that was passed over because it was full. The place in the
    /// pool is for others meanwhile.
    async fn wait_for_server(
        &self,
        exchange: &mut Exchange<'_>,
        (held, seat): (&mut Held, &mut Option<Box<Seat>>),
        queue: &Queue,
        only: Option<usize>,
        out: &[usize],
    ) -> Result<Option<Chosen>, Ending> {
        let members = &self.pool.members;
        held.leave_pool(self.worker.clock.now());
        let unusable = (0..members.len()).filter(|server| !members.usable(*server));
        let out = out.iter().copied().chain(unusable);
        let mut not: Vec<usize> = out.map(|server| Breaker::key(self.load(server))).collect();
        loop {
            let key = only.map(|server| Breaker::key(self.load(server)));
            let waiting = self.join(Want::Server { only: key, not: not.as_slice().into() }, Full::Servers)?;
            for (server, backend) in self.config.backends.iter().enumerate() {
                self.guard.breaker.offer_server(self.load(server), backend.max_connections, waiting.since);
            }
            let Grant::Server(load) = self.wait(exchange, waiting, queue).await? else { continue };
            let now = self.worker.clock.now();
            let found = (0..members.len()).find(|server| Arc::ptr_eq(self.load(*server), &load));
            let Some(server) = found else {
                // A server that came after this request, and may be gone again.
                self.guard.breaker.leave_server(&load, Some(0), now);
                not.push(Breaker::key(&load));
                continue;
            };
            *seat = held.sit_down(server, now).ok();
            if seat.is_none() {
                not.push(Breaker::key(&load));
                if only.is_some() || not.len() >= members.len() {
                    self.metrics().refuse(BreakerRefusal::ServersOpen);
                    let why = "the server's circuit breaker has opened";
                    return Err(refused(
                        Refusal::new(503, RequestRefusal::BreakerOpen, why).after(RETRY_AFTER),
                    ));
                }
                continue;
            }
            self.enter(exchange, held).await?;
            return Ok(Some(match only {
                Some(server) => Chosen { server, why: Why::Sticky, issue_cookie: false },
                None => waited(self.pool, self.config, &exchange.request, server),
            }));
        }
    }

    /// Joins those who wait.
    fn join(&self, want: Want, full: Full) -> Result<Waiting<'_>, Ending> {
        let since = self.worker.clock.now();
        let Some(ticket) = self.guard.breaker.wait(want, self.config, since) else {
            self.metrics().refuse_to_wait(QueueRefusal::Full);
            let why = format!("{full}, and so is breaker.max_pending");
            return Err(refused(Refusal::new(503, RequestRefusal::NoPlace, why).after(self.retry_after())));
        };
        self.metrics().queue_length.add(1);
        self.since.set(self.since.get().or(Some(since)));
        let Self { pool, guard, config, worker, .. } = *self;
        let metrics = self.metrics();
        Ok(Waiting { pool, guard, config, metrics, clock: worker.clock, ticket, since, full })
    }

    /// Waits until there is a place, for as long as the queue, the request's own deadline and the client allow.
    async fn wait(
        &self,
        exchange: &mut Exchange<'_>,
        waiting: Waiting<'_>,
        queue: &Queue,
    ) -> Result<Grant, Ending> {
        let Exchange { reply, timer, .. } = exchange;
        let at_most = self.to.deadline;
        let limit = Limit { since: self.since.get(), after: queue.wait, at_most };
        let breaker = &self.guard.breaker;
        let granted = timer.within(limit, poll_fn(|cx| breaker.poll(waiting.ticket, cx)));
        let metrics = self.metrics();
        match reply.unless_gone(granted).await {
            Ok(Ok(grant)) => {
                metrics.waited(self.worker.clock.now().since(waiting.since));
                Ok(grant)
            }
            Ok(Err(_)) if at_most.is_some_and(|at_most| self.worker.clock.now() >= at_most) => {
                metrics.refuse_to_wait(QueueRefusal::Timeout);
                let (status, why) = (504, AnswerError::Deadline.to_string().into());
                let refusal = Refusal { status, kind: None, why, retry_after: None };
                Err(Ending::Refused(refusal, Ended::RequestTimeout))
            }
            Ok(Err(_)) => {
                metrics.refuse_to_wait(QueueRefusal::Timeout);
                let why = format!("{}, and there was no place within {:?}", waiting.full, queue.wait);
                Err(refused(Refusal::new(503, RequestRefusal::NoPlace, why).after(self.retry_after())))
            }
            Err(_) => {
                metrics.refuse_to_wait(QueueRefusal::Gone);
                Err(Ending::ClientGone(Ended::ClientAborted))
            }
        }
    }

    fn refuse(&self, full: Full) -> Ending {
        self.metrics().refuse(match full {
            Full::Requests => BreakerRefusal::MaxRequests,
            Full::Connections => BreakerRefusal::MaxConnections,
            Full::Concurrency => BreakerRefusal::Concurrency,
            Full::Servers => BreakerRefusal::ServersFull,
        });
        refused(Refusal::new(503, RequestRefusal::NoPlace, full.to_string()).after(RETRY_AFTER))
    }

    /// A client that comes again before the queue has had its time would only make it longer.
    fn retry_after(&self) -> Duration {
        self.config.queue.as_ref().map_or(RETRY_AFTER, |queue| queue.wait)
    }

    fn load(&self, server: usize) -> &Arc<Load> {
        &self.pool.members.server(server).load
    }

    fn metrics(&self) -> &PoolMetrics {
        &self.to.view.pools[self.to.pool].figures
    }
}

/// A request that waits; it leaves the queue when this is dropped, and gives back what it got too late.
struct Waiting<'w> {
    pool: &'w Pool,
    guard: &'w Guard,
    config: &'w PoolConfig,
    metrics: &'w PoolMetrics,
    clock: Clock,
    ticket: Ticket,
    since: Time,
    /// For what.
    full: Full,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.metrics.queue_length.add(-1);
        let breaker = &self.guard.breaker;
        match breaker.withdraw(self.ticket) {
            None => {}
            Some(Grant::Place) => breaker.leave(self.clock.now()),
            Some(Grant::Server(load)) => {
                let servers = 0..self.pool.members.len();
                let mut found = servers.filter(|at| Arc::ptr_eq(&self.pool.members.server(*at).load, &load));
                let max = found.next().and_then(|at| self.config.backends[at].max_connections);
                breaker.leave_server(&load, max, self.clock.now());
            }
        }
    }
}

fn refused(refusal: Refusal) -> Ending {
    Ending::Refused(refusal, Ended::Refused)
}
