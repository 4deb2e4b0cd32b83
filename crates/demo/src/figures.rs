//! What the demo knows at one moment ([`Figures`]), and how it is gathered from the parts that run ([`Observer`]).

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use evenkeel_core::health::State;
use evenkeel_observe::{StreamTotals, Summary};
use evenkeel_types::BackendId;

use super::balancer::Balancer;
use super::kind::Kind;
use super::servers::Server;
use super::traffic::{Fault, Tally};

/// Seconds of which the figures are kept, for the curve.
const SECONDS_MAX: usize = 300;
/// Events that are kept, the newest.
const EVENTS_MAX: usize = 200;
/// Shares are of this many last seconds, so that a stopped server is seen to lose its part.
pub const SHARE_SECONDS: usize = 5;

/// All that the screen and the summary show.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// What is balanced.
    pub kind: Kind,
    /// What to try: a command that reaches the balancer.
    pub command: String,
    /// The base URL of the admin API, without a slash at its end.
    pub admin: Option<String>,
    /// Since the traffic began.
    pub elapsed: Duration,
    /// Until the demo ends by itself.
    pub left: Option<Duration>,
    /// Requests or messages of the demo's clients.
    pub exchanges: u64,
    /// Those of them that got no complete answer, which is a 200 over HTTP.
    pub failed: u64,
    /// The same, by cause.
    pub faults: BTreeMap<Fault, u64>,
    /// TCP connections that broke under the clients, as with their server.
    pub reconnects: u64,
    /// What the clients waited.
    pub latency: Latency,
    /// Requests or messages in each full second, the newest last.
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
    /// Requests that it answered, or connections that it got, of any client.
    pub taken: u64,
    /// Of all its pool's [`Work::amount`], from 0 to 1.
    pub share: f64,
    /// The same of the last [`SHARE_SECONDS`], from 0 to 1.
    pub share_now: f64,
    /// Requests that it is working on, or connections that it has.
    pub in_flight: u32,
    /// What it has done.
    pub work: Work,
}

/// What the balancer measures of a server's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Requests, and what they took from the first byte to the answer's last.
    Requests(u64, Latency),
    /// Bytes of connections, to the server and from it.
    Bytes { received: u64, sent: u64 },
}

impl Work {
    /// How much it is, in requests or in bytes.
    pub fn amount(self) -> u64 {
        match self {
            Self::Requests(requests, _) => requests,
            Self::Bytes { received, sent } => received + sent,
        }
    }
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
    kind: Kind,
    command: String,
    admin: Option<String>,
    states: Vec<State>,
    events: VecDeque<Event>,
    /// The work of each server at the end of each second, and of the clients.
    seconds: VecDeque<(Vec<u64>, u64)>,
    /// Full seconds seen.
    second: u64,
}

impl Observer {
    /// An observer of these servers, all up. The traffic begins now; `command` is one that reaches the balancer.
    pub fn new(kind: Kind, command: String, admin: Option<String>, servers: &[Server]) -> Self {
        Self {
            began: Instant::now(),
            kind,
            command,
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
            let work = servers.iter().map(|server| server.work.amount()).collect();
            self.seconds.push_back((work, tally.exchanges));
        }
        let totals: Vec<u64> = self.seconds.iter().map(|(_, total)| *total).collect();
        Figures {
            kind: self.kind,
            command: self.command.clone(),
            admin: self.admin.clone(),
            elapsed,
            left,
            exchanges: tally.exchanges,
            failed: tally.failed,
            faults: tally.faults.clone(),
            reconnects: tally.reconnects,
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
        let counts = Counts::read(self.kind, balancer);
        let mut figures = Vec::with_capacity(servers.len());
        for (position, (server, state)) in servers.iter().zip(pool.states.iter()).enumerate() {
            let member = pool.members.server(position);
            if state.state != self.states[position] {
                let what = format!("{}: {}", state.state, state.reason);
                self.note(now, server.name(), what);
                self.states[position] = state.state;
            }
            let (taken, work) = counts.of(&member.id);
            figures.push(ServerFigures {
                name: server.name().into(),
                address: server.address().to_string(),
                running: server.is_running(),
                state: state.state,
                reason: state.reason.clone(),
                taken,
                share: 0.0,
                share_now: 0.0,
                in_flight: member.load.in_flight(),
                work,
            });
        }
        let all: u64 = figures.iter().map(|server| server.work.amount()).sum();
        for server in &mut figures {
            server.share = part(server.work.amount(), all);
        }
        self.share_now(&mut figures);
        figures
    }

    /// Fills in what each server did of the last seconds' work.
    fn share_now(&self, servers: &mut [ServerFigures]) {
        let Some((before, _)) = self.seconds.iter().rev().nth(SHARE_SECONDS).or(self.seconds.front()) else {
            return;
        };
        let recent: Vec<u64> = servers
            .iter()
            .zip(before)
            .map(|(server, before)| server.work.amount().saturating_sub(*before))
            .collect();
        let all: u64 = recent.iter().sum();
        for (server, recent) in servers.iter_mut().zip(recent) {
            server.share_now = part(recent, all);
        }
    }
}

/// From 0 to 1; 0 when there is nothing.
fn part(of: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { of as f64 / all as f64 }
}

/// What the balancer has counted of each server.
enum Counts {
    Http(BTreeMap<BackendId, Summary>),
    Tcp(BTreeMap<BackendId, StreamTotals>),
}

impl Counts {
    fn read(kind: Kind, balancer: &Balancer) -> Self {
        let registry = &balancer.registry;
        match kind {
            Kind::Http => Self::Http(
                registry.by_backend().into_iter().map(|((_, id), summary)| (id, summary)).collect(),
            ),
            Kind::Tcp => {
                let streams = registry.streams();
                let reached =
                    streams.iter().filter_map(|(key, series)| Some((key.backend.clone()?, series.totals())));
                Self::Tcp(reached.collect())
            }
        }
    }

    /// Requests answered or connections got, and the work.
    fn of(&self, id: &BackendId) -> (u64, Work) {
        match self {
            Self::Http(summaries) => {
                let Some(it) = summaries.get(id) else { return (0, Work::Requests(0, Latency::default())) };
                let latency = Latency { p50: it.p50, p95: it.p95, p99: it.p99 };
                (it.requests, Work::Requests(it.requests, latency))
            }
            Self::Tcp(totals) => {
                let Some(it) = totals.get(id) else { return (0, Work::Bytes { received: 0, sent: 0 }) };
                let connections = it.ended.iter().sum::<u64>() + u64::try_from(it.open).unwrap_or(0);
                (connections, Work::Bytes { received: it.received, sent: it.sent })
            }
        }
    }
}
