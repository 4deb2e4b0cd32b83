//! What is done to the servers, when, and which errors that explains.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::tally::Outcome;
use crate::bench::process::Process;
use crate::bench::proxy::free_address;

/// How far the balancer waits for a server: the pool's `timeout.response`.
pub const RESPONSE: Duration = Duration::from_secs(3);
/// A stall that no request may notice but by its duration.
const SHORT: std::ops::Range<u64> = 100..1500;
/// A stall that ends in timeouts.
const LONG: std::ops::Range<u64> = 4000..6000;
/// How much later than its cause an error may be seen: the machine may be busy.
const MARGIN: Duration = Duration::from_millis(500);

/// Whether the balancer gives an idempotent request to another server when its own dies before it answers.
const REPEATS: bool = true;

/// The servers, which only this module ends.
pub struct Servers {
    directory: PathBuf,
    addresses: Vec<SocketAddr>,
    running: RefCell<Vec<Option<Process>>>,
    done: RefCell<Vec<Disruption>>,
}

/// Something that was done to a server.
#[derive(Debug, Clone, Copy)]
struct Disruption {
    kind: Kind,
    from: Instant,
    /// `None` while it lasts.
    to: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Killed,
    StalledShort,
    StalledLong,
}

impl Servers {
    /// Starts `count` of them.
    ///
    /// # Errors
    /// They do not start.
    pub fn start(directory: &Path, count: usize) -> anyhow::Result<Self> {
        let addresses = (0..count).map(|_| free_address()).collect::<anyhow::Result<Vec<_>>>()?;
        let running = RefCell::new((0..count).map(|_| None).collect());
        let servers = Self { directory: directory.to_owned(), addresses, running, done: RefCell::default() };
        for number in 0..count {
            let mut server = servers.spawn(number)?;
            let address = servers.addresses[number];
            server.wait_until(|| std::net::TcpStream::connect(address).is_ok())?;
            servers.running.borrow_mut()[number] = Some(server);
        }
        Ok(servers)
    }

    /// Where they are.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    fn spawn(&self, number: usize) -> anyhow::Result<Process> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["soak-origin", "--port", &self.addresses[number].port().to_string()]);
        Process::start(&format!("origin-{number}"), &command, &None, &self.directory)
    }

    /// Disrupts one after the other, at random, until the task is dropped.
    ///
    /// # Errors
    /// A server does not start again.
    pub async fn disrupt(&self, mut rng: Rng) -> anyhow::Result<()> {
        loop {
            sleep(Duration::from_millis(rng.u64(500..3000))).await;
            let number = rng.usize(..self.addresses.len());
            match rng.u8(..10) {
                0..6 => self.kill(number, Duration::from_millis(rng.u64(..2000))).await?,
                6..8 => self.stall(number, Kind::StalledShort, rng.u64(SHORT)).await,
                _ => self.stall(number, Kind::StalledLong, rng.u64(LONG)).await,
            }
        }
    }

    async fn kill(&self, number: usize, down: Duration) -> anyhow::Result<()> {
        let index = self.begin(Kind::Killed);
        self.signal(number, Signal::KILL);
        // Its end is waited for here, which takes no time behind that signal.
        self.running.borrow_mut()[number] = None;
        sleep(down).await;
        let server = self.spawn(number)?;
        self.running.borrow_mut()[number] = Some(server);
        while TcpStream::connect(self.addresses[number]).await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
        self.end(index);
        Ok(())
    }

    async fn stall(&self, number: usize, kind: Kind, ms: u64) {
        let index = self.begin(kind);
        self.signal(number, Signal::STOP);
        sleep(Duration::from_millis(ms)).await;
        self.signal(number, Signal::CONT);
        self.end(index);
    }

    /// Lets all go on, so that they can be ended.
    pub fn settle(&self) {
        (0..self.addresses.len()).for_each(|number| self.signal(number, Signal::CONT));
    }

    fn signal(&self, number: usize, signal: Signal) {
        let running = self.running.borrow();
        let id = running[number].as_ref().and_then(|server| i32::try_from(server.id()).ok());
        if let Some(id) = id.and_then(Pid::from_raw) {
            let _ = kill_process(id, signal);
        }
    }

    fn begin(&self, kind: Kind) -> usize {
        let mut done = self.done.borrow_mut();
        done.push(Disruption { kind, from: Instant::now(), to: None });
        done.len() - 1
    }

    fn end(&self, index: usize) {
        self.done.borrow_mut()[index].to = Some(Instant::now());
    }

    /// How often servers were killed and stalled.
    pub fn summary(&self) -> String {
        let done = self.done.borrow();
        let count = |kind| done.iter().filter(|d| d.kind == kind).count();
        let (killed, short, long) =
            (count(Kind::Killed), count(Kind::StalledShort), count(Kind::StalledLong));
        format!("servers killed {killed} times, stalled {short} times for a moment and {long} times for long")
    }

    /// Whether what was done to the servers between `from` and now explains this: a server that was killed under a
    /// request that may not be repeated or was half answered, or one that was silent for longer than is waited for.
    pub fn explain(&self, outcome: &Outcome, repeatable: bool, from: Instant) -> bool {
        let done = self.done.borrow();
        // Only its moment matters of a kill: who comes later is refused, and goes elsewhere.
        let killed = done.iter().any(|d| d.kind == Kind::Killed && d.from + MARGIN >= from);
        let silent = done.iter().any(|d| {
            d.kind == Kind::StalledLong
                && d.to.is_none_or(|to| to + MARGIN >= from)
                // It may have stopped before it came to a request that it had already.
                && d.from.elapsed() + MARGIN >= RESPONSE
        });
        match outcome {
            Outcome::Good => true,
            Outcome::Status(502) => killed && !(repeatable && REPEATS),
            Outcome::Status(504) => silent,
            Outcome::Cut => killed || silent,
            Outcome::Status(_) | Outcome::Wrong(_) | Outcome::Silent => false,
        }
    }
}
