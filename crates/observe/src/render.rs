//! Figures as Prometheus reads them.

mod cache;
mod discovery;
mod limits;
mod page;
mod recorder;
mod retries;
mod streams;

use std::sync::Arc;

use evenkeel_config::Encoding;

pub use self::page::Format;
use self::page::Page;
use crate::backend::{BackendMetrics, BackendShard};
use crate::counter::Gauge;
use crate::histogram::HistogramSnapshot;
use crate::names::{
    self, BackendFailure, CLASSES, ConnectionRefusal, HandshakeResult, LimitOutcome, Metric, MirrorOutcome,
    OutlierCause, OutlierOutcome, ProbeResult, Protocol, ProxyHeaderResult, ReloadResult, RequestRefusal,
    RevertReason, UpgradeResult,
};
use crate::pool::PoolMetrics;
use crate::process::Process;
use crate::registry::{BackendKey, Registry};
use crate::series::SeriesTotals;
use crate::worker::{CompressSkipped, WorkerMetrics};

impl Registry {
    /// Everything in the Prometheus text format 0.0.4, with the figures of the process itself and its version.
    pub fn render(&self) -> String {
        self.render_as(Format::Prometheus)
    }

    /// The same in the format of one's choice.
    pub fn render_as(&self, format: Format) -> String {
        let mut page = Page::new(format);
        requests(&mut page, self);
        workers(&mut page, self);
        streams::render(&mut page, self);
        backends(&mut page, self);
        discovery::render(&mut page, self);
        retries::render(&mut page, self);
        outcomes(&mut page, self);
        limits::render(&mut page, self);
        cache::render(&mut page, self);
        recorder::render(&mut page, self);
        certificates(&mut page, self);
        control(&mut page, self);
        process(&mut page, &Process::read());
        page.finish()
    }
}

fn requests(page: &mut Page, registry: &Registry) {
    let all: Vec<_> = registry.all_series().into_iter().map(|(key, series)| (key, series.totals())).collect();
    let labelled = || {
        all.iter().map(|(key, totals)| {
            let pool = key.pool.as_ref().map_or("", |pool| pool.as_str());
            let backend = key.backend.as_ref().map_or("", |id| id.as_str());
            ([key.route.as_str(), pool, backend], totals)
        })
    };
    page.family(&names::REQUESTS);
    for ([route, pool, backend], totals) in labelled() {
        for (class, requests) in CLASSES.iter().zip(totals.classes) {
            page.sample(&names::REQUESTS, &[route, pool, backend, class], requests);
        }
    }
    page.family(&names::REQUEST_DURATION);
    for (labels, totals) in labelled() {
        page.histogram(&names::REQUEST_DURATION, &labels, &totals.duration);
    }
    let mut counter = |metric: &Metric, figure: fn(&SeriesTotals) -> u64| {
        page.family(metric);
        labelled().for_each(|(labels, totals)| page.sample(metric, &labels, figure(totals)));
    };
    counter(&names::REQUEST_BYTES, |totals| totals.bytes_in);
    counter(&names::RESPONSE_BYTES, |totals| totals.bytes_out);
    counter(&names::EXTRA_TRIES, |totals| totals.retries);
}

