//! The simulated world: clients, servers and time, as one queue of events. Same setup and seed, same course.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_config::{Config, Pool, Route};
use evenkeel_core::health::{Administrative, Failure, ProbeFailure, State};
use evenkeel_types::Time;
use fastrand::Rng;

use self::request::{Request, terms};
use super::balancer::{Asked, Balancer};
use super::chance::{Service, exponential};
use super::outcome::{Counts, End, Outcome};
use super::server::{Fault, Server};

mod request;

/// For a refused connection, a failure, a probe, or an answer that costs no work.
pub(super) const INSTANT: Duration = Duration::from_millis(1);

/// The clients, their requests and the servers.
#[derive(Debug, Clone)]
pub struct Setup {
    /// One pool, and the route to it.
    pub config: Arc<Config>,
    /// Requests that a server works on at a time.
    pub slots: usize,
    /// How long a request takes.
    pub service: Service,
    /// Its mean.
    pub mean: Duration,
    /// How many requests come.
    pub requests: usize,
    /// Between two of them, on average.
    pub gap: Duration,
    /// The share of requests that one client alone sends. There are 100,000 others.
    pub hot: f64,
    /// The share of requests that must not be sent twice.
    pub writes: f64,
    /// How long clients wait for an answer; `None` is as long as it takes.
    pub patience: Option<Duration>,
    /// How long it takes at most until a request notices that it has the place that it waited for.
    pub lag: Duration,
    /// What happens to which server, and when.
    pub faults: Vec<(Time, usize, Fault)>,
}

impl Setup {
    /// The pool.
    pub fn pool(&self) -> &Pool {
        &self.config.pools[0]
    }

    /// The route, which says what is done about servers that fail or are slow.
    pub fn route(&self) -> &Route {
        &self.config.routes[0]
    }

    /// When about the last request comes.
    pub fn end(&self) -> Time {
        Time::ZERO + self.gap.mul_f64(self.requests as f64)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Fault(usize),
    Arrival,
    /// A server is done with a try that it began in this life, with this status.
    Done(u64, usize, u32, u16),
    /// A connection was refused, or a request turned away with this status.
    Rejected(u64, Option<u16>),
    TimedOut(u64),
    /// A client has had enough.
    Gone(usize),
    /// A request notices that it was woken.
    Woken(usize),
    /// The timer of this number of a request fires: it has waited or paused long enough, or is to be hedged.
    Timer(usize, u64),
    Probe(usize),
    Probed(usize),
    Poll,
}

struct World<'s> {
    setup: &'s Setup,
    now: Time,
    rng: Rng,
    events: BinaryHeap<Reverse<(Time, u64, What)>>,
    events_total: u64,
    servers: Vec<Server>,
    balancer: Balancer,
    pub(super) requests: Vec<Request>,
    /// The request of each try.
    attempts: Vec<usize>,
    poll_at: Option<Time>,
    outcome: Outcome,
}

/// Lets the world run to the end of the last request.
///
/// # Panics
/// When something happens that must not.
pub fn run(setup: &Setup, seed: u64) -> Outcome {
    let count = setup.pool().backends.len();
    let mut world = World {
        setup,
        now: Time::ZERO,
        rng: Rng::with_seed(seed),
        events: BinaryHeap::new(),
        events_total: 0,
        servers: vec![Server::new(setup.slots); count],
        balancer: Balancer::new(Arc::clone(&setup.config), seed),
        requests: Vec::with_capacity(setup.requests),
        attempts: Vec::new(),
        poll_at: None,
        outcome: Outcome::new(count),
    };
    for (nth, (at, ..)) in setup.faults.iter().enumerate() {
        world.at(*at, What::Fault(nth));
    }
    for server in 0..count {
        world.plan_probe(server);
    }
    // Probes have had their first answers.
    world.at(Time::from_millis(50), What::Arrival);
    let mut left = setup.requests;
    while left > 0 {
        let Reverse((at, _, what)) = world.events.pop().expect("each request ends, by its timeout at last");
        assert!(at >= world.now, "time goes back");
        world.now = at;
        world.balancer.set_now(at);
        left -= world.happen(what);
        left -= world.wake();
        world.plan_poll();
    }
    world.finish()
}

