//! Upgrades: a new process, which runs another binary or the same one again, takes the place of this one and gets its sockets.

pub mod attempts;
pub mod binary;
pub mod exchange;
pub mod message;
pub mod peer;
pub mod purges;
pub mod successor;

use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use evenkeel_admin::By;
use evenkeel_net::Channel;
use evenkeel_proxy::{Shared, Successor};
use tokio::sync::{mpsc, oneshot};

use self::exchange::Exchange;
use self::message::Offered;
use self::peer::{Fault, Peer};
use crate::reload::Bound;
use crate::servers::{Carried, CarriedSplit};

/// Bytes of the new process's standard error that an error message includes.
const SAID_MAX: usize = 4096;
/// Bytes that it may write there. A program that writes more is none to upgrade to, and must not fill the log.
const STDERR_MAX: u64 = 64 << 10;
/// How long a process that has closed its channel may take to end.
const END_MAX: Duration = Duration::from_secs(1);
/// Between two checks of whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What an upgrade asks of the control thread.
#[derive(Debug)]
pub enum Asked {
    /// An upgrade begins: the control thread refuses changes until it has ended.
    Begin(oneshot::Sender<Result<InForce, String>>),
    /// It has ended, and this process serves on. The answer comes when the control thread accepts changes again.
    End(oneshot::Sender<()>),
}

/// What the new process takes over.
#[derive(Debug)]
pub struct InForce {
    /// The addresses that this process listens on.
    pub bound: Vec<Bound>,
    /// What commands have changed of the servers.
    pub carried: Vec<Carried>,
    /// The same of splits.
    pub splits: Vec<CarriedSplit>,
}

/// What an upgrade works with.
#[derive(Debug, Clone)]
pub struct Upgrader {
    /// The workers.
    pub shared: Arc<Shared>,
    /// The control thread.
    pub control: mpsc::Sender<Asked>,
    /// The socket of the admin API, and what the configuration calls it.
    pub admin: Option<Arc<(OwnedFd, Offered)>>,
}

/// An upgrade that was requested.
#[derive(Debug)]
pub struct Plan {
    /// The binary, if the request names one.
    pub binary: Option<PathBuf>,
    /// How long the new process may take.
    pub timeout: Duration,
    /// On whose behalf, and why.
    pub by: By,
}

/// The process that serves from now on.
#[derive(Debug)]
pub struct Succeeded {
    /// Its id.
    pub pid: u32,
    /// What it has taken over.
    pub successor: Successor,
    /// When it fails before this process has ended.
    pub failed: oneshot::Receiver<ExitStatus>,
}

impl Upgrader {
    /// Has a new process take over, and waits until it has. `cancelled` gives the attempt up.
    ///
    /// # Errors
    /// It does not, for this reason; it has been ended, and this process serves on as before.
    pub fn run(&self, plan: &Plan, cancelled: &AtomicBool) -> Result<Succeeded, String> {
        if std::process::id() == 1 {
            return Err(
                "Evenkeel is process 1, and its container ends with it: replace the container instead".into(),
            );
        }
        let binary = binary::choose(plan.binary.as_deref())?;
        let (answer, begun) = oneshot::channel();
        let gone = |_| "the control thread has ended: is the process leaving?".to_owned();
        self.control.blocking_send(Asked::Begin(answer)).map_err(|_| gone(()))?;
        let in_force = begun.blocking_recv().map_err(|_| gone(()))??;
        let done = self.hand_over(&binary, plan, in_force, cancelled);
        if done.is_err() {
            // The control thread is gone only when the process ends.
            let (answer, ended) = oneshot::channel();
            let _ = self.control.blocking_send(Asked::End(answer));
            let _ = ended.blocking_recv();
        }
        done
    }

    fn hand_over(
        &self,
        binary: &Path,
        plan: &Plan,
        in_force: InForce,
        cancelled: &AtomicBool,
    ) -> Result<Succeeded, String> {
        let deadline = Instant::now() + plan.timeout;
        let (channel, theirs) = Channel::pair()
            .map_err(|error| format!("cannot make a socket pair for the new process: {error}"))?;
        let mut started = Started::new(binary, theirs)?;
        let pid = started.child.id();
        tracing::info!(pid, binary = %binary.display(), "upgrade: the new process is started");
        let by = &plan.by;
        let peer = Peer { channel, deadline, cancelled, completes_by: None };
        let mut exchange = Exchange { upgrader: self, by, peer, released: None, purges: None };
        let fault = match exchange.run(in_force) {
            Ok(successor) => {
                let failed = started.release();
                purges::send_all(exchange.peer.channel, exchange.purges);
                return Ok(Succeeded { pid, successor, failed });
            }
            Err(fault) => fault,
        };
        let what = format!("process {pid} ({})", binary.display());
        let why = match fault {
            Fault::Gone(why) => match started.ended_within(END_MAX) {
                Some(status) => format!("{what} ended before it was ready, {status}"),
                None => format!("{what} {why}"),
            },
            Fault::Late(waiting) => {
                format!("{what} was not ready within {:?}, and was ended{waiting}", plan.timeout)
            }
            Fault::Said(why) => {
                started.ended_within(END_MAX);
                why
            }
            Fault::Ours(why) => why,
        };
        let why = started.end(&why);
        // Only now: the new process had it.
        if let Some(released) = exchange.released
            && let Err(error) = self.shared.cache.reclaim_disk(released)
        {
            tracing::error!(%error, "after a failed upgrade, this process cannot open its disk cache again: it caches in memory only");
        }
        Err(why)
    }
}

