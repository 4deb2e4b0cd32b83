//! The scenarios of the table: what goes wrong, and what the configuration does about it.

use std::time::Duration;

use anyhow::ensure;
use evenkeel_types::Time;

use super::chance::Service;
use super::outcome::Outcome;
use super::pool::{self, Backend};
use super::server::Fault;
use super::world::Setup;

mod protection;

pub use protection::SITUATIONS;

/// The algorithms, as the configuration calls them.
pub const ALGORITHMS: [&str; 8] = [
    "round-robin",
    "least-connections",
    "least-response-time",
    "power-of-two",
    "random",
    "ip-hash",
    "consistent-hash",
    "maglev",
];

/// A situation.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// What happens, in a sentence or two.
    pub about: &'static str,
    /// More keys of the pool, and of the route.
    keys: &'static str,
    route: &'static str,
    servers: usize,
    service: Service,
    /// Of what the servers could do, what is asked of them.
    load: f64,
    hot: f64,
    /// What happens: from this part of the whole time on, to these servers.
    faults: &'static [(f64, std::ops::Range<usize>, Fault)],
}

const CHECKS: &str = "health = { kind = \"tcp\", interval = \"1s\", timeout = \"500ms\", fall = 2 }";

/// All of them, in the order of the page.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "Like servers, like requests",
        about: "Twenty servers, at 60 % of what they can do.",
        keys: "",
        route: "",
        servers: 20,
        service: Service::Even,
        load: 0.6,
        hot: 0.0,
        faults: &[],
    },
    Scenario {
        name: "Requests that differ much",
        about: "One request in twenty takes twenty times as long as the others. The servers are at 60 %.",
        keys: "",
        route: "",
        servers: 20,
        service: Service::HeavyTail,
        load: 0.6,
        hot: 0.0,
        faults: &[],
    },
    Scenario {
        name: "Old and new servers",
        about: "Ten of the twenty servers take twice as long, and all have the same weight. They are at 60 % of what \
                they can do together.",
        keys: "",
        route: "",
        servers: 20,
        service: Service::Even,
        load: 0.45,
        hot: 0.0,
        faults: &[(0.0, 0..10, Fault::Slow(2.0))],
    },
    Scenario {
        name: "One client sends a fifth of all requests",
        about: "Twenty servers at 60 %. The algorithms that go by a key go by the client's address.",
        keys: "",
        route: "",
        servers: 20,
        service: Service::Even,
        load: 0.6,
        hot: 0.2,
        faults: &[],
    },
    Scenario {
        name: "One server is ten times slower",
        about: "For half of the time, without health checks.",
        keys: "",
        route: "",
        servers: 20,
        service: Service::Even,
        load: 0.6,
        hot: 0.0,
        faults: &[(0.25, 3..4, Fault::Slow(10.0)), (0.75, 3..4, Fault::Well)],
    },
    Scenario {
        name: "One server is ten times slower, and is ejected for it",
        about: "The same with `outlier = { latency = 3.0 }`.",
        keys: "outlier = { failures = 1000, window = \"5s\", eject = \"5s\", latency = 3.0 }\nslow_start = \"5s\"",
        route: "",
        servers: 20,
        service: Service::Even,
        load: 0.6,
        hot: 0.0,
        faults: &[(0.25, 3..4, Fault::Slow(10.0)), (0.75, 3..4, Fault::Well)],
    },
    Scenario {
        name: "One server fails a third of its requests, at once",
        about: "For half of the time: 503 within a millisecond. Who fails fast has little in flight, and looks idle.",
        keys: "",
        route: "",
        servers: 20,
        service: Service::Even,
        load: 0.6,
        hot: 0.0,
        faults: &[(0.25, 3..4, Fault::Failing(0.33)), (0.75, 3..4, Fault::Well)],
    },
    Scenario {
        name: "One server fails a third of its requests, and is ejected for it",
        about: "The same with `outlier = { success_rate = 1.9 }`, and failures not counted beside it.",
        keys: "outlier = { failures = 1000, window = \"5s\", eject = \"5s\", success_rate = 1.9 }\nslow_start = \"5s\"",
        route: "",
        servers: 20,
        service: Service::Even,
        load: 0.6,
        hot: 0.0,
        faults: &[(0.25, 3..4, Fault::Failing(0.33)), (0.75, 3..4, Fault::Well)],
    },
    Scenario {
        name: "A rack loses its power",
        about: "Five of twenty servers at 60 % die together and come back for the last quarter. Checks by TCP once a \
                second.",
        keys: CHECKS,
        route: "",
        servers: 20,
        service: Service::Even,
        load: 0.6,
        hot: 0.0,
        faults: &[(0.25, 5..10, Fault::Dead), (0.75, 5..10, Fault::Well)],
    },
    Scenario {
        name: "A rack loses its power, and live traffic tells",
        about: "The same with `outlier = { failures = 3 }`.",
        keys: "health = { kind = \"tcp\", interval = \"1s\", timeout = \"500ms\", fall = 2 }\noutlier = { failures = 3, window = \"5s\", eject = \"5s\" }",
        route: "",
        servers: 20,
        service: Service::Even,
        load: 0.6,
        hot: 0.0,
        faults: &[(0.25, 5..10, Fault::Dead), (0.75, 5..10, Fault::Well)],
    },
    Scenario {
        name: "Three servers flap",
        about: "Dead for a tenth of the time, well for the next, and so on. Checks by TCP once a second.",
        keys: CHECKS,
        route: "",
        servers: 20,
        service: Service::Even,
        load: 0.6,
        hot: 0.0,
        faults: &[
            (0.2, 0..3, Fault::Dead),
            (0.3, 0..3, Fault::Well),
            (0.4, 0..3, Fault::Dead),
            (0.5, 0..3, Fault::Well),
            (0.6, 0..3, Fault::Dead),
            (0.7, 0..3, Fault::Well),
            (0.8, 0..3, Fault::Dead),
            (0.9, 0..3, Fault::Well),
        ],
    },
    Scenario {
        name: "A thousand servers",
        about: "At 70 %, and nothing goes wrong.",
        keys: "",
        route: "",
        servers: 1_000,
        service: Service::Even,
        load: 0.7,
        hot: 0.0,
        faults: &[],
    },
];

