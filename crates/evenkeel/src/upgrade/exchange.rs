//! The old process's side of an upgrade: what it offers, and how far the new process has come.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use evenkeel_admin::By;
use evenkeel_config::Transport;
use evenkeel_net::DESCRIPTORS_MAX;
use evenkeel_observe::UpgradeResult;
use evenkeel_proxy::{HandedSession, ListeningSocket, OutgoingPurges, ReleasedDisk, Successor};
use evenkeel_types::Address;

use super::message::{Message, Offer, Offered, PROTOCOL};
use super::peer::{Fault, Peer, unexpected};
use super::{InForce, Upgrader, standard_streams};
use crate::inherit::role_of;

/// The exchange with one new process.
pub struct Exchange<'a> {
    /// The workers, the control thread and the admin socket.
    pub upgrader: &'a Upgrader,
    /// On whose behalf, and why.
    pub by: &'a By,
    /// The new process.
    pub peer: Peer<'a>,
    /// The directory of the disk cache, once the new process may have it.
    pub released: Option<ReleasedDisk>,
    /// What is purged from then on.
    pub purges: Option<OutgoingPurges>,
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
        let taken = match self.peer.first()? {
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
    fn serve(&mut self, has_datagrams: bool) -> Result<(), Fault> {
        self.peer.send(&Message::Go, &[])?;
        match self.peer.next()? {
            Message::Serving => self.peer.begins_to_serve(),
            other => return Err(unexpected(&other)),
        }
        if has_datagrams {
            self.hand_over_sessions()?;
        }
        self.peer.send(&Message::Done, &[])?;
        match self.peer.next()? {
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
            let why =
                |error| Fault::Ours(format!("cannot duplicate a listening socket of {address}: {error}"));
            let descriptor = descriptor.map_err(why)?;
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
        self.peer.send(&Message::Offer(Box::new(offer)), &streams)?;
        for some in sockets.chunks(DESCRIPTORS_MAX) {
            let offered = some.iter().map(|socket| socket.offered.clone()).collect();
            let descriptors: Vec<BorrowedFd<'_>> = some.iter().map(|it| it.descriptor.as_fd()).collect();
            self.peer.send(&Message::Sockets(offered), &descriptors)?;
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
                self.peer.send(&Message::Sessions(records), &descriptors)?;
            }
        }
        Ok(())
    }
}
