//! The new process's side of an upgrade.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_core::health::State;
use evenkeel_net::{Channel, Inherited, replace_stderr, replace_stdout};
use evenkeel_proxy::{HandedSession, Shared};
use evenkeel_types::Time;

use super::message::{Message, Offer, PROTOCOL, VARIABLE, receive, send};
use super::purges;
use crate::inherit::{Heirloom, Inheritance};
use crate::log;
use crate::servers::ServerRegistry;

/// How long the old process may be silent. It has a deadline of its own, at which it ends this process.
const SILENCE_MAX: Duration = Duration::from_secs(660);
/// How long to wait for first health checks; a server that has not answered by then is `starting`, as after any start.
const CHECKS_MAX: Duration = Duration::from_secs(3);
/// Between two looks at the pools.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Between two messages to the old process about what this one waits for.
const SAY_EVERY: Duration = Duration::from_millis(200);

/// The old process, whose place this one takes.
#[derive(Debug)]
pub struct Predecessor {
    channel: Arc<Channel>,
    /// What it offers.
    pub offer: Offer,
}

/// Sends the old process the reason for which this one gives up.
#[derive(Debug)]
pub struct Reporter(Arc<Channel>);

impl Reporter {
    /// Sends the reason.
    pub fn fail(&self, why: &str) {
        // Without it, the old process still sees that this one has ended.
        let _ = send(&self.0, &Message::Failed(why.trim_end().into()), &[]);
    }
}

impl Predecessor {
    /// The process that has started this one to take its place, if one has, and the sockets that it offers.
    ///
    /// # Errors
    /// It is gone, or uses another version of the messages.
    pub fn find() -> Result<Option<(Self, Inheritance)>, String> {
        if std::env::var_os(VARIABLE).is_none() {
            return Ok(None);
        }
        let fault = |error: io::Error| format!("cannot take over from the old process: {error}");
        let channel = Channel::from_stdin().map_err(fault)?;
        match Self::receive(&channel) {
            Ok((offer, inheritance)) => Ok(Some((Self { channel: Arc::new(channel), offer }, inheritance))),
            Err(why) => {
                let _ = send(&channel, &Message::Failed(why.clone()), &[]);
                Err(why)
            }
        }
    }

    fn receive(channel: &Channel) -> Result<(Offer, Inheritance), String> {
        let (message, mut descriptors) = next(channel)?;
        let Message::Offer(offer) = message else { return Err(unexpected(&message)) };
        // The old process gives up early on a program that sends it nothing.
        let _ = send(channel, &Message::Waiting("it reads its configuration".into()), &[]);
        if let Some(stderr) = descriptors.pop() {
            replace_stderr(&stderr).map_err(|error| {
                format!("cannot take over the standard error of the old process: {error}")
            })?;
        }
        if let Some(stdout) = descriptors.pop() {
            replace_stdout(&stdout).map_err(|error| {
                format!("cannot take over the standard output of the old process: {error}")
            })?;
        }
        if offer.protocol != PROTOCOL {
            return Err(format!(
                "Evenkeel {} speaks version {PROTOCOL} of the handover, and the running {} speaks version {}: restart the \
                 service instead",
                env!("CARGO_PKG_VERSION"),
                offer.version,
                offer.protocol
            ));
        }
        let mut heirlooms = Vec::new();
        while heirlooms.len() < offer.sockets {
            let (message, descriptors) = next(channel)?;
            let Message::Sockets(offered) = message else { return Err(unexpected(&message)) };
            if offered.is_empty() || offered.len() != descriptors.len() {
                return Err(format!(
                    "received {} of {} sockets of the old process: is the limit of open files too low?",
                    descriptors.len(),
                    offered.len()
                ));
            }
            for (offered, descriptor) in offered.into_iter().zip(descriptors) {
                let socket = Inherited::take(descriptor);
                heirlooms.push(Heirloom {
                    position: heirlooms.len(),
                    socket: socket
                        .map_err(|error| format!("cannot take over {}: {error}", offered.configured))?,
                    name: offered.listener,
                    role: Some(offered.role),
                    configured: Some(offered.configured),
                    activated: offered.activated,
                });
            }
        }
        Ok((*offer, Inheritance::of(heirlooms)))
    }