/// How many requests a server works on at a time.
const SLOTS: usize = 4;

/// How long a request takes on average.
const MEAN: Duration = Duration::from_millis(50);

impl Scenario {
    /// The scenario under an algorithm.
    pub fn setup(&self, algorithm: &str) -> Setup {
        let requests = if self.servers > 100 { 60_000 } else { 30_000 };
        let rate = self.load * (self.servers * SLOTS) as f64 / MEAN.as_secs_f64();
        let servers = vec![Backend::PLAIN; self.servers];
        let config = pool::read(algorithm, &servers, (self.keys, self.route), Duration::from_secs(2));
        let mut setup = Setup {
            config,
            slots: SLOTS,
            service: self.service,
            mean: MEAN,
            requests,
            gap: Duration::from_secs_f64(1.0 / rate),
            hot: self.hot,
            writes: 0.0,
            patience: None,
            lag: Duration::ZERO,
            faults: Vec::new(),
        };
        let end = setup.end() - Time::ZERO;
        for (part, servers, fault) in self.faults {
            let at = Time::ZERO + end.mul_f64(*part);
            setup.faults.extend(servers.clone().map(|server| (at, server, *fault)));
        }
        setup
    }
}

impl Scenario {
    /// Where nothing happens, like servers have like shares, as near as the algorithm promises.
    ///
    /// # Errors
    /// One got too much.
    pub fn check_shares(&self, algorithm: &str, outcome: &Outcome) -> anyhow::Result<()> {
        if !self.faults.is_empty() || self.hot > 0.0 || self.servers > 100 {
            return Ok(());
        }
        let allowed = match algorithm {
            // Each of four workers begins its round somewhere else.
            "round-robin" => 0.01,
            // It keeps away from servers that were slow of late.
            "least-response-time" => 0.25,
            // 256 points a server.
            "consistent-hash" => 0.35,
            // Five standard deviations of what chance makes of 1,500 requests each.
            _ => 0.13,
        };
        let found = outcome.unevenness();
        let name = self.name;
        ensure!(
            found <= allowed,
            "{algorithm}, {name}: the busiest server got {found:.2} more than the mean"
        );
        Ok(())
    }
}
