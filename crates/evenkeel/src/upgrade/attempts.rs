//! Upgrades as the main thread sees them: one at a time, on a thread of its own, and their results.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use evenkeel_admin::{By, Upgrade, Upgraded};
use evenkeel_observe::events::{Event, EventKind, Severity};
use evenkeel_observe::{Registry, UpgradeResult};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{Plan, Succeeded, Upgrader};
use crate::log::without_label;
use crate::{operator, systemd};

/// The upgrade under way, if there is one.
pub struct Upgrades {
    upgrader: Upgrader,
    registry: Arc<Registry>,
    running: Option<Running>,
}

struct Running {
    attempt: JoinHandle<Result<Succeeded, String>>,
    cancelled: Arc<AtomicBool>,
    by: By,
    answer: oneshot::Sender<Result<Upgraded, String>>,
}

impl Upgrades {
    /// Without an upgrade under way.
    pub fn new(upgrader: Upgrader) -> Self {
        let registry = Arc::clone(&upgrader.shared.registry);
        Self { upgrader, registry, running: None }
    }

    /// Begins an upgrade, unless one is under way.
    pub fn begin(&mut self, wanted: Upgrade) {
        let Upgrade { binary, timeout, by, answer } = wanted;
        if self.running.is_some() {
            // The client may have left.
            let _ = answer.send(Err("another upgrade is under way".into()));
            return;
        }
        let to = binary.as_ref().map(|binary| format!(", to {binary:?}")).unwrap_or_default();
        operator::audit(&self.registry, &by, &format!("upgrade asked for{to}"), None);
        let (upgrader, cancelled) = (self.upgrader.clone(), Arc::<AtomicBool>::default());
        let (plan, is_cancelled) = (Plan { binary, timeout, by: by.clone() }, Arc::clone(&cancelled));
        let attempt = tokio::task::spawn_blocking(move || upgrader.run(&plan, &is_cancelled));
        self.running = Some(Running { attempt, cancelled, by, answer });
    }

    /// Waits for the end of the upgrade under way: the process that has taken over, or `None` if this one serves on. Without an
    /// upgrade under way it never returns. The future may be dropped at any time.
    pub async fn ended(&mut self) -> Option<Succeeded> {
        let Some(running) = &mut self.running else { return std::future::pending().await };
        let ended = (&mut running.attempt).await;
        let Running { by, answer, .. } = self.running.take()?;
        match ended.unwrap_or_else(|error| Err(format!("the thread of the upgrade failed: {error}"))) {
            Ok(succeeded) => {
                let pid = succeeded.pid;
                self.registry.upgraded(UpgradeResult::Success, 1);
                tracing::info!(pid, "upgraded: the new process serves, and this one finishes what it has");
                systemd::succeeded_by(pid);
                self.record(by, Severity::Info, format!("process {pid} has taken over"));
                let grace = self.upgrader.shared.snapshot().config.server.grace;
                // The client may have left.
                let _ = answer.send(Ok(Upgraded { pid, old_pid: std::process::id(), grace }));
                Some(succeeded)
            }
            Err(why) => {
                self.registry.upgraded(UpgradeResult::Failure, 1);
                let why = without_label(&why);
                tracing::error!("not upgraded, this process serves on: {why}");
                let first = why.lines().next().unwrap_or_default();
                self.record(by, Severity::Warning, format!("not upgraded, this process serves on: {first}"));
                let _ = answer.send(Err(why.to_owned()));
                None
            }
        }
    }

    fn record(&self, by: By, severity: Severity, what: String) {
        let event = Event::new(EventKind::Upgrade, severity, what).by(Some(by.who), by.why);
        self.registry.events.record(event);
    }

    /// Cancels the upgrade under way, because this process is to end. Returns the new process if it has taken over by now.
    pub async fn give_up(&mut self) -> Option<Succeeded> {
        let running = self.running.as_ref()?;
        running.cancelled.store(true, Ordering::Relaxed);
        // The upgrade ends its new process within this time; if it does not, this process ends all the same.
        tokio::time::timeout(Duration::from_secs(8), self.ended()).await.ok()?
    }
}