    /// Sends it the reason if this process gives up.
    pub fn reporter(&self) -> Reporter {
        Reporter(Arc::clone(&self.channel))
    }

    /// Takes over what commands have changed.
    pub fn carry_on(&self, servers: &mut ServerRegistry, now: Time) {
        servers.carry_on(self.offer.pools.clone(), now);
        servers.carry_on_splits(&self.offer.splits);
        if let Some(level) = &self.offer.log_level
            && let Err(error) = log::set_level(level)
        {
            tracing::warn!(level, error, "cannot take over the log level of the old process");
        }
    }

    /// Says that this process is ready except for what only one process can have, and waits for [`Message::Go`].
    ///
    /// # Errors
    /// The old process is gone.
    pub fn ready(&self, taken: Vec<usize>) -> Result<(), String> {
        self.say(&Message::Ready(taken))?;
        match next(&self.channel)?.0 {
            Message::Go => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Waits until each server has been checked, for at most [`CHECKS_MAX`], and until each pool that has a usable server in the old
    /// process has one here. The old process ends this one at its deadline.
    ///
    /// # Errors
    /// The old process is gone.
    pub fn warm_up(&self, shared: &Shared) -> Result<(), String> {
        let (begun, mut said) = (Instant::now(), None::<Instant>);
        while let Some(waiting) = self.waits_for(shared, begun.elapsed()) {
            if said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
                said = Some(Instant::now());
                self.say(&Message::Waiting(waiting))?;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    fn waits_for(&self, shared: &Shared, waited: Duration) -> Option<String> {
        let snapshot = shared.snapshot();
        for (config, handle) in snapshot.config.pools.iter().zip(&snapshot.pools) {
            let (name, state) = (config.name.as_str(), handle.state());
            let is_unknown = state.servers.states.iter().any(|server| server.state == State::Starting);
            if is_unknown && waited < CHECKS_MAX {
                return Some(format!("a server of pool {name} has not been checked yet"));
            }
            let was_usable = self.offer.usable.iter().any(|usable| usable == name);
            if was_usable && state.servers.members.usable_count() == 0 {
                return Some(format!(
                    "pool {name}, which has a usable server in the old process, has none in the new one"
                ));
            }
        }
        None
    }

    /// Says that this process accepts connections from now on.
    ///
    /// # Errors
    /// The old process is gone.
    pub fn serving(&self) -> Result<(), String> {
        self.say(&Message::Serving)
    }

    /// The UDP sessions of the old process, by the inode of the socket that their clients send to. The old process reads no datagrams
    /// any more.
    ///
    /// # Errors
    /// The old process is gone.
    pub fn sessions(&self) -> Result<HashMap<u64, Vec<HandedSession>>, String> {
        let mut sessions = HashMap::<u64, Vec<HandedSession>>::new();
        loop {
            match next(&self.channel)? {
                (Message::Sessions(records), descriptors) => {
                    for ((inode, record), descriptor) in records.into_iter().zip(descriptors) {
                        sessions.entry(inode).or_default().push(HandedSession { record, descriptor });
                    }
                }
                (Message::Done, _) => return Ok(sessions),
                (other, _) => return Err(unexpected(&other)),
            }
        }
    }

    /// Says that this process serves on all sockets from now on. What the old process purges until it ends is purged here too.
    pub fn complete(self, shared: &Shared) {
        // The old process may have ended.
        let _ = send(&self.channel, &Message::Complete, &[]);
        purges::take_all(self.channel, Arc::clone(&shared.cache));
    }

    fn say(&self, message: &Message) -> Result<(), String> {
        send(&self.channel, message, &[]).map_err(|error| gone(&error))
    }
}

fn next(channel: &Channel) -> Result<(Message, Vec<OwnedFd>), String> {
    match receive(channel, SILENCE_MAX) {
        Ok(Some(come)) => Ok(come),
        Ok(None) => Err(format!("the old process has sent no message for {} s", SILENCE_MAX.as_secs())),
        Err(error) => Err(gone(&error)),
    }
}

fn gone(error: &io::Error) -> String {
    format!("the old process has given up the upgrade: {error}")
}

fn unexpected(message: &Message) -> String {
    format!("the old process sent an unexpected message in the upgrade: {message:?}")
}
