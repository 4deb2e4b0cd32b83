//! What the demo knows at one moment ([`Figures`]), and how it is gathered from the parts that run ([`Observer`]).

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use evenkeel_core::health::State;
use evenkeel_observe::Summary;
use evenkeel_types::BackendId;

use super::balancer::Balancer;
use super::servers::Server;
use super::traffic::{Fault, Tally};

/// Seconds of which the requests are kept, for the curve.
const SECONDS_MAX: usize = 300;
/// Events that are kept, the newest.
const EVENTS_MAX: usize = 200;
/// Shares are of this many last seconds, so that a stopped server is seen to lose its part.
pub const SHARE_SECONDS: usize = 5;

/// All that the screen and the summary show.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// What to try: the balancer's URL.
    pub url: String,
    /// The base URL of the admin API, without a slash at its end.
    pub admin: Option<String>,
    /// Since the traffic began.
    pub elapsed: Duration,
    /// Until the demo ends by itself.
    pub left: Option<Duration>,
    /// Requests of the demo's clients.
    pub requests: u64,
    /// Those of them that got anything but a complete 200.
    pub failed: u64,
    /// The same, by cause.
    pub faults: BTreeMap<Fault, u64>,
    /// What the clients waited.
    pub latency: Latency,
    /// Requests in each full second, the newest last.
    pub rates: Vec<u64>,
    /// In the order of the configuration.
    pub servers: Vec<ServerFigures>,
    /// What happened, the newest last.
    pub events: Vec<Event>,
}

/// Quantiles; zero while there is nothing to tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latency {
    /// Half took no longer.
    pub p50: Duration,
    /// 95 % took no longer.
    pub p95: Duration,
    /// 99 % took no longer.
    pub p99: Duration,
}

/// One server, as the balancer sees it.
#[derive(Debug, Clone)]
pub struct ServerFigures {
    /// Its id.
    pub name: String,
    /// Where it is.
    pub address: String,
    /// False while the demo holds it stopped.
    pub running: bool,
    /// What the balancer takes it for.
    pub state: State,
    /// Why.
    pub reason: String,
    /// Requests that it answered, of any client.
    pub requests: u64,
    /// Of all requests, from 0 to 1.
    pub share: f64,
    /// Of the requests of the last [`SHARE_SECONDS`], from 0 to 1.
    pub share_now: f64,
    /// Requests that it is working on.
    pub in_flight: u32,
    /// From a request's first byte to its answer's last.
    pub latency: Latency,
}

/// Something that happened to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Since the traffic began.
    pub at: Duration,
    /// The server.
    pub server: String,
    /// What.
    pub what: String,
}

/// Remembers what figures of one moment cannot tell: rates, shares and changes.
#[derive(Debug)]
pub struct Observer {
    began: Instant,
    url: String,
    admin: Option<String>,
    states: Vec<State>,
    events: VecDeque<Event>,
    /// Requests of each server at the end of each second, and of the clients.
    seconds: VecDeque<(Vec<u64>, u64)>,
    /// Full seconds seen.
    second: u64,
}

impl Observer {
    /// An observer of these servers, all up.
    pub fn new(began: Instant, url: String, admin: Option<String>, servers: &[Server]) -> Self {
        Self {
            began,
            url,
            admin,
            states: vec![State::Up; servers.len()],
            events: VecDeque::new(),
            seconds: VecDeque::from([(vec![0; servers.len()], 0)]),
            second: 0,
        }
    }

    /// Since the traffic began.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Remembers that something happened to a server.
    pub fn note(&mut self, now: Instant, server: &str, what: String) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        let at = now.saturating_duration_since(self.began);
        self.events.push_back(Event { at, server: server.into(), what });
    }

    /// The figures now.
    pub fn observe(
        &mut self,
        now: Instant,
        left: Option<Duration>,
        balancer: &Balancer,
        servers: &[Server],
        tally: &Tally,
    ) -> Figures {
        let servers = self.servers(now, balancer, servers);
        let elapsed = now.saturating_duration_since(self.began);
        if elapsed.as_secs() > self.second {
            self.second = elapsed.as_secs();
            if self.seconds.len() > SECONDS_MAX {
                self.seconds.pop_front();
            }
            let requests = servers.iter().map(|server| server.requests).collect();
            self.seconds.push_back((requests, tally.requests));
        }
        let totals: Vec<u64> = self.seconds.iter().map(|(_, total)| *total).collect();
        Figures {
            url: self.url.clone(),
            admin: self.admin.clone(),
            elapsed,
            left,
            requests: tally.requests,
            failed: tally.failed,
            faults: tally.faults.clone(),
            latency: tally.latency(),
            rates: totals.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect(),
            servers,
            events: self.events.iter().cloned().collect(),
        }
    }

    fn servers(&mut self, now: Instant, balancer: &Balancer, servers: &[Server]) -> Vec<ServerFigures> {
        let snapshot = balancer.snapshots.load();
        let Some(pool) = snapshot.pools.first().map(|pool| pool.state()) else { return Vec::new() };
        let pool = &pool.servers;
        let summaries: BTreeMap<BackendId, Summary> =
            balancer.registry.by_backend().into_iter().map(|((_, id), summary)| (id, summary)).collect();
        let mut figures = Vec::with_capacity(servers.len());
        for (position, (server, state)) in servers.iter().zip(pool.states.iter()).enumerate() {
            let member = pool.members.server(position);
            if state.state != self.states[position] {
                let what = format!("{}: {}", state.state, state.reason);
                self.note(now, server.name(), what);
                self.states[position] = state.state;
            }
            let summary = summaries.get(&member.id);
            let latency =
                summary.map(|summary| Latency { p50: summary.p50, p95: summary.p95, p99: summary.p99 });
            figures.push(ServerFigures {
                name: server.name().into(),
                address: server.address().to_string(),
                running: server.is_running(),
                state: state.state,
                reason: state.reason.clone(),
                requests: summary.map_or(0, |summary| summary.requests),
                share: summary.map_or(0.0, |summary| summary.share),
                share_now: 0.0,
                in_flight: member.load.in_flight(),
                latency: latency.unwrap_or_default(),
            });
        }
        self.share_now(&mut figures);
        figures
    }

    /// Fills in what each server got of the last seconds' requests.
    fn share_now(&self, servers: &mut [ServerFigures]) {
        let Some((before, _)) = self.seconds.iter().rev().nth(SHARE_SECONDS).or(self.seconds.front()) else {
            return;
        };
        let recent: Vec<u64> = servers
            .iter()
            .zip(before)
            .map(|(server, before)| server.requests.saturating_sub(*before))
            .collect();
        let all: u64 = recent.iter().sum();
        for (server, recent) in servers.iter_mut().zip(recent) {
            server.share_now = if all == 0 { 0.0 } else { recent as f64 / all as f64 };
        }
    }
}
