//! A pool's places as all workers share them: how many are taken, and which requests wait for one.

use std::collections::HashMap;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crossbeam_utils::CachePadded;
use evenkeel_config::Pool;
use evenkeel_types::Time;

use super::limits::{self, PlaceLimits};
use super::queue::Queue;
use super::trip::Trip;
use super::want::{Full, Want};
use crate::balance::{Load, Roster, ServerStanding};
use crate::limit::adaptive::Adaptive;
use crate::sync::{AtomicU32, AtomicUsize, Mutex, MutexGuard};

/// What of one pool is in flight or waits, over all workers. It outlives the configuration: a new request is measured by
/// the limits that it began with, and a place that is given back is handed out by those that are in force ([`Breaker::reconfigure`]), at
/// servers that take requests by then ([`Breaker::follow`]).
#[derive(Debug, Default)]
pub struct Breaker {
    in_flight: CachePadded<AtomicU32>,
    retries: CachePadded<AtomicU32>,
    waiting: CachePadded<AtomicUsize>,
    line: Mutex<Line>,
    /// The pool's circuit breaker.
    pub trip: Trip,
    /// The limit that follows from latency.
    pub adaptive: Adaptive,
}

#[derive(Debug, Default)]
struct Line {
    queue: Queue<Waiter>,
    /// Places taken for requests that have yet to notice.
    granted: HashMap<u64, Grant>,
    limits: PlaceLimits,
}

#[derive(Debug)]
struct Waiter {
    want: Want,
    waker: Option<Waker>,
}

/// What a queued request has got.
#[derive(Debug, Clone)]
pub enum Grant {
    /// A place in the pool.
    Place,
    /// A place at this server.
    Server(Arc<Load>),
    /// Nothing: no server that it would take takes requests any more.
    NoServer,
}

/// A request in the queue; to be given back with [`Breaker::withdraw`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

