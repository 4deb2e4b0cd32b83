//! The balancer under simulation: the code of `core` that decides in production, with the little around it that
//! carries what it decides.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use evenkeel_config::{Algorithm, Pool, Retry, Sticky};
use evenkeel_core::balance::{Availability, Members, Picker, Server};
use evenkeel_core::health::{
    Administrative, Event, Failure, Figures, Notice, PoolHealth, ProbeFailure, State,
};
use evenkeel_core::retry::Purse;
use evenkeel_core::snapshot::{self, Guard};
use evenkeel_core::sticky::Sessions;
use evenkeel_types::Time;
use fastrand::Rng;

mod again;
mod asked;
mod checks;
mod course;
mod pick;

pub use again::Next;
pub use asked::USER;
pub use course::Course;
pub use pick::Step;

use course::At;

/// Threads of the data path, each with its own picker.
const WORKERS: usize = 4;

/// Servers tried for one request, as on the data path.
const TRIES_MAX: usize = 16;

/// A pool as one process sees it.
pub struct Balancer {
    config: Pool,
    health: PoolHealth,
    pool: snapshot::Pool,
    pickers: Vec<Picker>,
    figures: Vec<Figures>,
    version: u64,
    rng: Rng,
    /// When the health of the servers has something to do: worked out after each change, for it looks at all of them.
    due: Option<Time>,
    /// What is done about failed tries.
    policy: Retry,
    purses: [Purse; WORKERS],
    /// Who waits, for whom no bell has rung yet.
    waiting: BTreeMap<usize, Option<At>>,
    rung: Arc<Mutex<Vec<usize>>>,
    /// Who has begun to wait, and which servers somebody left, since the queue was checked.
    joined: Vec<usize>,
    freed: Vec<usize>,
    /// Requests that have a place in the pool, and at each server; counted beside the balancer's own counts.
    inside: u32,
    seated: Vec<u32>,
    /// How often a server was ejected.
    pub ejections: u64,
    /// How often the pool panicked.
    pub panics: u64,
    /// How often a circuit breaker opened.
    pub opened: u64,
    /// Requests that have come.
    requests: u64,
    /// Retries of requests that were sent.
    pub retries: u64,
}

impl Balancer {
    /// A balancer that starts now.
    pub fn new(config: Pool, policy: Retry, seed: u64) -> Self {
        let health = PoolHealth::new(&config, Time::ZERO);
        let servers = config.backends.iter().zip(health.standings()).map(|(backend, (_, availability))| {
            let (id, weight, backup) = (backend.id.clone(), backend.weight, backend.backup);
            (Server { id, weight, backup, load: Arc::default() }, availability)
        });
        let members = Arc::new(Members::new(&config.algorithm, servers.collect()));
        let (states, retries) = (Arc::new([]), Arc::default());
        let watched = config.server_breaker.iter().flat_map(|_| &config.backends);
        let servers = watched.map(|_| Arc::default()).collect();
        let guard = config.is_guarded().then(|| Guard { breaker: Arc::default(), servers });
        if let Some(guard) = &guard {
            guard.breaker.reconfigure(&config, &members, Time::ZERO);
        }
        let affinity =
            matches!(config.sticky, Some(Sticky::Header(_))).then(|| Arc::new(Sessions::new(100_000)));
        let pool = snapshot::Pool { members, states, panic: None, cookie: None, affinity, retries, guard };
        Self {
            pool,
            policy,
            purses: Default::default(),
            waiting: BTreeMap::new(),
            rung: Arc::default(),
            joined: Vec::new(),
            freed: Vec::new(),
            inside: 0,
            seated: vec![0; config.backends.len()],
            due: health.due(),
            pickers: (0..WORKERS as u64).map(|worker| Picker::new(seed.wrapping_add(worker))).collect(),
            figures: vec![Figures::default(); config.backends.len()],
            version: health.version(),
            rng: Rng::with_seed(seed),
            health,
            config,
            ejections: 0,
            panics: 0,
            opened: 0,
            requests: 0,
            retries: 0,
        }
    }

    /// A request comes.
    pub fn arrived(&mut self, number: usize, client: u32, method: &'static str, now: Time) -> Course {
        let worker = self.rng.usize(..WORKERS);
        self.requests += 1;
        self.purses[worker].request(self.policy.budget, &self.pool.retries.budget, now);
        Course::new(number, (client, method), worker, now)
    }

