//! The balancer under simulation: the code of `core` that decides in production, with the little around it that
//! carries what it decides.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use evenkeel_config::{Algorithm, Pool};
use evenkeel_core::balance::{Availability, Members, Picker, Server};
use evenkeel_core::choose::{Keys, choose};
use evenkeel_core::health::{
    Administrative, Event, Failure, Figures, Notice, PoolHealth, ProbeFailure, State,
};
use evenkeel_core::route::Facts;
use evenkeel_core::snapshot;
use evenkeel_types::Time;
use fastrand::Rng;

/// Threads of the data path, each with its own picker.
const WORKERS: usize = 4;

/// Servers tried for one request, as on the data path.
const TRIES_MAX: usize = 16;

/// What is done with a request whose try has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The client is told.
    GiveUp,
    /// Another server gets it.
    Elsewhere,
}

/// A pool as one process sees it.
pub struct Balancer {
    config: Pool,
    health: PoolHealth,
    pool: snapshot::Pool,
    pickers: Vec<Picker>,
    figures: Vec<Figures>,
    version: u64,
    rng: Rng,
    /// How often a server was ejected.
    pub ejections: u64,
    /// How often the pool panicked.
    pub panics: u64,
}

impl Balancer {
    /// A balancer that starts now.
    pub fn new(config: Pool, seed: u64) -> Self {
        let health = PoolHealth::new(&config, Time::ZERO);
        let servers = config.backends.iter().zip(health.standings()).map(|(backend, (_, availability))| {
            let (id, weight, backup) = (backend.id.clone(), backend.weight, backend.backup);
            (Server { id, weight, backup, load: Arc::default() }, availability)
        });
        let members = Arc::new(Members::new(&config.algorithm, servers.collect()));
        let (states, retries) = (Arc::new([]), Arc::default());
        let pool = snapshot::Pool {
            members,
            states,
            panic: None,
            cookie: None,
            affinity: None,
            retries,
            guard: None,
        };
        Self {
            pool,
            pickers: (0..WORKERS as u64).map(|worker| Picker::new(seed.wrapping_add(worker))).collect(),
            figures: vec![Figures::default(); config.backends.len()],
            version: health.version(),
            rng: Rng::with_seed(seed),
            health,
            config,
            ejections: 0,
            panics: 0,
        }
    }

    /// The server that a request of `client` goes to, having failed at `tried`. Counted as in flight from here on.
    pub fn choose(&mut self, client: u32, tried: &[usize], now: Time) -> Option<usize> {
        let worker = self.rng.usize(..WORKERS);
        let request = Asked { client: Ipv4Addr::from_bits(client).into() };
        let chosen = choose(&self.pool, &self.config, &mut self.pickers[worker], &request, tried, now);
        let Some(chosen) = chosen else {
            let members = &self.pool.members;
            let left = (0..members.len()).find(|&at| members.usable(at) && !tried.contains(&at));
            assert_eq!(left, None, "no server was chosen though one is usable");
            return None;
        };
        assert!(self.pool.members.usable(chosen.server), "chose server {}, which is out", chosen.server);
        assert!(!tried.contains(&chosen.server), "chose server {} again", chosen.server);
        self.pool.members.server(chosen.server).load.begin();
        Some(chosen.server)
    }

    /// What follows from a failed try. Here belong retries by status and method, their budget and backoff, hedges,
    /// breakers and queues as soon as `core` decides about them: the world does what is answered.
    pub fn after(&self, failure: Failure, tries: usize) -> Next {
        match failure {
            Failure::Connect if tries < TRIES_MAX => Next::Elsewhere,
            _ => Next::GiveUp,
        }
    }

    /// A server has answered.
    pub fn answered(&mut self, server: usize, status: u16, took: Duration, now: Time) {
        self.ended(server);
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
    pub fn failed(&mut self, server: usize, failure: Failure, now: Time) {
        self.ended(server);
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
        self.health.due()
    }

    /// The state of a server.
    pub fn state(&self, server: usize) -> State {
        self.health.server(&self.config.backends[server].id).map_or(State::Down, |health| health.state())
    }

    /// Requests that are in flight at a server, as the balancer counts them.
    pub fn in_flight(&self, server: usize) -> u32 {
        self.pool.members.server(server).load.in_flight()
    }

    /// What the configuration says.
    pub fn config(&self) -> &Pool {
        &self.config
    }

    fn ended(&mut self, server: usize) {
        self.pool.members.server(server).load.end();
    }

    fn change(&mut self, now: Time, change: impl FnOnce(&mut PoolHealth, &Pool) -> Vec<Notice>) {
        let panicked = self.health.panic().is_some();
        let notices = change(&mut self.health, &self.config);
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
        self.pool.panic = self.health.panic().map(|_| now);
    }

    /// No more servers are ejected than the configuration allows, but for one.
    fn check_cap(&self) {
        let Some(outlier) = &self.config.outlier else { return };
        let weighty =
            || self.config.backends.iter().zip(self.health.servers()).filter(|(it, _)| it.weight > 0);
        let ejected = weighty().filter(|(_, (_, health))| health.state() == State::Ejected).count();
        let allowed = (weighty().count() * outlier.max_ejected as usize / 100).max(1);
        assert!(ejected <= allowed, "{ejected} servers are ejected, and {allowed} may be");
    }

    /// No ejection leaves the pool without a server.
    fn check_left(&self) {
        let standings =
            || self.config.backends.iter().zip(self.health.servers().zip(self.health.standings()));
        let weighty = || standings().filter(|(backend, _)| backend.weight > 0);
        let is_left = weighty().any(|(_, (_, (_, availability)))| availability == Availability::Up);
        let is_ejected = weighty().any(|(_, ((_, health), _))| health.state() == State::Ejected);
        assert!(is_left || !is_ejected, "ejections have emptied the pool");
    }
}

/// A request, as far as a choice depends on it.
struct Asked {
    client: IpAddr,
}

impl Facts for Asked {
    fn method(&self) -> &str {
        "GET"
    }
    fn host(&self) -> &str {
        "example.com"
    }
    fn path(&self) -> &str {
        "/"
    }
    fn query(&self) -> Option<&str> {
        None
    }
    fn client(&self) -> IpAddr {
        self.client
    }
    fn has_header(&self, _: &str, _: &str) -> bool {
        false
    }
}

impl Keys for Asked {
    fn header(&self, _: &str) -> Option<&[u8]> {
        None
    }
    fn cookie(&self, _: &str) -> Option<&[u8]> {
        None
    }
}
