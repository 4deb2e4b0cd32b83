//! What is said of servers: each change of state is logged and counted once, and what they did is read for comparison.

use std::collections::HashMap;

use evenkeel_config::Backend;
use evenkeel_core::health::{EjectionCause, Event, Figures, HealthNotice, Panic, PoolHealth, State};
use evenkeel_observe::events::{self, EventKind, Severity};
use evenkeel_observe::{OutlierCause, OutlierOutcome, Registry, Tries};
use evenkeel_types::{BackendId, PoolName};

/// Servers of one answer that are logged one by one; how many more there are is one line.
const LOGGED_MAX: usize = 20;

/// Logs and counts changes of state; each comes here once.
pub fn announce(metrics: &Registry, pool: &PoolName, health: &PoolHealth, notices: &[HealthNotice]) {
    for HealthNotice { server, event } in notices {
        let figures = metrics.backend(pool, server);
        match event {
            Event::Transition(change) => {
                figures.transition(change.from.as_str(), change.to.as_str());
                // An ejection that a drain had hidden was counted when it began.
                let is_ejection = change.from == State::Up && change.to == State::Ejected;
                let cause = health.server(server).and_then(|server| server.cause()).filter(|_| is_ejection);
                if let Some(cause) = cause {
                    figures.stood_out(label(cause), OutlierOutcome::Ejected);
                }
                let (from, to, reason) = (change.from.as_str(), change.to.as_str(), &change.reason);
                tracing::info!(%pool, %server, from, to, reason, "server state changed");
                let is_of_ejection = change.from == State::Ejected || change.to == State::Ejected;
                let kind = if is_of_ejection { EventKind::Ejection } else { EventKind::Health };
                let what = format!("server {server} went from {from} to {to}: {reason}");
                let event = events::Event::new(kind, severity(change.to), what);
                metrics.events.record(event.server(pool, server));
            }
            Event::Kept { reason, cause, hold, .. } => {
                figures.stood_out(label(*cause), OutlierOutcome::Kept);
                tracing::warn!(%pool, %server, reason, "server kept although it fails: {hold}");
                let what = format!("server {server} fails and stays in use, because {hold}: {reason}");
                let event = events::Event::new(EventKind::Ejection, Severity::Warning, what);
                metrics.events.record(event.server(pool, server));
            }
        }
    }
}

/// Logs that ejected servers are used from now on, or no longer.
pub fn announce_panic(metrics: &Registry, pool: &PoolName, before: Option<Panic>, after: Option<Panic>) {
    let (severity, what) = match (before, after) {
        (None, Some(_)) => {
            tracing::warn!(%pool, "panic: too few servers are left; ejected ones are used as well");
            (Severity::Critical, "too few servers are left, so the pool uses ejected ones as well")
        }
        (Some(_), None) => {
            tracing::info!(%pool, "panic is over: enough servers are left");
            (Severity::Info, "enough servers are left, so the pool no longer uses ejected ones")
        }
        _ => return,
    };
    metrics.events.record(events::Event::new(EventKind::Ejection, severity, what).pool(pool));
}

fn severity(state: State) -> Severity {
    match state {
        State::Up => Severity::Info,
        State::Starting | State::Unfit | State::Draining | State::Disabled => Severity::Warning,
        State::Down | State::Ejected => Severity::Critical,
    }
}

/// Logs which servers a discovery has brought and which ones it no longer names.
pub fn announce_discovered(metrics: &Registry, pool: &PoolName, before: &[Backend], after: &[Backend]) {
    let by_id = |backends: &'_ [Backend]| -> HashMap<BackendId, Backend> {
        backends.iter().map(|backend| (backend.id.clone(), backend.clone())).collect()
    };
    let (old, new) = (by_id(before), by_id(after));
    let come = after.iter().filter(|backend| !old.contains_key(&backend.id));
    let gone = before.iter().filter(|backend| !new.contains_key(&backend.id));
    let changed = after.iter().filter(|it| old.get(&it.id).is_some_and(|before| before != *it));
    log_each(metrics, pool, "server discovered", come);
    log_each(metrics, pool, "server changed by discovery", changed);
    log_each(metrics, pool, "server no longer discovered; it finishes the requests that it has", gone);
}

fn log_each<'b>(metrics: &Registry, pool: &PoolName, what: &str, servers: impl Iterator<Item = &'b Backend>) {
    let event = |text: String| events::Event::new(EventKind::Discovery, Severity::Info, text);
    let mut others = 0;
    for (at, Backend { id, address, weight, backup, .. }) in servers.enumerate() {
        if at < LOGGED_MAX {
            tracing::info!(%pool, server = %id, %address, weight, backup, "{what}");
            metrics.events.record(event(format!("{what}: {id}")).server(pool, id));
        } else {
            others += 1;
        }
    }
    if others > 0 {
        tracing::info!(%pool, others, "{what}: and so many others");
        metrics.events.record(event(format!("{what}: and {others} others")).pool(pool));
    }
}

fn label(cause: EjectionCause) -> OutlierCause {
    match cause {
        EjectionCause::Failures => OutlierCause::Failures,
        EjectionCause::SuccessRate => OutlierCause::SuccessRate,
        EjectionCause::Latency => OutlierCause::Latency,
    }
}

pub fn figures(tries: Tries) -> Figures {
    Figures {
        requests: tries.ended,
        failures: tries.failed,
        timed: tries.timed,
        latency_sum: tries.latency_sum,
    }
}