impl Breaker {
    /// Takes a place in the pool. While requests are queued for one, a new request has to queue as well.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn enter(&self, pool: &Pool) -> Result<(), Full> {
        let (max, full) = self.limit(pool);
        if self.waiting.load(Relaxed) > 0 && self.lock().wants_place() {
            return Err(full);
        }
        if self.take(max) { Ok(()) } else { Err(full) }
    }

    /// Takes a place in the pool for what is in flight already, whether there is room or not.
    pub fn readmit(&self) {
        self.in_flight.fetch_add(1, SeqCst);
    }

    /// Gives a place in the pool back; a queued request gets it, if there is one.
    pub fn leave(&self, now: Time) {
        self.in_flight.fetch_sub(1, SeqCst);
        if self.waiting.load(SeqCst) > 0 {
            self.offer_place(now);
        }
    }

    /// Gives a place at a server back; a queued request gets it, if there is one.
    pub fn leave_server(&self, load: &Arc<Load>, now: Time) {
        load.end();
        self.offer_left(load, || now);
    }

    /// Offers the place at a server that a request has left.
    pub fn offer_left(&self, load: &Arc<Load>, now: impl FnOnce() -> Time) {
        if self.waiting.load(SeqCst) > 0 {
            self.offer_server(load, now());
        }
    }

    /// Puts the limits of a configuration in force, with the servers that it has, and hands out the places that they have room for.
    pub fn reconfigure(self: &Arc<Self>, pool: &Pool, members: &Roster, now: Time) {
        if pool.is_guarded() {
            loads(members).for_each(|load| load.limit_by(self));
        }
        let mut line = self.lock();
        let is_queued = !line.queue.is_empty();
        line.limits.reconfigure(pool, members.standings(), is_queued);
        self.dismiss(line);
        self.offer_place(now);
        self.offer_servers(members, now);
    }

    /// Takes in what has become of the servers: no request gets a place at one that takes none any more, and
    /// queued requests get the places of one that does again.
    pub fn follow(&self, members: &Roster, now: Time) {
        let mut line = self.lock();
        line.limits.follow(members.standings());
        self.dismiss(line);
        self.offer_servers(members, now);
    }

    /// How these servers stand now, if that has changed since the `version`, and the version of that.
    pub fn standings(&self, of: &Roster, version: u64) -> Option<(u64, Vec<ServerStanding>)> {
        let limits = &self.lock().limits;
        (limits.version != version)
            .then(|| (limits.version, limits.standings(of.positions(), of.standings())))
    }

    /// Queues a request, of which there may be `breaker.max_pending`; `None` if that is reached. The caller must then
    /// offer what it may have missed: the place in the pool, or those at each server.
    pub fn wait(&self, mut want: Want, pool: &Pool, now: Time) -> Option<Ticket> {
        let mut line = self.lock();
        let is_possible = line.limits.is_possible(&mut want);
        let ticket = line.queue.join(Waiter { want, waker: None }, pool.pending_max(), now)?;
        self.waiting.fetch_add(1, SeqCst);
        if !is_possible && let Some(waiter) = line.queue.leave(ticket) {
            self.grant(&mut line, (ticket, waiter), Grant::NoServer);
        }
        Some(Ticket(ticket))
    }

    /// Ready once the place is there.
    pub fn poll(&self, ticket: Ticket, cx: &Context<'_>) -> Poll<Grant> {
        let mut line = self.lock();
        if let Some(grant) = line.granted.remove(&ticket.0) {
            return Poll::Ready(grant);
        }
        if let Some(waiter) = line.queue.get_mut(ticket.0) {
            waiter.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// What a queued request waits for, as long as that has not been granted.
    pub fn wanted(&self, ticket: Ticket) -> Option<Want> {
        self.lock().queue.get_mut(ticket.0).map(|waiter| waiter.want.clone())
    }

    /// Waits no longer. What had been granted and not been noticed yet comes back, and is to be given back.
    pub fn withdraw(&self, ticket: Ticket) -> Option<Grant> {
        let mut line = self.lock();
        if line.queue.leave(ticket.0).is_some() {
            self.waiting.fetch_sub(1, SeqCst);
        }
        line.granted.remove(&ticket.0)
    }

    /// Gives free places in the pool to queued requests.
    pub fn offer_place(&self, now: Time) {
        let take = |limits: &PlaceLimits| {
            let (max, _) = limits.in_flight(&self.adaptive);
            self.take(max).then_some(Grant::Place)
        };
        self.offer(now, |_, want| matches!(want, Want::Place), take);
    }

    /// Gives free places at a server to queued requests.
    pub fn offer_server(&self, load: &Arc<Load>, now: Time) {
        let take = |limits: &PlaceLimits| {
            load.try_begin(limits.max_connections(load.key())).then(|| Grant::Server(Arc::clone(load)))
        };
        self.offer(now, |limits, want| limits.suits(want, load.key()), take);
    }

    /// The same for each of these servers.
    pub fn offer_servers(&self, members: &Roster, now: Time) {
        loads(members).for_each(|load| self.offer_server(load, now));
    }

    /// Lets the limit of `concurrency` know how long an answer took, or that none came in time. A limit that changes by
    /// that is returned, and queued requests get the places that it adds.
    pub fn learn(&self, pool: &Pool, took: Option<Duration>, now: Time) -> Option<u32> {
        let settings = pool.concurrency.as_ref()?;
        let limit = self.adaptive.observe(settings, took, self.in_flight(), now)?;
        // Even if the queue seems empty: only under the lock does one of both see the other.
        self.offer_place(now);
        Some(limit)
    }

    /// Counts one more retry in flight; false when there are `breaker.max_retries` already. Each `true` must be followed by
    /// one [`end_retry`](Self::end_retry).
    pub fn begin_retry(&self, pool: &Pool) -> bool {
        let max = pool.breaker.as_ref().and_then(|breaker| breaker.max_retries).unwrap_or(u32::MAX);
        self.retries.fetch_update(Relaxed, Relaxed, |now| (now < max).then_some(now + 1)).is_ok()
    }

    /// One retry is no longer in flight.
    pub fn end_retry(&self) {
        self.retries.fetch_sub(1, Relaxed);
    }

    /// Requests in flight, those that wait for a server among them.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Retries in flight.
    pub fn retries(&self) -> u32 {
        self.retries.load(Relaxed)
    }

    /// How many requests may be in flight, and which limit says so.
    pub fn limit(&self, pool: &Pool) -> (u32, Full) {
        limits::in_flight(pool, &self.adaptive)
    }

    fn take(&self, max: u32) -> bool {
        self.in_flight.fetch_update(SeqCst, SeqCst, |now| (now < max).then_some(now + 1)).is_ok()
    }

    /// For each queued request that wants what `take` can get: gets it, and wakes the request.
    fn offer(
        &self,
        now: Time,
        wanted: impl Fn(&PlaceLimits, &Want) -> bool,
        take: impl Fn(&PlaceLimits) -> Option<Grant>,
    ) {
        let line = &mut *self.lock();
        let order = line.limits.order;
        while line.queue.any(|waiter| wanted(&line.limits, &waiter.want)) {
            let Some(grant) = take(&line.limits) else { break };
            let next = line.queue.next(order, now, |waiter| wanted(&line.limits, &waiter.want));
            self.grant(line, next.expect("one was there, and the lock is held"), grant);
        }
    }

    /// Wakes the requests for which no server is left.
    fn dismiss(&self, mut line: MutexGuard<'_, Line>) {
        let Line { queue, limits, .. } = &mut *line;
        for waiter in queue.dismiss(|waiter| !limits.is_possible(&mut waiter.want)) {
            self.grant(&mut line, waiter, Grant::NoServer);
        }
    }

    fn grant(&self, line: &mut Line, (ticket, waiter): (u64, Waiter), grant: Grant) {
        self.waiting.fetch_sub(1, SeqCst);
        line.granted.insert(ticket, grant);
        waiter.waker.iter().for_each(Waker::wake_by_ref);
    }

    /// A panic elsewhere leaves the queue whole.
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn wants_place(&self) -> bool {
        self.queue.any(|waiter| matches!(waiter.want, Want::Place))
    }
}

fn loads(members: &Roster) -> impl Iterator<Item = &Arc<Load>> {
    (0..members.len()).map(|at| &members.server(at).load)
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
