//! A configuration that awaits its confirmation: what the process keeps of the previous one, and when that comes back.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use evenkeel_config::Config;
use evenkeel_core::confirm::{Awaiting, Counts, GoBack, History, Trial};
use evenkeel_core::snapshot::CommandError;
use evenkeel_net::Socket;
use evenkeel_observe::RevertReason;
use evenkeel_observe::access::rfc3339;
use evenkeel_observe::events::{Event as Happened, EventKind, Severity};
use evenkeel_proxy::Credentials;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::control::{Control, listener_of, owner_of};
use crate::discovery::Discoveries;
use crate::probes::Probes;
use crate::reload::{Bound, Prepared, bind_added, bind_again, listen};
use crate::servers::{Derived, Memory};
use crate::traces::collector;

/// Between two looks at the errors of a configuration on trial.
const JUDGED_EVERY: Duration = Duration::from_millis(500);
/// Without a trial, requests are counted once in so many ticks.
const COUNTED_EVERY: u32 = 20;

/// Whether the configuration in force awaits its confirmation.
#[derive(Default)]
pub struct Confirmation {
    /// The same, for the admin API.
    pub awaiting: Arc<ArcSwapOption<Awaiting>>,
    history: History,
    ticks: u32,
    running: Option<Running>,
    /// What became of the last one, in words.
    last: Option<String>,
    reverts: u64,
}

impl Confirmation {
    /// True while a configuration is on trial.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// How often a configuration on trial has gone back.
    pub fn reverts(&self) -> u64 {
        self.reverts
    }
}

struct Running {
    trial: Trial,
    kept: Kept,
}

/// A configuration that can come back, whole.
pub struct Kept {
    derived: Derived,
    credentials: Arc<Credentials>,
    generation: u64,
    /// The requests of the minute before it was replaced.
    before: Counts,
    /// What commands and discoveries have changed.
    pub memory: Memory,
    /// Its addresses that the configuration on trial does not have. Connections to them wait in these sockets.
    sockets: Vec<(Bound, Vec<Socket>)>,
}

