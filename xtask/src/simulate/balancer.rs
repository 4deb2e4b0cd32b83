//! The balancer under simulation: the code of `core` that decides in production, with what a process has around it.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use evenkeel_config::{Algorithm, Config, Hedge, Pool, Retry, Sticky};
use evenkeel_core::admission::{Admission, Driver, Gate, HedgeNotice, Local, Notice, Role, Step, Terms};
use evenkeel_core::balance::{Availability, Members, Server};
use evenkeel_core::breaker::CircuitState as Circuit;
use evenkeel_core::health::{
    Administrative, Event, Failure, Figures, Finding, HealthNotice, LiveFailure, LiveTraffic, PoolHealth,
    ProbeFailure, State,
};
use evenkeel_core::retry::{Cause, Decision};
use evenkeel_core::snapshot::{self, Guard, PoolState};
use evenkeel_core::sticky::Sessions;
use evenkeel_types::Time;
use fastrand::Rng;

mod asked;
mod checks;

pub use asked::{Asked, USER};

/// Threads of the data path, each with its own pickers.
const WORKERS: usize = 4;

/// A request on its way, as the simulation admits it.
pub type Admitted = Admission<Watch>;

/// A pool as one process sees it.
pub struct Balancer {
    config: Arc<Config>,
    health: PoolHealth,
    pool: snapshot::Pool,
    /// What each thread has, and its gate: the pool as it is now.
    locals: Vec<Rc<Local>>,
    gates: Vec<Rc<Gate<Watch>>>,
    watch: Watch,
    figures: Vec<Figures>,
    version: u64,
    rng: Rng,
    /// When the health of the servers has something to do: worked out after each change, because it looks at all of them.
    due: Option<Time>,
    /// Requests in the queue that have not been woken.
    waiting: BTreeSet<usize>,
    woken: Arc<Mutex<Vec<usize>>>,
    /// Requests that have joined the queue, and servers whose permits were given back, since the queue was checked.
    joined: Vec<usize>,
    freed: BTreeSet<usize>,
    /// Requests that each server has, counted beside the balancer's own counts.
    asked: Vec<u32>,
    /// How often a server was ejected.
    pub ejections: u64,
    /// How often the pool panicked.
    pub panics: u64,
    /// Requests that have come.
    requests: u64,
}

/// The driver of the state machine in simulated time: it counts.
#[derive(Debug, Clone, Default)]
pub struct Watch(Rc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    now: Cell<Time>,
    opened: Cell<u64>,
    retries: Cell<u64>,
    hedges: Cell<u64>,
    hedges_won: Cell<u64>,
}

impl Driver for Watch {
    fn now(&self) -> Time {
        self.0.now.get()
    }

    fn notice(&self, _: &Pool, notice: Notice) {
        let add = |counter: &Cell<u64>, is_so: bool| counter.set(counter.get() + u64::from(is_so));
        match notice {
            Notice::Circuit { change, .. } => add(&self.0.opened, change.to == Circuit::Open),
            Notice::Retry { cause, decision: Decision::Retry { .. } } => {
                add(&self.0.retries, cause != Cause::Connect);
            }
            Notice::Hedge(notice) => add(&self.0.hedges_won, notice == HedgeNotice::Won),
            _ => {}
        }
    }
}

/// Wakes a request that waits in the queue.
#[derive(Debug)]
struct Bell {
    request: usize,
    woken: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner).push(self.request);
    }
}

