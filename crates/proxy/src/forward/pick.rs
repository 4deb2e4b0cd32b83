//! Picking a server: the one that is chosen, if the pool and the server have room for one more; else waiting for room.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_config::Queue;
use evenkeel_core::breaker::{Full, Grant, Passed, Refused, Ticket, Want};
use evenkeel_core::choose::{Chosen, Why, choose, waited};
use evenkeel_observe::{BreakerRefusal, Ended, PoolMetrics, QueueRefusal, RequestRefusal};
use evenkeel_types::Time;

use super::held::{Guarded, Held};
use super::holds::Holds;
use super::outcome::Outcome;
use super::seat::Seat;
use super::target::Target;
use super::tries::Tries;
use crate::client::writer::ToClient;
use crate::request::admit::Refusal;
use crate::request::incoming::Request;
use crate::request::log::RequestLog;
use crate::server::error::ServerError;
use crate::worker::timer::Limit;

/// When a client that found no room may come again, if nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a request gets no server.
#[derive(Debug)]
pub enum Denied {
    /// There is no room.
    Refused(Refusal, Ended),
    /// The client did not wait for it.
    Gone(Ended),
}

impl From<Denied> for Outcome<'_, '_> {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Refused(refusal, ended) => Self::Refused(refusal, ended),
            Denied::Gone(ended) => Self::Gone(ended),
        }
    }
}

/// Picks a server that was not tried, and in a pool with limits takes a place at it, which [`Tries::give_back`] returns;
/// `None` when there is no server left.
///
/// # Errors
/// There is no room, or the client did not wait for it.
pub async fn pick(
    target: Target<'_>,
    request: &Request<'_>,
    client: &mut ToClient<'_, '_>,
    tries: &mut Tries<'_>,
    now: Time,
) -> Result<Option<Chosen>, Denied> {
    let Some(of) = &target.side().guarded else {
        let picker = &mut target.side().picker.borrow_mut();
        return Ok(choose(target.state(), target.pool(), picker, request, tries.tried(), now));
    };
    let (picking, mut now) = (Picking { target, of, request, since: Cell::new(None) }, now);
    loop {
        let found = picking.at_once(tries, now)?;
        let holds = &mut tries.holds;
        // Who waits does so in a box, for most do not.
        match (found, &mut holds.held) {
            (Found::Server(chosen), _) => return Ok(Some(chosen)),
            (Found::PoolFull(full, queue), Some(held)) => {
                Box::pin(picking.wait_for_place(client, held, full, queue)).await?;
                now = target.worker.clock.now();
            }
            (Found::ServersFull { only, out, queue }, Some(held)) => {
                let holds = (&mut **held, &mut holds.seat);
                let waiting = picking.wait_for_server(client, holds, (only, out), queue);
                if let Some(chosen) = Box::pin(waiting).await? {
                    return Ok(Some(chosen));
                }
                now = target.worker.clock.now();
            }
            (Found::None, _) | (_, None) => return Ok(None),
        }
    }
}

/// Notes since when and why the circuit breaker of the pool is open, if that is what a request was refused for. It is for the
/// log alone: the client need not know.
pub fn note_open(target: Target<'_>, denied: &Denied, log: &mut RequestLog) {
    if let (Denied::Refused(Refusal { kind: Some(RequestRefusal::BreakerOpen), .. }, _), Some(of)) =
        (denied, &target.side().guarded)
        && target.worker.logs()
        && let Some(told) = of.breaker().trip.told(target.worker.clock.now())
    {
        log.note(told);
    }
}