    /// A server has answered.
    pub fn answered(&mut self, course: &mut Course, status: u16, now: Time) {
        let server = course.seat().expect("who answers has the request");
        let took = now - course.sent();
        self.head_came(course, status, now);
        self.tried(course, None, now);
        let is_failure = matches!(status, 502..=504);
        let figures = &mut self.figures[server];
        figures.requests += 1;
        if status >= 500 {
            figures.failures += 1;
        } else {
            figures.timed += 1;
            figures.latency_sum += took;
        }
        if is_failure {
            self.change(now, |health, pool| {
                health.failed(&pool.backends[server].id, Failure::Status(status), now)
            });
        } else if self.config.algorithm == Algorithm::LeastResponseTime {
            self.pool.members.server(server).load.observe_latency(took, now);
        }
    }

    /// A try has ended without an answer.
    pub fn failed(&mut self, course: &mut Course, failure: Failure, now: Time) {
        let server = course.seat().expect("who fails has the request");
        self.tried(course, Some(failure), now);
        let figures = &mut self.figures[server];
        figures.requests += 1;
        figures.failures += 1;
        if failure == Failure::Timeout {
            figures.timed += 1;
            figures.latency_sum += self.config.timeout.response;
        }
        self.change(now, |health, pool| health.failed(&pool.backends[server].id, failure, now));
    }

    /// A probe has ended.
    pub fn probed(&mut self, server: usize, result: Result<(), ProbeFailure>, now: Time) {
        self.change(now, |health, pool| health.probed(&pool.backends[server].id, result, now));
    }

    /// When the server is to be probed next, the last probe having begun now.
    pub fn next_probe(&mut self, server: usize, now: Time) -> Option<Time> {
        self.health.server(&self.config.backends[server].id)?.next_probe(now, &mut self.rng)
    }

    /// What the operator wants of a server.
    pub fn administer(&mut self, server: usize, wanted: Administrative, now: Time) {
        self.change(now, |health, pool| health.administer(&pool.backends[server].id, wanted, now));
    }

    /// Does what is due.
    pub fn poll(&mut self, now: Time) {
        let figures = std::mem::take(&mut self.figures);
        let members = Arc::clone(&self.pool.members);
        let total = |id: &_| members.position(id).map(|at| figures[at]).unwrap_or_default();
        self.change(now, |health, _| health.poll(now, total));
        self.figures = figures;
        assert!(self.due().is_none_or(|due| due > now), "still due after it was done");
    }

    /// When there is something to do.
    pub fn due(&self) -> Option<Time> {
        self.due
    }

    /// The state of a server.
    pub fn state(&self, server: usize) -> State {
        self.health.server(&self.config.backends[server].id).map_or(State::Down, |health| health.state())
    }

    /// Requests that are in flight at a server, as the balancer counts them.
    pub fn in_flight(&self, server: usize) -> u32 {
        self.pool.members.server(server).load.in_flight()
    }

    fn change(&mut self, now: Time, change: impl FnOnce(&mut PoolHealth, &Pool) -> Vec<Notice>) {
        let panicked = self.health.panic().is_some();
        let notices = change(&mut self.health, &self.config);
        self.due = self.health.due();
        let to = |notice: &&Notice, state| matches!(&notice.event, Event::Transition(it) if it.from == State::Up && it.to == state);
        let ejected = notices.iter().filter(|notice| to(notice, State::Ejected)).count() as u64;
        self.ejections += ejected;
        self.panics += u64::from(self.health.panic().is_some() && !panicked);
        if ejected > 0 {
            self.check_cap();
        }
        self.check_left();
        if self.health.version() == self.version {
            return;
        }
        self.version = self.health.version();
        let standings: Vec<(u32, Availability)> = self.health.standings().collect();
        let members = self.pool.members.with_parts(|at, server| {
            let (part, availability) = standings[at];
            (server.weight, part, availability)
        });
        self.pool.members = Arc::new(members);
        if let Some(guard) = &self.pool.guard {
            guard.breaker.follow(&self.pool.members, now);
            self.freed.extend(0..self.config.backends.len());
        }
        self.pool.panic = self.health.panic().map(|_| now);
    }
}