impl Balancer {
    /// A balancer that starts now, of the only pool of a configuration.
    pub fn new(all: Arc<Config>, seed: u64) -> Self {
        let config = &all.pools[0];
        let health = PoolHealth::new(config, Time::ZERO);
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
            guard.breaker.reconfigure(config, &members, Time::ZERO);
        }
        let affinity =
            matches!(config.sticky, Some(Sticky::Header(_))).then(|| Arc::new(Sessions::new(100_000)));
        let pool = snapshot::Pool {
            members,
            states,
            panic: None,
            cookie: None,
            affinity,
            retries,
            guard,
            arrivals: Arc::default(),
            edition: 0,
        };
        let count = config.backends.len();
        let mut balancer = Self {
            pool,
            locals: (0..WORKERS as u64).map(|it| Rc::new(Local::new(seed.wrapping_add(it)))).collect(),
            gates: Vec::new(),
            watch: Watch::default(),
            waiting: BTreeSet::new(),
            woken: Arc::default(),
            joined: Vec::new(),
            freed: BTreeSet::new(),
            asked: vec![0; count],
            due: health.due(),
            figures: vec![Figures::default(); count],
            version: health.version(),
            rng: Rng::with_seed(seed),
            health,
            config: all,
            ejections: 0,
            panics: 0,
            requests: 0,
        };
        balancer.open_gates();
        balancer
    }

    /// The time is this from now on.
    pub fn set_now(&self, now: Time) {
        self.watch.0.now.set(now);
    }

    /// How often a circuit breaker opened.
    pub fn opened(&self) -> u64 {
        self.watch.0.opened.get()
    }

    /// Retries of requests that had been sent.
    pub fn retries(&self) -> u64 {
        self.watch.0.retries.get()
    }

    /// Requests that were sent to one more server because the first was slow.
    pub fn hedges(&self) -> u64 {
        self.watch.0.hedges.get()
    }

    /// Hedges that won.
    pub fn hedges_won(&self) -> u64 {
        self.watch.0.hedges_won.get()
    }

    /// A request comes, to one of the threads.
    pub fn arrived(&mut self, terms: &Terms<'_, Asked>, now: Time) -> Admitted {
        let worker = self.rng.usize(..WORKERS);
        self.requests += 1;
        Admission::new(&self.gates[worker], terms, now)
    }

    /// What a request does next.
    pub fn poll(&mut self, nth: usize, it: &mut Admitted, terms: &Terms<'_, Asked>, now: Time) -> Step {
        let waited = it.is_queued();
        let waker = Waker::from(Arc::new(Bell { request: nth, woken: Arc::clone(&self.woken) }));
        let step = it.poll(terms, now, &Context::from_waker(&waker));
        match &step {
            Step::Wait { .. } => {
                self.waiting.insert(nth);
                self.joined.push(nth);
            }
            _ => drop(self.waiting.remove(&nth)),
        }
        self.check_step(it, &step, waited);
        if let Step::Send { chosen, role, .. } = &step {
            self.watch.0.hedges.set(self.hedges() + u64::from(matches!(role, Role::Hedge { .. })));
            self.asked[chosen.server] += 1;
            self.check_asked(chosen.server);
        }
        if waited || matches!(step, Step::GiveUp(_) | Step::Refuse(_)) {
            // A server permit may have been given back on the way.
            self.free_all();
        }
        step
    }

    /// A server does not have a request any more.
    pub fn ended(&mut self, server: usize) {
        self.asked[server] -= 1;
        self.freed.insert(server);
    }

    /// A request is over: it gives back all that it holds.
    pub fn over(&mut self, nth: usize, it: Admitted) {
        self.waiting.remove(&nth);
        let waited = it.is_queued();
        drop(it);
        if waited {
            self.free_all();
        }
    }

    /// Requests that have been woken.
    pub fn woken(&mut self) -> Vec<usize> {
        let woken = std::mem::take(&mut *self.woken.lock().unwrap_or_else(PoisonError::into_inner));
        for nth in &woken {
            assert!(self.waiting.remove(nth), "request {nth} was woken and did not wait");
        }
        woken
    }

    /// A server has answered, for passive health checks and the algorithm.
    pub fn answered(&mut self, server: usize, status: u16, took: Duration, now: Time) {
        let figures = &mut self.figures[server];
        figures.requests += 1;
        if status >= 500 {
            figures.failures += 1;
        } else {
            figures.timed += 1;
            figures.latency_sum += took;
        }
        if matches!(status, 502..=504) {
            let failure = LiveFailure { of: LiveTraffic::Requests, how: Failure::Status(status) };
            self.change(now, |health, pool| health.failed(&pool.backends[server].id, failure, now));
        } else if self.pool().algorithm == Algorithm::LeastResponseTime {
            self.pool.members.server(server).load.observe_latency(took, now);
        }
    }

    /// A try has ended without an answer, for passive health checks.
    pub fn failed(&mut self, server: usize, failure: Failure, now: Time) {
        let response = self.pool().timeout.response;
        let figures = &mut self.figures[server];
        figures.requests += 1;
        figures.failures += 1;
        if failure == Failure::Timeout {
            figures.timed += 1;
            figures.latency_sum += response;
        }
        let failure = LiveFailure { of: LiveTraffic::Requests, how: failure };
        self.change(now, |health, pool| health.failed(&pool.backends[server].id, failure, now));
    }

    /// A probe has ended.
    pub fn probed(&mut self, server: usize, result: Result<(), ProbeFailure>, now: Time) {
        self.change(now, |health, pool| {
            health.probed(&pool.backends[server].id, result.map(|()| Finding::Well), now)
        });
    }

    /// When the server is to be probed next, the last probe having begun now.
    pub fn next_probe(&mut self, server: usize, now: Time) -> Option<Time> {
        self.health.next_probe(&self.config.pools[0].backends[server].id, now, &mut self.rng)
    }

    /// What the operator wants of a server.
    pub fn administer(&mut self, server: usize, wanted: Administrative, now: Time) {
        self.change(now, |health, pool| health.administer(&pool.backends[server].id, wanted, now));
    }

    /// Does what is due.
    pub fn poll_health(&mut self, now: Time) {
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
        self.health.server(&self.pool().backends[server].id).map_or(State::Down, |health| health.state())
    }

    fn pool(&self) -> &Pool {
        &self.config.pools[0]
    }

    fn route(&self) -> (&Retry, Option<&Hedge>) {
        let route = &self.config.routes[0];
        (&route.retry, route.hedge.as_ref())
    }

    fn change(&mut self, now: Time, change: impl FnOnce(&mut PoolHealth, &Pool) -> Vec<HealthNotice>) {
        let panicked = self.health.panic().is_some();
        let notices = change(&mut self.health, &self.config.pools[0]);
        self.due = self.health.due();
        let to = |notice: &&HealthNotice, state| matches!(&notice.event, Event::Transition(it) if it.from == State::Up && it.to == state);
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
        self.pool.panic = self.health.panic().map(|_| now);
        self.open_gates();
        if let Some(guard) = &self.pool.guard {
            guard.breaker.follow(&self.pool.members, now);
            self.free_all();
        }
    }

    /// Gives each thread a gate to the pool as it is now.
    fn open_gates(&mut self) {
        let is_measured = self.route().1.is_some();
        let (config, servers) = (Arc::new(self.config.pools[0].clone()), self.pool.clone());
        let state = Arc::new(PoolState { version: 1, config, servers });
        let gate = |local: &Rc<Local>| {
            Rc::new(Gate::new(Arc::clone(&state), Rc::clone(local), is_measured, self.watch.clone()))
        };
        self.gates = self.locals.iter().map(gate).collect();
    }

    fn free_all(&mut self) {
        if self.pool.guard.is_some() && !self.waiting.is_empty() {
            self.freed.extend(0..self.asked.len());
        }
    }
}
