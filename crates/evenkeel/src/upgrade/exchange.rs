//! The old process's side of an upgrade: what it offers, and how far the new process has come.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use evenkeel_admin::By;
use evenkeel_config::Transport;
use evenkeel_net::{Channel, DESCRIPTORS_MAX};
use evenkeel_observe::UpgradeResult;
use evenkeel_proxy::{HandedSession, ListeningSocket, OutgoingPurges, ReleasedDisk, Successor};
use evenkeel_types::Address;

use super::message::{Message, Offer, Offered, PROTOCOL, receive, send};
use super::{InForce, Upgrader, is_cancelled, standard_streams};
use crate::inherit::role_of;

/// Between two checks of whether the attempt was cancelled.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long the first message of a new process may take. It sends one before it reads its configuration; a program that is no Evenkeel
/// sends none.
const FIRST_MAX: Duration = Duration::from_secs(10);

/// The exchange with one new process.
pub struct Exchange<'a> {
    /// The workers, the control thread and the admin socket.
    pub upgrader: &'a Upgrader,
    /// On whose behalf, and why.
    pub by: &'a By,
    /// To the new process.
    pub channel: Channel,
    /// When the old process gives up.
    pub deadline: Instant,
    /// Set to give up before that.
    pub cancelled: &'a AtomicBool,
    /// The directory of the disk cache, once the new process may have it.
    pub released: Option<ReleasedDisk>,
    /// What is purged from then on.
    pub purges: Option<OutgoingPurges>,
}

/// Why the new process does not take over.
pub enum Fault {
    /// It has closed the channel, or sent a message that this process cannot read.
    Gone(String),
    /// It says why itself.
    Said(String),
    /// It took too long, and says what it waits for.
    Late(String),
    /// This process cannot go on, or a signal ends it.
    Ours(String),
}

/// A listening socket that is offered.
struct Socket {
    offered: Offered,
    descriptor: OwnedFd,
    place: Option<(Transport, Address)>,
}