impl World<'_> {
    fn at(&mut self, time: Time, what: What) {
        self.events_total += 1;
        self.events.push(Reverse((time, self.events_total, what)));
    }

    fn after(&mut self, wait: Duration, what: What) {
        self.at(self.now + wait, what);
    }

    /// How many requests have ended by it.
    fn happen(&mut self, what: What) -> usize {
        match what {
            What::Fault(nth) => return self.suffer(nth),
            What::Arrival => return self.arrive(),
            What::Done(attempt, server, life, status) => {
                if self.servers[server].life != life {
                    return 0;
                }
                if let Some(next) = self.servers[server].done() {
                    self.begin(next, server);
                }
                return self.answer(attempt, status);
            }
            What::Rejected(attempt, Some(status)) => return self.answer(attempt, status),
            What::Rejected(attempt, None) => return self.fail(attempt, Failure::Connect),
            What::TimedOut(attempt) => return self.fail(attempt, Failure::Timeout),
            What::Gone(request) => return self.end(request, End::Gone),
            What::Woken(request) => return self.drive(request),
            What::Timer(request, number) => {
                if self.requests[request].timer == Some(number) {
                    return self.drive(request);
                }
            }
            What::Probe(server) => self.after(INSTANT, What::Probed(server)),
            What::Probed(server) => {
                let Server { is_dead, failing, .. } = self.servers[server];
                let result = match () {
                    () if is_dead => Err(ProbeFailure::Refused),
                    () if self.rng.f64() < failing => Err(ProbeFailure::Status(503)),
                    () => Ok(()),
                };
                self.balancer.probed(server, result, self.now);
                self.plan_probe(server);
            }
            What::Poll => {
                self.poll_at = None;
                self.balancer.poll_health(self.now);
            }
        }
        0
    }

    fn arrive(&mut self) -> usize {
        if self.requests.len() + 1 < self.setup.requests {
            let gap = exponential(self.setup.gap, &mut self.rng);
            self.after(gap, What::Arrival);
        }
        let client = if self.rng.f64() < self.setup.hot { 0 } else { 1 + self.rng.u32(..100_000) };
        let is_write = self.setup.writes > 0.0 && self.rng.f64() < self.setup.writes;
        let nth = self.requests.len();
        let asked = Asked::new(if is_write { "POST" } else { "GET" }, client);
        let admission = self.balancer.arrived(&terms(self.setup, &asked), self.now);
        self.requests.push(Request::new(asked, admission, self.now, is_write));
        if let Some(patience) = self.setup.patience {
            self.after(patience, What::Gone(nth));
        }
        self.drive(nth)
    }

    /// Lets requests go on that were woken.
    fn wake(&mut self) -> usize {
        let mut ended = 0;
        loop {
            let woken = self.balancer.woken();
            if woken.is_empty() {
                let requests = &self.requests;
                self.balancer.check_queue(|nth| requests[nth].admission.as_ref());
                return ended;
            }
            for nth in woken {
                if self.setup.lag.is_zero() {
                    ended += self.drive(nth);
                } else {
                    let lag = self.setup.lag.mul_f64(self.rng.f64());
                    self.after(lag, What::Woken(nth));
                }
            }
        }
    }

    /// A server begins to work on a try.
    fn begin(&mut self, attempt: u64, server: usize) {
        let Server { slowness, failing, life, .. } = self.servers[server];
        let fails = self.rng.f64() < failing;
        let work = self.setup.service.draw(self.setup.mean, &mut self.rng).mul_f64(slowness);
        let (took, status) = if fails { (INSTANT, 503) } else { (work, 200) };
        self.after(took, What::Done(attempt, server, life, status));
    }

    fn suffer(&mut self, nth: usize) -> usize {
        let (_, server, fault) = self.setup.faults[nth];
        self.outcome.hurt(server);
        self.servers[server].suffer(fault);
        match fault {
            Fault::Drain => self.balancer.administer(server, Administrative::Drain, self.now),
            Fault::Ready => self.balancer.administer(server, Administrative::Ready, self.now),
            Fault::Dead => {
                let legs = self.requests.iter().flat_map(|request| &request.legs);
                let lost: Vec<u64> = legs.filter(|leg| leg.server == server).map(|leg| leg.attempt).collect();
                return lost.into_iter().map(|attempt| self.fail(attempt, Failure::Reset)).sum();
            }
            _ => {}
        }
        0
    }

    fn plan_probe(&mut self, server: usize) {
        if let Some(at) = self.balancer.next_probe(server, self.now) {
            self.at(at.max(self.now), What::Probe(server));
        }
    }

    fn plan_poll(&mut self) {
        if let Some(due) = self.balancer.due()
            && self.poll_at.is_none_or(|at| at > due)
        {
            self.poll_at = Some(due);
            self.at(due.max(self.now), What::Poll);
        }
    }

    fn finish(mut self) -> Outcome {
        self.balancer.check_given_back(self.now);
        let up = (0..self.servers.len()).map(|server| self.balancer.state(server) == State::Up).collect();
        let Balancer { ejections, panics, .. } = self.balancer;
        let (opened, retries) = (self.balancer.opened(), self.balancer.retries());
        let (hedges, hedges_won) = (self.balancer.hedges(), self.balancer.hedges_won());
        self.outcome.counts = Counts { ejections, panics, opened, retries, hedges, hedges_won };
        self.outcome.close(self.setup.pool(), up);
        self.outcome
    }
}
