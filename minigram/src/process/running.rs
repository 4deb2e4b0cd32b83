//! A process that this one has started.

use std::fs;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use super::program::Program;
use super::spawner::spawn;
use super::tree::{self, Member};

/// Between two looks at whether something has come true.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the kernel may take to end processes that were killed.
const KILL_BOUND: Duration = Duration::from_secs(5);
/// How much of a log's end is shown with an error, in lines.
const LOG_LINES: usize = 15;
/// How much of a log's end is read for that, in bytes.
const LOG_BYTES: u64 = 64 * 1024;

/// A running program. It and what it started are killed when the value is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    id: Pid,
    /// The keeper ends its program when this closes.
    _lifeline: Option<ChildStdin>,
    child: Mutex<Child>,
}

impl Process {
    /// Starts a program; does not wait for it to be ready.
    ///
    /// # Errors
    /// The log cannot be opened, or there is no `setpriv`.
    pub fn start(program: &Program) -> io::Result<Self> {
        let mut child = spawn(program.command()?)?;
        let lifeline = child.stdin.take();
        let (name, log) = (program.name().to_owned(), program.log().to_owned());
        Ok(Self { name, log, id: Pid::from_child(&child), _lifeline: lifeline, child: Mutex::new(child) })
    }

    /// Its name in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number. With a keeper it is the keeper's.
    pub fn id(&self) -> Pid {
        self.id
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it ended; `None` while it runs.
    pub fn status(&self) -> Option<ExitStatus> {
        self.child().try_wait().ok().flatten()
    }

    /// True while it runs.
    pub fn is_running(&self) -> bool {
        self.status().is_none()
    }

    /// Sends a signal to it alone; does nothing if it has ended.
    pub fn signal(&self, signal: Signal) {
        // Until the status is taken, the number is not given to another process.
        let mut child = self.child();
        if matches!(child.try_wait(), Ok(None)) {
            let _ = kill_process(self.id, signal);
        }
    }

    /// All processes below it.
    pub fn descendants(&self) -> Vec<Member> {
        if self.is_running() { tree::descendants(self.id) } else { Vec::new() }
    }

    /// Waits until it has ended.
    pub async fn ended(&self) -> ExitStatus {
        loop {
            if let Some(status) = self.status() {
                return status;
            }
            sleep(PAUSE).await;
        }
    }

    /// Waits until a condition is true: `what` says which, for the error.
    ///
    /// # Errors
    /// The process ends, or the condition is not true within `bound`. The error has the end of its log.
    pub async fn wait_until<F>(
        &self,
        what: &str,
        bound: Duration,
        mut is_true: impl FnMut() -> F,
    ) -> anyhow::Result<()>
    where
        F: Future<Output = bool>,
    {
        let (name, begun) = (&self.name, Instant::now());
        loop {
            let left = bound.saturating_sub(begun.elapsed());
            if tokio::time::timeout(left, is_true()).await == Ok(true) {
                return Ok(());
            }
            if let Some(status) = self.status() {
                bail!(
                    "{name} ended ({status}) before {what}. The end of {}:\n{}",
                    self.log.display(),
                    self.log_end()
                );
            }
            if begun.elapsed() >= bound {
                bail!(
                    "{name}: {what}: not within {bound:?}. The end of {}:\n{}",
                    self.log.display(),
                    self.log_end()
                );
            }
            sleep(PAUSE).await;
        }
    }

    /// The last lines of its log.
    pub fn log_end(&self) -> String {
        let text = log_tail(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(LOG_LINES).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Asks it to end (`SIGTERM`), and kills it and what it started if it has not ended within `bound`. True if it ended by itself.
    pub async fn stop(&self, bound: Duration) -> bool {
        let below = self.descendants();
        self.signal(Signal::TERM);
        // One that is stopped does not see the signal.
        self.signal(Signal::CONT);
        let ended = tokio::time::timeout(bound, self.ended()).await.is_ok();
        // What outlived it has another parent by now.
        below.iter().for_each(|member| member.signal(Signal::KILL));
        self.kill();
        ended
    }

    /// Ends it and what it started as a crash does; returns when they are gone.
    pub fn kill(&self) {
        self.signal(Signal::STOP);
        let below = if self.is_running() { tree::kill_descendants(self.id) } else { Vec::new() };
        self.signal(Signal::KILL);
        let _ = self.child().wait();
        if !tree::wait_gone(&below, KILL_BOUND) {
            tracing::warn!(process = self.name, "processes outlive their kill");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn log_tail(path: &std::path::Path) -> anyhow::Result<String> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Waits until a condition is true that concerns no single process.
///
/// # Errors
/// It is not true within `bound`; the error says `what`.
pub async fn wait_until<F>(what: &str, bound: Duration, mut is_true: impl FnMut() -> F) -> anyhow::Result<()>
where
    F: Future<Output = bool>,
{
    let all = async {
        while !is_true().await {
            sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(bound, all).await.with_context(|| format!("{what}: not within {bound:?}"))
}
