//! Discovering servers: one task for each pool that has a `discover`, and what its reports lead to.

use std::collections::HashMap;
use std::sync::Arc;

use evenkeel_config::{Backend, Config, Discover, Resolver};
use evenkeel_core::discovery::DiscoveryState;
use evenkeel_discover::{Notice, Report, Reports, follow};
use evenkeel_observe::Registry;
use evenkeel_observe::events::{Event, EventKind, Severity};
use evenkeel_types::{Clock, PoolName};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tracing::Level;

use crate::control::Control;
use crate::probes::Probes;

/// Servers whose addresses are logged of one answer.
const SHOWN_MAX: usize = 20;

/// Reports that wait for the control thread.
const REPORTS_MAX: usize = 64;

/// The tasks that ask for servers, one for each pool that discovers some.
pub struct Discoveries {
    running: HashMap<PoolName, Running>,
    settings: watch::Sender<Resolver>,
    reports: Reports,
    clock: Clock,
}

/// A task and what it asks. Ends when it is dropped.
struct Running {
    source: Discover,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Discoveries {
    /// None yet, and where the reports of those to come arrive.
    pub fn new(config: &Config, clock: Clock) -> (Self, mpsc::Receiver<Report>) {
        let (reports, receiver) = mpsc::channel(REPORTS_MAX);
        let (settings, _) = watch::channel(config.resolver.clone());
        (Self { running: HashMap::new(), settings, reports, clock }, receiver)
    }

    /// Has one task for each pool of `config` that discovers servers. One that asks the same as before goes on.
    pub fn plan(&mut self, config: &Config) {
        self.settings.send_if_modified(|settings| {
            let is_other = *settings != config.resolver;
            settings.clone_from(&config.resolver);
            is_other
        });
        let mut before = std::mem::take(&mut self.running);
        for pool in &config.pools {
            let Some(source) = &pool.discover else { continue };
            let same = before.remove(&pool.name).filter(|running| running.source == *source);
            let running = same.unwrap_or_else(|| {
                let (settings, reports) = (self.settings.subscribe(), self.reports.clone());
                let asking = follow(pool.name.clone(), source.clone(), settings, reports, self.clock);
                Running { source: source.clone(), task: tokio::task::spawn_local(asking).abort_handle() }
            });
            self.running.insert(pool.name.clone(), running);
        }
    }
}

impl Control {
    /// Takes in what asking for a pool's servers came to. A report on what is no longer asked is dropped.
    pub fn discovered(&mut self, report: Report, probes: &mut Probes) {
        let Report { pool, source, asked, next, succeeded, error, servers, outcome } = report;
        if self.servers.pool(&pool).is_none_or(|config| config.discover.as_ref() != Some(&source)) {
            return;
        }
        for notice in &outcome.notices {
            announce(&self.registry, &pool, &source, notice, servers.len());
        }
        let error = error.map(|text| text.lines().next().unwrap_or_default().to_owned());
        if outcome.is_asked {
            log_answer(&pool, &source, error.as_deref(), &servers);
        }
        let (is_success, known) = (error.is_none(), servers.len());
        let found = outcome.has_changed.then(|| servers.to_vec());
        let state = DiscoveryState { source: source.clone(), asked, next, succeeded, error, servers };
        self.servers.discoveries.set(&pool, state);
        if let Some(found) = found {
            self.servers.discovered(&pool, &source, found, self.shared.clock.now());
            probes.plan(&self.servers, self.servers.pool(&pool));
        }
        if is_success {
            self.servers.forget_pending(&pool);
        }
        // Afterwards: what the figures count can then be seen.
        if outcome.is_asked {
            self.registry.discovery(&pool).asked(is_success, known);
        }
    }

    /// Forgets what was known of pools that no longer discover servers.
    pub fn forget_discoveries(&self) {
        let config = Arc::clone(self.servers.config());
        let discovers = |pool: &PoolName| {
            config.pools.iter().any(|config| config.name == *pool && config.discover.is_some())
        };
        self.servers.discoveries.retain(discovers);
        self.registry.retain_discoveries(discovers);
    }
}

/// Logs what asking for the servers of a pool has come to.
fn log_answer(pool: &PoolName, source: &Discover, error: Option<&str>, servers: &[Backend]) {
    // The addresses are not put together for nothing.
    if !tracing::enabled!(Level::DEBUG) {
        return;
    }
    let shown = servers.iter().take(SHOWN_MAX).map(|server| server.address.to_string());
    let (known, addresses) = (servers.len(), shown.collect::<Vec<_>>().join(" "));
    match error {
        None => tracing::debug!(%pool, servers = known, addresses, "discovery by {source} has an answer"),
        Some(error) => {
            tracing::debug!(%pool, servers = known, addresses, error, "discovery by {source} has no good answer");
        }
    }
}

/// Logs and records what has changed about asking for the servers of a pool.
fn announce(registry: &Registry, pool: &PoolName, source: &Discover, notice: &Notice, known: usize) {
    let (severity, what) = match notice {
        Notice::Fails(error) if known == 0 => {
            tracing::warn!(%pool, "discovery by {source} has found no servers yet: {error}");
            (Severity::Critical, format!("discovery by {source} has found no servers yet: {error}"))
        }
        Notice::Fails(error) => {
            tracing::warn!(%pool, servers = known, "discovery by {source} fails, what was found before stays: {error}");
            (Severity::Warning, format!("discovery by {source} fails, its {known} servers stay: {error}"))
        }
        Notice::Recovered(failures) => {
            tracing::info!(%pool, servers = known, failures, "discovery by {source} works again");
            (Severity::Info, format!("discovery by {source} works again after {failures} failures"))
        }
        Notice::TooMany(others) => {
            tracing::warn!(%pool, servers = known, others, "discovery by {source} has found more servers than a pool may have");
            let what = format!("discovery by {source} has found {others} servers more than a pool may have");
            (Severity::Warning, what)
        }
    };
    registry.events.record(Event::new(EventKind::Discovery, severity, what).pool(pool));
}
