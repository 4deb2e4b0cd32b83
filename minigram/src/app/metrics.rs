//! What a server counts, for Prometheus. All names are in this file.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::problem::{Answer, Problem};
use super::server::App;
use crate::engines::Engines;
use crate::ports::cache::Kind;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the buckets for how long a request takes.
const SECONDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 10.0];

/// Which requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Request {
    pub method: &'static str,
    /// As the route has it, so that there are few.
    pub path: String,
    pub status: u16,
}

/// The counters of one server.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    seconds: Family<Request, Histogram>,
    connections: Gauge,
    pub sign_ups: Counter,
    pub photos: Counter,
    pub likes: Counter,
    pub comments: Counter,
    pub notices_lost: Counter,
    pub purges_failed: Counter,
}

impl Metrics {
    pub fn new(engines: &Engines) -> Self {
        let mut registry = Registry::default();
        let seconds = Family::new_with_constructor((|| Histogram::new(SECONDS)) as fn() -> Histogram);
        let metrics = Self {
            requests: Family::default(),
            seconds,
            connections: Gauge::default(),
            sign_ups: Counter::default(),
            photos: Counter::default(),
            likes: Counter::default(),
            comments: Counter::default(),
            notices_lost: Counter::default(),
            purges_failed: Counter::default(),
            registry: Registry::default(),
        };
        // The registry adds `_total` to counters, and the unit.
        registry.register("http_requests", "Requests that were answered", metrics.requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time from a request's head until its response's head",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        registry.register(
            "active_connections",
            "Open connections and WebSockets",
            metrics.connections.clone(),
        );
        registry.register("minigram_sign_ups", "Users who signed up", metrics.sign_ups.clone());
        registry.register("minigram_photos", "Photos that were posted", metrics.photos.clone());
        registry.register("minigram_likes", "Likes that were added", metrics.likes.clone());
        registry.register("minigram_comments", "Comments that were written", metrics.comments.clone());
        registry.register(
            "minigram_notices_lost",
            "Live messages that were not sent to the bus",
            metrics.notices_lost.clone(),
        );
        registry.register(
            "minigram_edge_purges_failed",
            "Purges of the edge that failed and were given up",
            metrics.purges_failed.clone(),
        );
        registry.register_collector(Box::new(OfEngines(engines.clone())));
        Self { registry, ..metrics }
    }

    pub fn request(&self, request: &Request, took: Duration) {
        self.requests.get_or_create(request).inc();
        self.seconds.get_or_create(request).observe(took.as_secs_f64());
    }

    /// Counts a connection until the result is dropped.
    pub fn connection(self: &Arc<Self>) -> Connection {
        self.connections.inc();
        Connection(Arc::clone(self))
    }
}

/// A connection that is counted as active.
pub(crate) struct Connection(Arc<Metrics>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}

/// All metrics as text.
pub(crate) async fn metrics(State(app): State<App>) -> Answer<Response> {
    let mut page = String::new();
    text::encode(&mut page, &app.metrics.registry).map_err(|error| Problem::internal(&error))?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], page).into_response())
}

/// What the engines count by themselves.
struct OfEngines(Engines);

impl fmt::Debug for OfEngines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfEngines").finish_non_exhaustive()
    }
}

impl Collector for OfEngines {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counts = Kind::ALL.map(|kind| ([("cache", kind.name())], self.0.cache.counts(kind)));
        let mut rates = encoder.encode_descriptor(
            "cache_hit_rate",
            "Share of cache lookups that found a value, from 0 to 1, since the start",
            None,
            MetricType::Gauge,
        )?;
        for (labels, counts) in &counts {
            if let Some(ratio) = counts.ratio() {
                rates.encode_family(labels)?.encode_gauge(&ratio)?;
            }
        }
        let mut hits = encoder.encode_descriptor(
            "minigram_cache_hits",
            "Cache lookups that found a value",
            None,
            MetricType::Counter,
        )?;
        for (labels, counts) in &counts {
            hits.encode_family(labels)?.encode_counter::<NoLabelSet, _, u64>(&counts.hits, None)?;
        }
        let mut misses = encoder.encode_descriptor(
            "minigram_cache_misses",
            "Cache lookups that found no value",
            None,
            MetricType::Counter,
        )?;
        for (labels, counts) in &counts {
            misses.encode_family(labels)?.encode_counter::<NoLabelSet, _, u64>(&counts.misses, None)?;
        }
        let reads = self.0.store.reads();
        let mut by_server = encoder.encode_descriptor(
            "db_reads",
            "Reads of the databases, by the server that answered: a replica or a primary",
            None,
            MetricType::Counter,
        )?;
        for (server, count) in [("replica", reads.replica), ("primary", reads.primary)] {
            by_server
                .encode_family(&[("server", server)])?
                .encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
        let connections = i64::try_from(self.0.store.connections_active()).unwrap_or(i64::MAX);
        encoder
            .encode_descriptor(
                "db_connections_active",
                "Connections to databases that are in use",
                None,
                MetricType::Gauge,
            )?
            .encode_gauge(&connections)
    }
}
