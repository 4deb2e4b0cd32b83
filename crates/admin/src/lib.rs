//! The HTTP API that operators, scrapers and probes talk to: it reads a snapshot, sends commands, and knows nothing
//! of the data path.
//!
//! | route | answer |
//! |---|---|
//! | `GET /` | an index of these routes |
//! | `GET /healthz` | 200 while the process lives; the only route that never asks for the token |
//! | `GET /readyz` | 200 when requests can be served, else 503 and why |
//! | `GET /metrics` | Prometheus text format 0.0.4 |
//! | `GET /status` | listeners, pools and servers as JSON |
//! | `POST /reload` | reads the configuration again; 422 and its faults when it is refused |
//! | `PUT /pools/{pool}/servers/{id}` | `{"state": "drain" or "ready", "weight": 0 to 1000}`, either or both |
//!
//! The id of a server is the rest of the path, percent-decoded: `unix:/run/a.sock` may stand as it is or as
//! `unix:%2Frun%2Fa.sock`, and `[::1]:80` as `%5B::1%5D:80`. Whatever is refused is answered as `{"error": "..."}`.

mod command;
mod connections;
mod guard;
mod metrics;
mod refusal;
mod routes;
mod serve;
mod status;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use evenkeel_core::snapshot::{Command, CommandError, Snapshot};
use evenkeel_observe::Registry;
use evenkeel_types::{Address, Clock, ListenerName};
use tokio::sync::{mpsc, oneshot};

pub use serve::{Listener, serve};

/// What the API reads, and whom it sends commands to.
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
    /// The bearer token to demand, without surrounding blanks. An empty one is never matched.
    pub token: Option<String>,
    /// The address that the API itself is bound to.
    pub bound: Address,
}

/// A command on its way to whoever carries it out.
#[derive(Debug)]
pub struct Request {
    /// What is asked for.
    pub command: Command,
    /// The outcome, sent after [`Context::snapshot`] shows the change. Nobody may be waiting for it any more.
    pub answer: oneshot::Sender<Result<(), CommandError>>,
}
