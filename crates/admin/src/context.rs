//! What the API reads, and where its commands go.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::{ArcSwap, ArcSwapOption};
use evenkeel_core::confirm::Awaiting;
use evenkeel_core::discovery::DiscoveryStates;
use evenkeel_core::snapshot::{Command, CommandDone, CommandError, Snapshot};
use evenkeel_observe::Registry;
use evenkeel_types::{Address, Clock, ListenerName};
use tokio::sync::{mpsc, oneshot};

/// What the API reads, and where it sends commands.
#[derive(Debug)]
pub struct Context {
    /// The present configuration and server states.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Every figure of the process.
    pub registry: Arc<Registry>,
    /// The clock that the snapshot's times were read from; it started with the process.
    pub clock: Clock,
    /// Where commands are carried out.
    pub commands: mpsc::Sender<Request>,
    /// The addresses really bound, listener by listener.
    pub listening: Arc<ArcSwap<Vec<(ListenerName, Address)>>>,
    /// True once the process has begun to leave.
    pub leaving: Arc<AtomicBool>,
    /// How pools discover their servers.
    pub discoveries: Arc<DiscoveryStates>,
    /// The absolute path of the configuration file; none if the configuration is from the command line.
    pub source: Option<PathBuf>,
    /// Whether the configuration in force goes back by itself unless it is confirmed.
    pub awaiting: Arc<ArcSwapOption<Awaiting>>,
    /// The bearer token to demand, without surrounding blanks. An empty one is never matched.
    pub token: Option<String>,
    /// The address of TCP that the API itself is bound to; none if unix sockets alone lead to it.
    pub bound: Option<Address>,
}

/// A command on its way to the control thread.
#[derive(Debug)]
pub struct Request {
    /// What is asked for.
    pub command: Command,
    /// The outcome, sent after [`Context::snapshot`] shows the change. The client may have left by then.
    pub answer: oneshot::Sender<Result<CommandDone, CommandError>>,
}
