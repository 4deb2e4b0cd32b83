//! What a process of workers counts, for Prometheus.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::domain::jobs::{TOPICS, Worked};
use crate::ports::queue::{Depth, Fate};

/// Upper bounds of the buckets for how long a job takes.
const SECONDS: [f64; 12] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    topic: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Waiting {
    topic: &'static str,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Topic {
    topic: &'static str,
}

type Histograms = Family<Topic, Histogram, fn() -> Histogram>;

/// The metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    jobs: Family<Ended, Counter>,
    duration: Histograms,
    relayed: Counter,
    queued: Family<Waiting, Gauge>,
    oldest: Family<Topic, Gauge>,
    outbox: Gauge,
    /// Purges of the edge that were given up.
    pub purges_failed: Counter,
}

/// What became of jobs, as the label `result` says it.
const RESULTS: [&str; 4] = ["done", "failed", "dead", "late"];

impl Metrics {
    /// All counters at 0.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("minigram");
        let histogram = || Histogram::new(SECONDS);
        let new = Self {
            jobs: Family::default(),
            duration: Histograms::new_with_constructor(histogram),
            relayed: Counter::default(),
            queued: Family::default(),
            oldest: Family::default(),
            outbox: Gauge::default(),
            purges_failed: Counter::default(),
            registry: Registry::default(),
        };
        registry.register(
            "jobs",
            "Attempts at jobs: done, failed (tried again), dead (a dead letter), late (another worker has it)",
            new.jobs.clone(),
        );
        let help = "How long an attempt at a job took";
        registry.register_with_unit("job_duration", help, Unit::Seconds, new.duration.clone());
        registry.register(
            "relayed_jobs",
            "Jobs that went from the outbox into the queue",
            new.relayed.clone(),
        );
        let help =
            "Jobs in the queue: ready, delayed (wait for the next attempt), taken, dead (dead letters)";
        registry.register("queue_jobs", help, new.queued.clone());
        let help = "Age of the oldest job that is neither done nor a dead letter; 0 if there is none";
        registry.register_with_unit("queue_oldest", help, Unit::Seconds, new.oldest.clone());
        registry.register("outbox_jobs", "Jobs in the outbox", new.outbox.clone());
        let help = "Purges of the edge that failed and were given up";
        registry.register("edge_purges_failed", help, new.purges_failed.clone());
        for topic in TOPICS {
            for result in RESULTS {
                drop(new.jobs.get_or_create(&Ended { topic, result }));
            }
        }
        Self { registry, ..new }
    }

    /// An attempt at a job ended.
    pub fn job(&self, topic: &'static str, worked: Worked, took: Duration) {
        let result = match worked {
            Worked::Nothing => return,
            Worked::Done => "done",
            Worked::Late => "late",
            Worked::Failed(Fate::Again(_)) => "failed",
            Worked::Failed(Fate::Dead) => "dead",
        };
        self.jobs.get_or_create(&Ended { topic, result }).inc();
        self.duration.get_or_create(&Topic { topic }).observe(took.as_secs_f64());
    }

    /// So many jobs went into the queue.
    pub fn relayed(&self, jobs: usize) {
        self.relayed.inc_by(jobs as u64);
    }

    /// How many jobs a topic has, and how old the oldest one is.
    pub fn queue(&self, topic: &'static str, depth: Depth, oldest: Duration) {
        let states = [
            ("ready", depth.ready),
            ("delayed", depth.delayed),
            ("taken", depth.taken),
            ("dead", depth.dead),
        ];
        for (state, jobs) in states {
            self.queued.get_or_create(&Waiting { topic, state }).set(gauge(jobs));
        }
        self.oldest.get_or_create(&Topic { topic }).set(gauge(oldest.as_secs()));
    }

    /// How many jobs the outbox has.
    pub fn outbox(&self, jobs: u64) {
        self.outbox.set(gauge(jobs));
    }

    /// In the text format of OpenMetrics.
    ///
    /// # Errors
    /// Never: a string has room for all.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn gauge(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