fn workers(page: &mut Page, registry: &Registry) {
    let workers = registry.workers();
    let counted =
        |figure: fn(&WorkerMetrics) -> u64| workers.iter().map(|worker| figure(worker)).sum::<u64>();
    let gauged = |figure: fn(&WorkerMetrics) -> i64| workers.iter().map(|worker| figure(worker)).sum::<i64>();
    let mut overhead = HistogramSnapshot::default();
    workers.iter().for_each(|worker| overhead.merge(&worker.overhead.snapshot()));
    page.family(&names::OVERHEAD);
    page.histogram(&names::OVERHEAD, &[], &overhead);

    page.single(&names::CONNECTIONS_ACCEPTED, counted(|worker| worker.connections_accepted.value()));
    page.single(&names::CONNECTIONS, gauged(|worker| worker.connections.value()));
    page.single(&names::CONNECTIONS_LIMIT, registry.connections_limit.value());
    page.family(&names::CONNECTIONS_REFUSED);
    for &reason in ConnectionRefusal::ALL {
        let refused: u64 = workers.iter().map(|worker| worker.connections_refused(reason)).sum();
        page.sample(&names::CONNECTIONS_REFUSED, &[reason.as_str()], refused);
    }
    page.family(&names::CONNECTIONS_BY_PROTOCOL);
    for &protocol in Protocol::ALL {
        let speaking: u64 = workers.iter().map(|worker| worker.connections_by_protocol(protocol)).sum();
        page.sample(&names::CONNECTIONS_BY_PROTOCOL, &[protocol.as_str()], speaking);
    }
    page.family(&names::TLS_HANDSHAKES);
    for &result in HandshakeResult::ALL {
        let ended: u64 = workers.iter().map(|worker| worker.handshakes(result)).sum();
        page.sample(&names::TLS_HANDSHAKES, &[result.as_str()], ended);
    }
    page.family(&names::PROXY_HEADERS);
    for &result in ProxyHeaderResult::ALL {
        let came: u64 = workers.iter().map(|worker| worker.proxy_headers(result)).sum();
        page.sample(&names::PROXY_HEADERS, &[result.as_str()], came);
    }
    page.single(&names::REQUESTS_IN_FLIGHT, gauged(|worker| worker.requests_in_flight.value()));
    page.family(&names::REQUESTS_REFUSED);
    for &reason in RequestRefusal::ALL {
        let refused: u64 = workers.iter().map(|worker| worker.requests_refused(reason)).sum();
        page.sample(&names::REQUESTS_REFUSED, &[reason.as_str()], refused);
    }
    page.single(&names::CLIENT_ABORTS, counted(|worker| worker.client_aborts.value()));
    compression(page, registry);
    page.single(&names::TUNNELS, gauged(|worker| worker.tunnels.value()));
    page.single(&names::UNSENT, gauged(|worker| worker.unsent.value()));
    page.single(&names::FILES_CACHED, gauged(|worker| worker.files_cached.value()));
    page.single(&names::FILES_OPEN, gauged(|worker| worker.files_open.value()));
}

fn compression(page: &mut Page, registry: &Registry) {
    let workers = registry.workers();
    let mut counter = |metric: &Metric, figure: fn(&WorkerMetrics, Encoding) -> u64| {
        page.family(metric);
        for encoding in Encoding::ALL {
            let sum: u64 = workers.iter().map(|worker| figure(worker, encoding)).sum();
            page.sample(metric, &[encoding.word()], sum);
        }
    };
    counter(&names::COMPRESSED, |worker, encoding| worker.compressed_in(encoding).0);
    counter(&names::COMPRESS_IN, |worker, encoding| worker.compressed_in(encoding).1);
    counter(&names::COMPRESS_OUT, |worker, encoding| worker.compressed_in(encoding).2);
    counter(&names::COMPRESS_REUSED, |worker, encoding| worker.compressions_reused(encoding).0);
    counter(&names::COMPRESS_REUSED_SAVED, |worker, encoding| worker.compressions_reused(encoding).1);
    page.family(&names::COMPRESS_SKIPPED);
    for &reason in CompressSkipped::ALL {
        let skipped: u64 = workers.iter().map(|worker| worker.compressions_skipped(reason)).sum();
        page.sample(&names::COMPRESS_SKIPPED, &[reason.as_str()], skipped);
    }
}

