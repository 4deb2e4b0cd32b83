//! What the API reads, and where its commands go.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use evenkeel_core::confirm::Awaiting;
use evenkeel_core::discovery::DiscoveryStates;
use evenkeel_core::snapshot::{Command, CommandDone, CommandError, Snapshot};
use evenkeel_observe::Registry;
use evenkeel_types::{Address, Clock, ListenerName};
use tokio::sync::{mpsc, oneshot};

use crate::by::By;
use crate::live::state::Live;
use crate::question::Explainer;

/// What the API reads, and where it sends commands.
#[derive(Debug)]
pub struct Context {
    /// The present configuration and server states.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Every figure of the process.
    pub registry: Arc<Registry>,
    /// The clock that the snapshot's times were read from; it started with the process.
    pub clock: Clock,
    /// To the control thread, which carries out commands.
    pub commands: mpsc::Sender<Request>,
    /// To the main thread, which carries out upgrades.
    pub upgrades: mpsc::Sender<Upgrade>,
    /// The addresses really bound, listener by listener.
    pub listening: Arc<ArcSwap<Vec<(ListenerName, Address)>>>,
    /// True once the process has begun to leave.
    pub leaving: Arc<AtomicBool>,
    /// How pools discover their servers.
    pub discoveries: Arc<DiscoveryStates>,
    /// The absolute path of the configuration file; none if the configuration is from the command line.
    pub source: Option<PathBuf>,
    /// The level of the log at this moment.
    pub log_level: fn() -> String,
    /// Whether the configuration in force goes back by itself unless it is confirmed.
    pub awaiting: Arc<ArcSwapOption<Awaiting>>,
    /// The bearer token to demand, without surrounding blanks. An empty one is never matched.
    pub token: Option<String>,
    /// The TCP address that the API itself is bound to; none if it has unix sockets only.
    pub bound: Option<Address>,
    /// The figures of the last seconds, which [`follow`](crate::follow) fills.
    pub live: Live,
    /// Says where a request would go.
    pub explainer: Explainer,
}

/// A command on its way to the control thread.
#[derive(Debug)]
pub struct Request {
    /// The command.
    pub command: Command,
    /// The peer that sent it, and the reason.
    pub by: By,
    /// Tags ([`PoolState::settings_tag`](evenkeel_core::snapshot::PoolState::settings_tag), [`Snapshot::split_tag`]) of the pool or split
    /// that the command concerns, one of which it must have; `None` if any will do.
    pub if_match: Option<Vec<String>>,
    /// The outcome, sent after [`Context::snapshot`] shows the change. The client may have left by then.
    pub answer: oneshot::Sender<Result<CommandDone, CommandError>>,
}

/// A request for an upgrade: a new process is to serve in the place of this one.
#[derive(Debug)]
pub struct Upgrade {
    /// The binary that it runs; by default the one that this process was started from, as its file is now.
    pub binary: Option<PathBuf>,
    /// How long it may take to be ready.
    pub timeout: Duration,
    /// On whose behalf, and why.
    pub by: By,
    /// The outcome.
    pub answer: oneshot::Sender<Result<Upgraded, String>>,
}

/// The process that serves from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgraded {
    /// Its id.
    pub pid: u32,
    /// The id of the old process, which finishes its requests.
    pub old_pid: u32,
    /// How long the old process may take for that.
    pub grace: Duration,
}