/// The new process. Dropping this ends it, unless it was released.
struct Started {
    child: Child,
    /// What it writes to standard error before it has received that of this process.
    said: Arc<Mutex<Vec<u8>>>,
    listener: Option<JoinHandle<()>>,
    is_released: bool,
}

impl Started {
    fn new(binary: &Path, theirs: OwnedFd) -> Result<Self, String> {
        let mut command = Command::new(binary);
        // It gets those of this process with the offer, which a program that is no Evenkeel does not read.
        command.stdin(theirs).stdout(Stdio::null()).stderr(Stdio::piped());
        command.args(std::env::args_os().skip(1));
        command.env(message::VARIABLE, message::PROTOCOL.to_string());
        // They are meant for the process that systemd has started.
        command.env_remove("WATCHDOG_PID").env_remove("LISTEN_PID").env_remove("LISTEN_FDS");
        command.arg0(binary);
        let mut child =
            command.spawn().map_err(|error| format!("cannot start {}: {error}", binary.display()))?;
        // Otherwise the copy of its end in this process would keep the channel open.
        drop(command);
        let said = Arc::<Mutex<Vec<u8>>>::default();
        let kept = Arc::clone(&said);
        let stderr = child.stderr.take();
        let listen = move || stderr.into_iter().for_each(|stderr| listen(stderr, &kept));
        let listener = std::thread::Builder::new().name("upgrade-stderr".into()).spawn(listen).ok();
        Ok(Self { child, said, listener, is_released: false })
    }

    /// Its exit status, if it ends within this time.
    fn ended_within(&mut self, wait: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + wait;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < end => std::thread::sleep(LOOK_EVERY),
                _ => return None,
            }
        }
    }

    /// Ends it if it has not ended, and adds what it has said to `why`.
    fn end(mut self, why: &str) -> String {
        self.kill();
        // A program that it has started may hold its standard error open for ever.
        if let Some(listener) = self.listener.take_if(|listener| listener.is_finished()) {
            let _ = listener.join();
        }
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        match String::from_utf8_lossy(&said).trim() {
            "" => why.to_owned(),
            said => format!("{why}; it said: {said}"),
        }
    }

    fn kill(&mut self) {
        // It may have ended by itself. It is no zombie afterwards in any case.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let end = Instant::now() + END_MAX / 4;
        while self.listener.as_ref().is_some_and(|it| !it.is_finished()) && Instant::now() < end {
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Lets it serve. A thread waits for its end, so that it does not become a zombie if it ends before this process. The status is
    /// sent if it fails; a process that ends in good order was stopped, or has a successor of its own.
    fn release(mut self) -> oneshot::Receiver<ExitStatus> {
        self.is_released = true;
        let (failed, fails) = oneshot::channel();
        let wait = move || {
            if let Some(status) = self.child.wait().ok().filter(|status| !status.success()) {
                // This process may be at its end.
                let _ = failed.send(status);
            }
        };
        // Without a thread it is a zombie until this process ends.
        drop(std::thread::Builder::new().name("upgrade-wait".into()).spawn(wait));
        fails
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if !self.is_released {
            self.kill();
        }
    }
}

/// Passes on what the new process writes to standard error, and keeps the end of it.
fn listen(stderr: impl Read, said: &Mutex<Vec<u8>>) {
    let mut stderr = BufReader::new(stderr.take(STDERR_MAX));
    let mut line = Vec::new();
    while matches!((&mut stderr).take(SAID_MAX as u64).read_until(b'\n', &mut line), Ok(1..)) {
        eprint!("{}", String::from_utf8_lossy(&line));
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.append(&mut line);
        let surplus = said.len().saturating_sub(SAID_MAX);
        said.drain(..surplus);
    }
}

/// Duplicates of this process's standard output and standard error, in this order.
fn standard_streams() -> io::Result<[OwnedFd; 2]> {
    Ok([io::stdout().as_fd().try_clone_to_owned()?, io::stderr().as_fd().try_clone_to_owned()?])
}

/// Whether the attempt was cancelled.
fn is_cancelled(cancelled: &AtomicBool) -> bool {
    cancelled.load(Ordering::Relaxed)
}