fn backends(page: &mut Page, registry: &Registry) {
    let all = registry.all_backends();
    let labelled = || all.iter().map(|((pool, id), backend)| ([pool.as_str(), id.as_str()], &**backend));
    page.family(&names::UPSTREAM_DURATION);
    let others = registry.all_other_backends();
    let other = others.iter().map(|((pool, id), backend)| ([pool.as_str(), id.as_str()], &**backend));
    for (labels, backend) in labelled().chain(other) {
        let upstream = backend.upstream();
        if upstream.count() > 0 {
            page.histogram(&names::UPSTREAM_DURATION, &labels, &upstream);
        }
    }
    let mut counter = |metric: &Metric, figure: fn(&BackendShard) -> u64| {
        page.family(metric);
        labelled().for_each(|(labels, backend)| page.begun(metric, &labels, backend.total(figure)));
    };
    counter(&names::BACKEND_CONNECTIONS_OPENED, |shard| shard.connections_opened.value());
    counter(&names::BACKEND_CONNECTIONS_REUSED, |shard| shard.connections_reused.value());
    counter(&names::BACKEND_CONNECT_FAILURES, |shard| shard.connect_failures.value());
    page.family(&names::BACKEND_UP);
    labelled().for_each(|(labels, backend)| page.sample(&names::BACKEND_UP, &labels, backend.up.value()));
    page.family(&names::BACKEND_STATE);
    for ([pool, id], backend) in labelled() {
        if let Some(state) = backend.state() {
            page.sample(&names::BACKEND_STATE, &[pool, id, state], 1);
        }
    }
    page.family(&names::BACKEND_IN_FLIGHT);
    for (labels, backend) in labelled().filter(|(_, backend)| backend.was_used()) {
        page.sample(&names::BACKEND_IN_FLIGHT, &labels, backend.in_flight.value());
    }
    page.family(&names::BACKEND_CONNECTIONS_IDLE);
    for (labels, backend) in labelled().filter(|(_, backend)| backend.was_used()) {
        page.sample(&names::BACKEND_CONNECTIONS_IDLE, &labels, backend.connections_idle());
    }
    page.family(&names::BACKEND_FAILURES);
    for ([pool, id], backend) in labelled() {
        for &kind in BackendFailure::ALL {
            let failures = backend.total(|shard| shard.failures(kind));
            page.begun(&names::BACKEND_FAILURES, &[pool, id, kind.as_str()], failures);
        }
    }
    page.family(&names::BACKEND_TRANSITIONS);
    for ([pool, id], backend) in labelled() {
        for (from, to, count) in backend.transitions() {
            page.sample(&names::BACKEND_TRANSITIONS, &[pool, id, from, to], count);
        }
    }
    outliers(page, &all);
    pools(page, registry);
    page.family(&names::PROBES);
    for ([pool, id], backend) in labelled() {
        for &result in ProbeResult::ALL {
            page.begun(&names::PROBES, &[pool, id, result.as_str()], backend.probes(result));
        }
    }
}

fn pools(page: &mut Page, registry: &Registry) {
    let all = registry.all_pools();
    let mut gauge = |metric: &Metric, figure: fn(&PoolMetrics) -> &Gauge| {
        page.family(metric);
        all.iter().for_each(|(pool, of)| page.sample(metric, &[pool.as_str()], figure(of).value()));
    };
    gauge(&names::POOL_BACKENDS, |pool| &pool.backends);
    gauge(&names::POOL_BACKENDS_UP, |pool| &pool.backends_up);
    gauge(&names::POOL_PANIC, |pool| &pool.panic);
    gauge(&names::POOL_WAITING, |pool| &pool.waiting_for_server);
}

fn outliers(page: &mut Page, all: &[(BackendKey, Arc<BackendMetrics>)]) {
    page.family(&names::BACKEND_OUTLIERS);
    for ((pool, id), backend) in all {
        let kinds = OutlierCause::ALL
            .iter()
            .flat_map(|&cause| OutlierOutcome::ALL.iter().map(move |&it| (cause, it)));
        for (cause, outcome) in kinds {
            let labels = [pool.as_str(), id.as_str(), cause.as_str(), outcome.as_str()];
            page.begun(&names::BACKEND_OUTLIERS, &labels, backend.outliers(cause, outcome));
        }
    }
    page.family(&names::BACKEND_WEIGHT);
    for ((pool, id), backend) in all {
        let weight = backend.weight_milli.value() as f64 / 1e3;
        page.sample(&names::BACKEND_WEIGHT, &[pool.as_str(), id.as_str()], weight);
    }
    databases(page, all);
}