impl Exchange<'_> {
    /// Offers all sockets, and returns those that the new process, which serves by then, has taken over.
    ///
    /// # Errors
    /// The new process does not serve, and this one goes on as before.
    pub fn run(&mut self, in_force: InForce) -> Result<Successor, Fault> {
        let sockets = self.sockets(&in_force)?;
        self.offer(in_force, &sockets)?;
        let taken = match self.next_by(Some(Instant::now() + FIRST_MAX))? {
            Message::Ready(taken) => taken,
            other => return Err(unexpected(&other)),
        };
        let taken = taken.into_iter().filter_map(|at| sockets.get(at)?.place.clone());
        let successor = Successor::of(taken);
        let has_datagrams = sockets.iter().any(|it| matches!(it.place, Some((Transport::Datagram, _))));
        drop(sockets);
        let shared = &self.upgrader.shared;
        self.purges = Some(shared.cache.hand_over_purges());
        self.released = shared.cache.release_disk(crate::cache::SETTLE_MAX);
        let served = self.serve(has_datagrams);
        if served.is_err() {
            shared.resume_datagrams();
            shared.cache.keep_purges();
        }
        served.map(|()| successor)
    }

    /// From [`Message::Go`] to [`Message::Complete`].
    fn serve(&self, has_datagrams: bool) -> Result<(), Fault> {
        self.send(&Message::Go, &[])?;
        match self.next()? {
            Message::Serving => {}
            other => return Err(unexpected(&other)),
        }
        if has_datagrams {
            self.hand_over_sessions()?;
        }
        self.send(&Message::Done, &[])?;
        match self.next()? {
            Message::Complete => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Duplicates of all listening sockets.
    fn sockets(&self, in_force: &InForce) -> Result<Vec<Socket>, Fault> {
        let bound: HashMap<(Transport, &Address), _> =
            in_force.bound.iter().map(|bound| ((bound.transport, &bound.bound), bound)).collect();
        let mut duplicates = self.upgrader.shared.duplicates();
        let mut sockets = Vec::new();
        while let Some(ListeningSocket { transport, address, descriptor }) = duplicates.blocking_recv() {
            let Some(bound) = bound.get(&(transport, &address)) else { continue };
            let offered = Offered {
                role: role_of(transport),
                listener: bound.listener.to_string(),
                configured: bound.configured.to_string(),
                activated: bound.activated,
            };
            sockets.push(Socket { offered, descriptor, place: Some((transport, address)) });
        }
        if let Some(admin) = &self.upgrader.admin {
            let descriptor = admin.0.try_clone();
            let descriptor = descriptor
                .map_err(|error| Fault::Ours(format!("cannot duplicate the admin socket: {error}")))?;
            sockets.push(Socket { offered: admin.1.clone(), descriptor, place: None });
        }
        Ok(sockets)
    }

    fn offer(&self, in_force: InForce, sockets: &[Socket]) -> Result<(), Fault> {
        let streams = standard_streams()
            .map_err(|error| Fault::Ours(format!("cannot duplicate the standard streams: {error}")))?;
        let snapshot = self.upgrader.shared.snapshot();
        let is_usable = |at: &usize| snapshot.pools[*at].state().servers.members.usable_count() > 0;
        let usable = (0..snapshot.pools.len()).filter(is_usable);
        let registry = &self.upgrader.shared.registry;
        let offer = Offer {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            who: Some(self.by.who.clone()),
            why: self.by.why.clone(),
            sockets: sockets.len(),
            usable: usable.map(|at| snapshot.config.pools[at].name.to_string()).collect(),
            pools: in_force.carried,
            splits: in_force.splits,
            log_level: Some(crate::log::level()),
            upgrades: (
                registry.upgrades(UpgradeResult::Success) + 1,
                registry.upgrades(UpgradeResult::Failure),
            ),
        };
        let streams = [streams[0].as_fd(), streams[1].as_fd()];
        self.send(&Message::Offer(Box::new(offer)), &streams)?;
        for some in sockets.chunks(DESCRIPTORS_MAX) {
            let offered = some.iter().map(|socket| socket.offered.clone()).collect();
            let descriptors: Vec<BorrowedFd<'_>> = some.iter().map(|it| it.descriptor.as_fd()).collect();
            self.send(&Message::Sockets(offered), &descriptors)?;
        }
        Ok(())
    }

    /// From here on, datagrams wait in the kernel until the new process reads them or this one goes on.
    fn hand_over_sessions(&self) -> Result<(), Fault> {
        let mut stations = self.upgrader.shared.pause_datagrams();
        while let Some(station) = stations.blocking_recv() {
            for some in station.sessions.chunks(DESCRIPTORS_MAX) {
                let records =
                    some.iter().map(|it: &HandedSession| (station.inode, it.record.clone())).collect();
                let descriptors: Vec<BorrowedFd<'_>> = some.iter().map(|it| it.descriptor.as_fd()).collect();
                self.send(&Message::Sessions(records), &descriptors)?;
            }
        }
        Ok(())
    }

    fn send(&self, message: &Message, descriptors: &[BorrowedFd<'_>]) -> Result<(), Fault> {
        match send(&self.channel, message, descriptors) {
            Ok(()) => Ok(()),
            // The new process may have sent the reason.
            Err(error) => match receive(&self.channel, Duration::ZERO) {
                Ok(Some((Message::Failed(why), _))) => Err(Fault::Said(why)),
                _ if error.kind() == ErrorKind::WouldBlock => {
                    Err(Fault::Gone("does not read the messages of the upgrade, and was ended".into()))
                }
                _ => Err(Fault::Gone(format!(
                    "cannot be sent messages of the upgrade, and was ended: {error}"
                ))),
            },
        }
    }

    /// The next message of the new process, except [`Message::Waiting`].
    fn next(&self) -> Result<Message, Fault> {
        self.next_by(None)
    }

    /// The same; some message must come by this time.
    fn next_by(&self, mut first_by: Option<Instant>) -> Result<Message, Fault> {
        let mut waiting = String::new();
        loop {
            if is_cancelled(self.cancelled) {
                return Err(Fault::Ours(
                    "the upgrade was given up, because a signal ends this process".into(),
                ));
            }
            let left = self.deadline.saturating_duration_since(Instant::now());
            match receive(&self.channel, left.min(LOOK_EVERY)) {
                Ok(Some((Message::Failed(why), _))) => return Err(Fault::Said(why)),
                Ok(Some((Message::Waiting(what), _))) => (first_by, waiting) = (None, format!(": {what}")),
                Ok(Some((message, _))) => return Ok(message),
                Ok(None) if left.is_zero() => return Err(Fault::Late(waiting)),
                Ok(None) if first_by.is_some_and(|by| by <= Instant::now()) => {
                    return Err(Fault::Gone(format!(
                        "sent no message within {FIRST_MAX:?}, and was ended: is it an Evenkeel?"
                    )));
                }
                Ok(None) => {}
                Err(error) => {
                    return Err(Fault::Gone(format!(
                        "does not answer as an Evenkeel does in an upgrade, and was ended: {error}"
                    )));
                }
            }
        }
    }
}

fn unexpected(message: &Message) -> Fault {
    Fault::Gone(format!("sent an unexpected message in the upgrade, and was ended: {message:?}"))
}
