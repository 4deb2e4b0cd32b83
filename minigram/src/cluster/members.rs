//! The engines' processes: started, started again when they end by themselves, and ended in order.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::time::sleep;

use super::endpoints::{Endpoints, Running};
use crate::process::tree::Member;
use crate::process::{Process, Program};

/// Between two looks at all processes.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Between the end of a process and its next start, unless it is said otherwise.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// All processes of a cluster. Copies are the same ones.
#[derive(Debug, Clone)]
pub struct Members {
    state: PathBuf,
    all: Arc<Mutex<BTreeMap<String, Entry>>>,
}

#[derive(Debug)]
struct Entry {
    program: Program,
    process: Option<Arc<Process>>,
    /// When it was seen to have ended.
    ended: Option<Instant>,
    /// How long after that it is started again.
    restart_after: Duration,
}

impl Members {
    pub fn new(state: &Path) -> Self {
        Self { state: state.to_owned(), all: Arc::default() }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a program; from now on it is one of them.
    pub fn start(&self, program: Program) -> anyhow::Result<Arc<Process>> {
        let name = program.name().to_owned();
        let process = Process::start(&program).with_context(|| format!("{name} cannot be started"))?;
        let process = Arc::new(process);
        let entry =
            Entry { program, process: Some(Arc::clone(&process)), ended: None, restart_after: RESTART_AFTER };
        self.all().insert(name, entry);
        Ok(process)
    }

    /// Has a program that ends stay down for this long.
    pub fn restart_after(&self, name: &str, span: Duration) {
        if let Some(entry) = self.all().get_mut(name) {
            entry.restart_after = span;
        }
    }

    /// Starts a program, and waits until it is ready.
    pub async fn start_ready<F>(
        &self,
        program: Program,
        bound: Duration,
        is_ready: impl FnMut() -> F,
    ) -> anyhow::Result<()>
    where
        F: Future<Output = bool>,
    {
        self.start(program)?.wait_until("it is ready", bound, is_ready).await
    }

    /// Says in the state directory which processes run.
    pub fn publish(&self, endpoints: &Endpoints) -> anyhow::Result<()> {
        let all = self.all();
        let alive = all
            .iter()
            .filter_map(|(name, entry)| Some((name.clone(), Member::find(entry.process.as_ref()?.id())?)));
        Running::new(endpoints.clone(), alive.collect()).write(&self.state)
    }

    /// Starts again what ends, until the future is dropped. What [`super::faults`] has marked as lost stays down meanwhile.
    pub async fn supervise(self, endpoints: Endpoints) {
        loop {
            sleep(LOOK_EVERY).await;
            if self.restart_ended()
                && let Err(error) = self.publish(&endpoints)
            {
                tracing::warn!("the list of processes is out of date: {error:#}");
            }
        }
    }

    /// True if anything has changed.
    fn restart_ended(&self) -> bool {
        let mut has_changed = false;
        for (name, entry) in self.all().iter_mut() {
            if let Some(status) = entry.process.as_ref().and_then(|process| process.status()) {
                tracing::warn!(engine = name, "ended: {status}");
                (entry.process, entry.ended) = (None, Some(Instant::now()));
                has_changed = true;
            }
            let is_due = entry.ended.is_some_and(|ended| ended.elapsed() >= entry.restart_after);
            if !is_due || lost_file(&self.state, name).exists() {
                continue;
            }
            match Process::start(&entry.program) {
                Ok(process) => {
                    (entry.process, entry.ended) = (Some(Arc::new(process)), None);
                    has_changed = true;
                }
                Err(error) => {
                    tracing::warn!(engine = name, "cannot be started again: {error}");
                    entry.ended = Some(Instant::now());
                }
            }
        }
        has_changed
    }

    /// Ends these engines together, and kills those that have not ended within `bound`.
    pub async fn stop(&self, names: &[String], bound: Duration) {
        let taken: Vec<Entry> = {
            let mut all = self.all();
            names.iter().filter_map(|name| all.remove(name)).collect()
        };
        let processes = taken.into_iter().filter_map(|entry| entry.process);
        let ends = processes.map(|process| async move {
            if !process.stop(bound).await {
                tracing::warn!(
                    engine = process.name(),
                    "was killed, because it had not ended within {bound:?}"
                );
            }
        });
        futures_util::future::join_all(ends).await;
    }

    /// The names of all that are left.
    pub fn names(&self) -> Vec<String> {
        self.all().keys().cloned().collect()
    }
}

/// The file that keeps an engine down while it exists.
pub fn lost_file(state: &Path, name: &str) -> PathBuf {
    state.join("lost").join(name)
}