fn databases(page: &mut Page, all: &[(BackendKey, Arc<BackendMetrics>)]) {
    let found = || all.iter().filter_map(|((pool, id), backend)| Some((pool, id, backend.database()?)));
    page.family(&names::BACKEND_ROLE);
    for (pool, id, database) in found() {
        page.sample(&names::BACKEND_ROLE, &[pool.as_str(), id.as_str(), database.role], 1);
    }
    page.family(&names::BACKEND_LAG);
    for (pool, id, lag) in found().filter_map(|(pool, id, database)| Some((pool, id, database.lag?))) {
        page.sample(&names::BACKEND_LAG, &[pool.as_str(), id.as_str()], lag);
    }
}

fn outcomes(page: &mut Page, registry: &Registry) {
    page.family(&names::RATE_LIMITED);
    for ((route, limit), counts) in registry.all_limits() {
        for &outcome in LimitOutcome::ALL {
            let labels = [route.as_str(), &limit, outcome.as_str()];
            page.sample(&names::RATE_LIMITED, &labels, counts.total(outcome));
        }
    }
    page.family(&names::MIRRORED);
    for (route, counts) in registry.all_mirrors() {
        for &outcome in MirrorOutcome::ALL {
            page.sample(&names::MIRRORED, &[route.as_str(), outcome.as_str()], counts.total(outcome));
        }
    }
    page.family(&names::REDIS_UP);
    if let Some(is_up) = registry.redis.is_up() {
        page.sample(&names::REDIS_UP, &[], u8::from(is_up));
    }
    page.single(&names::REDIS_ERRORS, registry.redis.errors.value());
}

fn certificates(page: &mut Page, registry: &Registry) {
    let all = registry.certificates();
    page.family(&names::CERTIFICATE_EXPIRY);
    for of in &*all {
        page.sample(&names::CERTIFICATE_EXPIRY, &[of.listener.as_str(), &of.cert], of.not_after_s);
    }
}

fn control(page: &mut Page, registry: &Registry) {
    page.single(&names::ACCESS_LOG_LINES, registry.access_log_lines.value());
    page.single(&names::ACCESS_LOG_DROPPED, registry.access_log_dropped.value());
    page.single(&names::SPANS_EXPORTED, registry.spans_exported.value());
    page.single(&names::SPANS_DROPPED, registry.spans_dropped.value());
    page.family(&names::CONFIG_RELOADS);
    for &result in ReloadResult::ALL {
        page.sample(&names::CONFIG_RELOADS, &[result.as_str()], registry.reloads(result));
    }
    page.family(&names::CONFIG_REVERTS);
    for &reason in RevertReason::ALL {
        page.sample(&names::CONFIG_REVERTS, &[reason.as_str()], registry.reverts(reason));
    }
    page.single(&names::CONFIG_AWAITING, registry.config_awaiting.value());
    page.single(&names::CONFIG_RELOADED, 1 - registry.reload_failed.value());
    page.single(&names::CONFIG_GENERATION, registry.config_generation.value());
    page.family(&names::METRICS_FOLDED);
    for (kind, folded) in registry.folded() {
        page.sample(&names::METRICS_FOLDED, &[kind], folded);
    }
    page.single(&names::WORKERS, registry.workers().len());
    page.family(&names::UPGRADES);
    for &result in UpgradeResult::ALL {
        page.sample(&names::UPGRADES, &[result.as_str()], registry.upgrades(result));
    }
    page.family(&names::BUILD_INFO);
    page.sample(&names::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1);
}

fn process(page: &mut Page, process: &Process) {
    page.known(&names::PROCESS_CPU, process.cpu_seconds);
    page.known(&names::PROCESS_RESIDENT, process.resident_bytes);
    page.known(&names::PROCESS_VIRTUAL, process.virtual_bytes);
    page.known(&names::PROCESS_OPEN_FDS, process.open_fds);
    page.known(&names::PROCESS_MAX_FDS, process.max_fds);
    page.known(&names::PROCESS_START, process.start_time);
    page.known(&names::PROCESS_THREADS, process.threads);
}

#[cfg(test)]
pub(crate) mod parse;
#[cfg(test)]
mod tests;