/// Picks a server that is not among `tried` for what waits for no place, a hedge or a copy, and in a pool with limits takes a
/// place at it; `None` when no server has one.
pub fn pick_at_once(
    target: Target<'_>,
    request: &Request<'_>,
    held: Option<&mut Held>,
    tried: &[usize],
    now: Time,
) -> Option<(Chosen, Option<Box<Seat>>)> {
    let (of, config) = (target.state(), target.pool());
    let picker = &mut target.side().picker.borrow_mut();
    let Some(held) = held else { return Some((choose(of, config, picker, request, tried, now)?, None)) };
    let mut passed = Passed::new(tried);
    while passed.goes_on(of, config, now) {
        let chosen = choose(of, config, picker, request, passed.skip(), now)?;
        let max = config.backends[chosen.server].max_connections;
        if !of.members.server(chosen.server).load.try_begin(max.unwrap_or(u32::MAX)) {
            passed.full(of, config, chosen.server, now);
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
    target: Target<'p>,
    of: &'p Rc<Guarded>,
    request: &'p Request<'p>,
    /// Since when it waits: for one place after the other, but not anew for each.
    since: Cell<Option<Time>>,
}

/// What a request finds at once.
enum Found<'p> {
    /// A place at this server.
    Server(Chosen),
    /// No server that is left.
    None,
    /// No place in the pool, but in this queue.
    PoolFull(Full, &'p Queue),
    /// None at its servers, but in this queue: for `only`, if the request belongs to that one, or else any but `out`.
    ServersFull { only: Option<usize>, out: Vec<usize>, queue: &'p Queue },
}

impl<'p> Picking<'p> {
    /// Takes what places there are.
    fn at_once(&self, tries: &mut Tries<'_>, now: Time) -> Result<Found<'p>, Denied> {
        let (config, request) = (self.of.config(), self.request);
        let tried = tries.tried().to_vec();
        let Holds { held, seat, .. } = &mut tries.holds;
        let held = match held {
            Some(held) => held,
            held => held.insert(Box::new(self.held(now)?)),
        };
        if !held.is_in_pool()
            && let Err(full) = held.enter()
        {
            let queue = config.queue.as_ref().ok_or_else(|| self.refuse(full))?;
            return Ok(Found::PoolFull(full, queue));
        }
        let by_now = self.since.get().map(|_| self.of.pool_by_now());
        let pool = by_now.as_deref().unwrap_or_else(|| self.of.pool());
        let (mut passed, mut only) = (Passed::new(&tried), None);
        while passed.goes_on(pool, config, now) {
            let picker = &mut self.target.side().picker.borrow_mut();
            let Some(chosen) = choose(pool, config, picker, request, passed.skip(), now) else {
                break;
            };
            let max = config.backends[chosen.server].max_connections;
            if !self.of.load(chosen.server).try_begin(max.unwrap_or(u32::MAX)) {
                // Who belongs to a server waits for it, if there is where to wait and its circuit breaker is not open.
                let is_awaited = passed.full(pool, config, chosen.server, now) && config.queue.is_some();
                if is_awaited && chosen.why == Why::Sticky {
                    only = Some(chosen.server);
                    break;
                }
            } else if let Ok(taken) = held.sit_down(chosen.server, now) {
                *seat = Some(taken);
                return Ok(Found::Server(chosen));
            } else {
                passed.open(chosen.server);
            }
        }
        match &config.queue {
            Some(queue) if passed.any_full => {
                Ok(Found::ServersFull { only, out: passed.out().to_vec(), queue })
            }
            _ if passed.any_full => Err(self.refuse(Full::Servers)),
            _ if passed.any_open => Err(self.open("the circuit breakers of all servers are open")),
            _ => Ok(Found::None),
        }
    }

    /// What a request holds that the pool's circuit breaker lets through.
    fn held(&self, now: Time) -> Result<Held, Denied> {
        let mut held = Held::new(self.of);
        held.ask_pool(now).map_err(|open| self.pool_open(open))?;
        Ok(held)
    }

    /// Waits for a place in the pool.
    async fn wait_for_place(
        &self,
        client: &mut ToClient<'_, '_>,
        held: &mut Held,
        full: Full,
        queue: &Queue,
    ) -> Result<(), Denied> {
        let waiting = self.join(Want::Place, full)?;
        self.of.breaker().offer_place(waiting.since);
        self.wait(client, waiting, queue).await?;
        held.entered();
        let now = self.of.clock.now();
        held.ask_pool_again(now).map_err(|open| {
            // Whoever waits next is not to wait for this answer.
            held.leave_pool(now);
            self.pool_open(open)
        })
    }

    /// Waits for a place at a server: at `only`, or at any but `out`. The place in the pool is for others meanwhile. `None`
    /// if what it waited for is not to be had any more: it is to look anew.
    async fn wait_for_server(
        &self,
        client: &mut ToClient<'_, '_>,
        (held, seat): (&mut Held, &mut Option<Box<Seat>>),
        (only, out): (Option<usize>, Vec<usize>),
        queue: &Queue,
    ) -> Result<Option<Chosen>, Denied> {
        let (of, members) = (self.of, &self.of.pool().members);
        held.leave_pool(of.clock.now());
        let want = Want::Server { of: Arc::clone(members), only, not: out.into() };
        let waiting = self.join(want, Full::Servers)?;
        of.breaker().offer_servers(members, waiting.since);
        let Grant::Server(load) = self.wait(client, waiting, queue).await? else { return Ok(None) };
        let now = of.clock.now();
        let server = members.position_of(&load).expect("it is one of those that it waited for");
        if let Err(open) = held.ask_pool_again(now) {
            of.breaker().leave_server(&load, now);
            return Err(self.pool_open(open));
        }
        *seat = held.sit_down(server, now).ok();
        if seat.is_none() {
            return Ok(None);
        }
        if let Err(full) = held.enter() {
            self.wait_for_place(client, held, full, queue).await?;
            // It may take no more requests by now.
            if !of.pool_by_now().members.takes(server, only == Some(server)) {
                *seat = None;
                return Ok(None);
            }
        }
        Ok(Some(match only {
            Some(only) if only == server => Chosen { server, why: Why::Sticky, issue_cookie: false },
            _ => waited(of.pool(), of.config(), self.request, server),
        }))
    }

    /// Joins those who wait.
    fn join(&self, want: Want, full: Full) -> Result<Waiting<'_>, Denied> {
        let since = self.of.clock.now();
        let full = if matches!(want, Want::Server { only: Some(_), .. }) { Full::OwnServer } else { full };
        let Some(ticket) = self.of.breaker().wait(want, self.of.config(), since) else {
            self.metrics().refuse_to_wait(QueueRefusal::Full);
            let why = format!("{full}, and so is breaker.max_pending");
            return Err(refused(Refusal::new(503, RequestRefusal::NoPlace, why).after(self.retry_after())));
        };
        self.metrics().queue_length.add(1);
        self.since.set(self.since.get().or(Some(since)));
        Ok(Waiting { of: self.of, ticket, since, full })
    }

    /// Waits until there is a place, for as long as the queue, the request's own deadline and the client allow.
    async fn wait(
        &self,
        client: &mut ToClient<'_, '_>,
        waiting: Waiting<'_>,
        queue: &Queue,
    ) -> Result<Grant, Denied> {
        let ToClient { writer, timer } = client;
        let at_most = self.target.deadline;
        let limit = Limit { since: self.since.get(), after: queue.wait, at_most };
        let breaker = self.of.breaker();
        let granted = timer.within(limit, poll_fn(|cx| breaker.poll(waiting.ticket, cx)));
        let metrics = self.metrics();
        match writer.unless_left(granted).await {
            // Its end may have been hidden behind bytes that nobody has read.
            Ok(Ok(grant)) if writer.io().is_some_and(|io| io.has_ended()) => {
                self.of.give_back(&grant);
                metrics.refuse_to_wait(QueueRefusal::Gone);
                Err(Denied::Gone(Ended::ClientAborted))
            }
            Ok(Ok(Grant::NoServer)) => Ok(Grant::NoServer),
            Ok(Ok(grant)) => {
                metrics.waited(self.of.clock.now().since(waiting.since));
                Ok(grant)
            }
            Ok(Err(_)) if self.target.is_over() => {
                metrics.refuse_to_wait(QueueRefusal::Timeout);
                let (status, why) = (504, ServerError::Deadline.to_string().into());
                let refusal = Refusal { status, kind: None, why, retry_after: None };
                Err(Denied::Refused(refusal, Ended::RequestTimeout))
            }
            Ok(Err(_)) => {
                metrics.refuse_to_wait(QueueRefusal::Timeout);
                let why = format!("{}, and there was no place within {:?}", waiting.full, queue.wait);
                Err(refused(Refusal::new(503, RequestRefusal::NoPlace, why).after(self.retry_after())))
            }
            Err(_) => {
                metrics.refuse_to_wait(QueueRefusal::Gone);
                Err(Denied::Gone(Ended::ClientAborted))
            }
        }
    }

    fn refuse(&self, full: Full) -> Denied {
        self.metrics().refuse(match full {
            Full::Requests => BreakerRefusal::MaxRequests,
            Full::Connections => BreakerRefusal::MaxConnections,
            Full::Concurrency => BreakerRefusal::Concurrency,
            Full::Servers | Full::OwnServer => BreakerRefusal::ServersFull,
        });
        refused(Refusal::new(503, RequestRefusal::NoPlace, full.to_string()).after(RETRY_AFTER))
    }

    fn pool_open(&self, open: Refused) -> Denied {
        self.metrics().refuse(BreakerRefusal::Open);
        refused(Refusal::new(503, RequestRefusal::BreakerOpen, open.to_string()).after(open.after))
    }

    fn open(&self, why: &'static str) -> Denied {
        self.metrics().refuse(BreakerRefusal::ServersOpen);
        refused(Refusal::new(503, RequestRefusal::BreakerOpen, why).after(RETRY_AFTER))
    }

    /// A client that comes again before the queue has had its time would only make it longer.
    fn retry_after(&self) -> Duration {
        self.of.config().queue.as_ref().map_or(RETRY_AFTER, |queue| queue.wait)
    }

    fn metrics(&self) -> &PoolMetrics {
        &self.of.metrics
    }
}

/// A request that waits; it leaves the queue when this is dropped, and gives back what it got too late.
struct Waiting<'w> {
    of: &'w Guarded,
    ticket: Ticket,
    since: Time,
    /// For what.
    full: Full,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let of = self.of;
        of.metrics.queue_length.add(-1);
        if let Some(grant) = of.breaker().withdraw(self.ticket) {
            of.give_back(&grant);
        }
    }
}

fn refused(refusal: Refusal) -> Denied {
    Denied::Refused(refusal, Ended::Refused)
}
