//! The messages between the process that serves and the new one that takes its place.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use evenkeel_net::Channel;
use evenkeel_proxy::SessionRecord;
use serde::{Deserialize, Serialize};

use crate::servers::{Carried, CarriedSplit};

/// The version of these messages. It changes when an older process could not understand them; older processes ignore new keys.
pub const PROTOCOL: u32 = 1;
/// This variable says that standard input is the channel, and has the version of the messages.
pub const VARIABLE: &str = "EVENKEEL_HANDOVER";

/// A message, in the order in which they are sent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// From the old process, with the descriptor of its standard error.
    Offer(Box<Offer>),
    /// From the old process, each with a descriptor.
    Sockets(Vec<Offered>),
    /// From the new one, which is ready except for what only one process can have: which of the sockets it takes.
    Ready(Vec<usize>),
    /// From the old one: the new one may serve.
    Go,
    /// From the new one: what it waits for.
    Waiting(String),
    /// From the new one, which accepts connections from now on, and takes no datagrams yet.
    Serving,
    /// From the old one, which takes no datagrams any more: sessions, each with the number of its listening socket and a descriptor.
    Sessions(Vec<(u64, SessionRecord)>),
    /// From the old one: no more sessions follow.
    Done,
    /// From the new one, which serves on all sockets: the old one may leave.
    Complete,
    /// From the old one, after [`Complete`](Self::Complete) and until it ends: what is purged there.
    Purged(Vec<Vec<u8>>),
    /// From the new one: why it gives up.
    Failed(String),
}

/// The first message of the old process.
#[derive(Debug, Serialize, Deserialize)]
pub struct Offer {
    /// [`PROTOCOL`] of the old process.
    pub protocol: u32,
    /// Its version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// The person or program that has asked for the upgrade.
    #[serde(default)]
    pub who: Option<String>,
    /// The reason that was given.
    #[serde(default)]
    pub why: Option<String>,
    /// How many sockets follow.
    pub sockets: usize,
    /// The pools that have a usable server.
    pub usable: Vec<String>,
    /// What commands have changed of servers.
    pub pools: Vec<Carried>,
    /// Splits that commands have changed.
    #[serde(default)]
    pub splits: Vec<CarriedSplit>,
    /// The level of the log.
    #[serde(default)]
    pub log_level: Option<String>,
    /// Upgrades that have succeeded, this one included, and that have failed.
    pub upgrades: (u64, u64),
}

/// A listening socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// What it is for.
    pub role: Role,
    /// The listener.
    pub listener: String,
    /// The address as the configuration had it.
    pub configured: String,
    /// Whether systemd has bound it.
    pub activated: bool,
}

/// What a listening socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Connections of clients.
    Stream,
    /// Datagrams of clients.
    Datagram,
    /// The admin API.
    Admin,
}

/// A message that was received, with its descriptors.
pub type Received = (Message, Vec<OwnedFd>);

/// Sends a message.
///
/// # Errors
/// The other process is gone, or does not read.
pub fn send(channel: &Channel, message: &Message, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    channel.send(&serde_json::to_vec(message)?, descriptors)
}

/// The next message; `None` if none begins within `wait`.
///
/// # Errors
/// The other process is gone, or sends a message that this one cannot read.
pub fn receive(channel: &Channel, wait: Duration) -> io::Result<Option<Received>> {
    let Some((bytes, descriptors)) = channel.receive(wait)? else { return Ok(None) };
    let message = serde_json::from_slice(&bytes).map_err(|error| {
        io::Error::new(io::ErrorKind::InvalidData, format!("cannot read a message of the upgrade: {error}"))
    })?;
    Ok(Some((message, descriptors)))
}
