//! What Evenkeel records: metrics that cost the request path nanoseconds, their Prometheus text, and the access log.
//!
//! The request path writes only to memory that one worker owns: each worker has its own shard of every series, and
//! a reader adds the shards up. No lock and no contended cache line lies on that path.

pub mod access;
mod backend;
mod cache;
mod certificate;
mod counter;
mod datagrams;
mod discovery;
pub mod events;
pub mod flight;
mod histogram;
mod listener;
pub mod names;
mod notes;
mod outcomes;
mod pool;
mod process;
mod registry;
mod render;
mod retries;
mod sample;
mod series;
mod stream;
mod summary;
mod traces;
mod worker;

pub use access::{
    AccessLog, CacheLog, Client, Ended, Record, RenderedOrigin, RenderedWay, StreamRecord, TraceLog, Version,
    WorkerLog,
};
pub use backend::{BackendMetrics, BackendShard, Database, Tries};
pub use cache::{
    CacheFigures, CacheSeries, CacheShard, CacheTotals, DiskFigures, Fetching, PurgeCounts, StoreFigures,
};
pub use certificate::{Certificate, StaleFiles};
pub use counter::{Counter, Gauge, SharedCounter, WorkerGauge};
pub use datagrams::{DatagramDrop, DatagramSeries, DatagramShard, DatagramTotals};
pub use discovery::DiscoveryFigures;
pub use histogram::{Histogram, HistogramSnapshot};
pub use listener::{ListenerSeries, ListenerShard};
pub use names::{
    BackendFailure, BreakerRefusal, CacheResult, ConnectionRefusal, HandshakeResult, HedgeOutcome,
    LimitOutcome, MirrorOutcome, OutlierCause, OutlierOutcome, ProbeResult, Protocol, ProxyHeaderResult,
    PurgeMode, PurgeScope, QueueRefusal, RecordDropped, ReloadResult, RequestRefusal, RetryCause,
    RetryOutcome, RevertReason, UpgradeResult,
};
pub use notes::{Check, FAILURES_MAX, FailureNote, Notes, ServerNotes};
pub use outcomes::{LimitCounts, MirrorCounts, RedisFigures, RedisLink, RedisNews};
pub use pool::PoolMetrics;
pub use registry::Registry;
pub use render::Format;
pub use retries::RetryMetrics;
pub use sample::{EndedFigures, ListenerEnded, Sample, SampleKey};
pub use series::{RequestFigures, Series, SeriesKey, SeriesShard, SeriesTotals};
pub use stream::{StreamEnded, StreamKey, StreamSeries, StreamShard, StreamTotals};
pub use summary::Summary;
pub use traces::{RequestTrace, TraceMessage, Traces, TryTrace, WorkerTraces};
pub use worker::{CompressSkipped, WorkerMetrics};