/// When [`Control::watch_trial`] is due.
pub fn ticks() -> Interval {
    let mut ticks = interval(JUDGED_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

impl Control {
    fn counts(&self) -> Counts {
        let (requests, errors) = self.registry.ended();
        Counts { requests, errors }
    }

    /// Why a plain reload is refused now.
    pub fn must_be_decided(&self) -> Option<String> {
        let running = self.confirmation.running.as_ref()?;
        let left = running.trial.until.since(self.now()).as_secs();
        Some(format!(
            "the configuration in force awaits its confirmation for {left} s more: `evenkeel confirm` keeps it, \
             `evenkeel confirm --go-back` takes it back, and `evenkeel reload --confirm` tries another one"
        ))
    }

    /// The configuration that comes back if the next one is tried and not confirmed.
    pub fn goes_back_to(&self) -> &Arc<Config> {
        let running = self.confirmation.running.as_ref();
        running.map_or(self.servers.config(), |running| &running.kept.derived.config)
    }

    /// The configuration in force, to keep while `new` is on trial. If one is on trial already, the configuration before that one.
    pub fn keep(&mut self, new: &Config) -> Kept {
        let mut kept = match self.confirmation.running.take() {
            Some(running) => running.kept,
            None => {
                let (now, counts) = (self.now(), self.counts());
                self.confirmation.history.note(now, counts);
                Kept {
                    derived: self.servers.derived(),
                    credentials: self.shared.credentials(),
                    generation: self.servers.generation(),
                    // A reload forgets the figures of what it removes.
                    before: self.confirmation.history.latest(),
                    memory: Memory::default(),
                    sockets: Vec::new(),
                }
            }
        };
        kept.memory = self.servers.remember(kept.memory);
        kept.sockets.retain(|(bound, _)| owner_of(new, bound).is_none());
        let old = &kept.derived.config;
        let closes = |bound: &&Bound| owner_of(new, bound).is_none() && listener_of(old, bound).is_some();
        for bound in self.bound.iter().filter(closes) {
            match bind_again(bound, old, self.workers) {
                Ok(sockets) => kept.sockets.push((bound.clone(), sockets)),
                // If the configuration comes back, the address is bound again.
                Err(error) => tracing::debug!(
                    listener = %bound.listener,
                    "the address of the previous configuration is not kept open: {error}"
                ),
            }
        }
        kept
    }

    /// Begins to judge the configuration that has just been put in force.
    pub fn begin_trial(&mut self, within: Duration, kept: Kept) {
        let (now, counts) = (self.now(), self.counts());
        let trial = Trial::new(now, within, kept.before, counts);
        self.confirmation.history = History::default();
        let awaiting = Awaiting { until: trial.until, before: kept.generation };
        self.confirmation.awaiting.store(Some(Arc::new(awaiting)));
        self.confirmation.running = Some(Running { trial, kept });
        self.registry.config_awaiting.set(1);
        tracing::info!(
            within_s = within.as_secs(),
            "configuration reloaded on trial; it goes back unless `evenkeel confirm` arrives in time"
        );
    }

    /// Judges the configuration on trial, or counts requests for the next one. It may bring the previous configuration back.
    pub fn watch_trial(&mut self, probes: &mut Probes, discoveries: &mut Discoveries) {
        self.confirmation.ticks = self.confirmation.ticks.wrapping_add(1);
        if self.confirmation.running.is_none() && self.confirmation.ticks % COUNTED_EVERY != 1 {
            return;
        }
        let (now, counts) = (self.now(), self.counts());
        match &mut self.confirmation.running {
            None => self.confirmation.history.note(now, counts),
            Some(running) => {
                if let Some(why) = running.trial.poll(now, counts) {
                    self.go_back(why, probes, discoveries);
                }
            }
        }
    }

    /// Keeps the configuration on trial, or takes it back.
    ///
    /// # Errors
    /// No configuration is on trial.
    pub fn confirm(
        &mut self,
        keep: bool,
        probes: &mut Probes,
        discoveries: &mut Discoveries,
    ) -> Result<(), CommandError> {
        if self.confirmation.running.is_none() {
            let last =
                self.confirmation.last.as_deref().unwrap_or("there was none since this process started");
            let why = format!("no configuration awaits its confirmation: {last}");
            return Err(CommandError::Refused(why));
        }
        if !keep {
            self.go_back(GoBack::Operator, probes, discoveries);
            return Ok(());
        }
        self.end_trial();
        self.confirmation.last = Some(format!("the last one was confirmed at {}", wall_clock()));
        tracing::info!("configuration confirmed");
        let what = "the configuration on trial was confirmed";
        self.registry.events.record(Happened::new(EventKind::Reload, Severity::Info, what));
        Ok(())
    }

    /// Ends the trial, and returns what was kept. Dropping that closes its sockets.
    fn end_trial(&mut self) -> Option<Kept> {
        self.registry.config_awaiting.set(0);
        self.confirmation.awaiting.store(None);
        self.confirmation.running.take().map(|running| running.kept)
    }

    /// Puts the configuration from before the trial in force again.
    fn go_back(&mut self, why: GoBack, probes: &mut Probes, discoveries: &mut Discoveries) {
        let Some(Kept { derived, credentials, memory, sockets, .. }) = self.end_trial() else { return };
        let memory = self.servers.remember(memory);
        let (mut added, mut sockets): (Vec<Bound>, Vec<Vec<Socket>>) = sockets.into_iter().unzip();
        let bound: Vec<Bound> = self.bound.iter().chain(&added).cloned().collect();
        let (more, mut failed) = bind_added(&derived.config, &bound, self.workers);
        let ((more, their_sockets), silent) = listen(more);
        failed.extend(silent);
        added.extend(more);
        sockets.extend(their_sockets);
        for error in &failed {
            tracing::error!("the configuration goes back without one of its addresses: {error}");
        }
        let credentials = Credentials::clone(&credentials);
        let collector = collector(&derived.config).unwrap_or_else(|error| {
            tracing::error!("the configuration goes back, but sends no traces: {error}");
            None
        });
        let warnings = Vec::new();
        let prepared = Prepared { derived, credentials, added, sockets, collector, warnings };
        self.put_in_force(prepared, Some(&memory));
        self.follow_configuration(probes, discoveries);
        self.confirmation.reverts += 1;
        self.confirmation.last = Some(format!("the last one went back at {} because {why}", wall_clock()));
        self.registry.reverted(match why {
            GoBack::Late(_) => RevertReason::Timeout,
            GoBack::Errors { .. } => RevertReason::Errors,
            GoBack::Operator => RevertReason::Operator,
        });
        let mut what = format!("the configuration has gone back to the previous one, because {why}");
        for error in &failed {
            what.push_str(&format!("; {error}"));
        }
        self.registry.events.record(Happened::new(EventKind::Reload, Severity::Warning, what));
        let file = self.source.as_ref().map_or("-".into(), |path| path.display().to_string());
        tracing::warn!(
            file,
            "the configuration has gone back to the previous one, because {why}; the file still has the new text"
        );
    }
}

/// This moment, for people.
fn wall_clock() -> String {
    rfc3339(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}
