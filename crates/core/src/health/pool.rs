//! The health of a pool: all its servers, and the rule that live traffic never ejects the last one.

use evenkeel_config::{Backend, Pool};
use evenkeel_types::{BackendId, Time};

use super::{Administrative, Event, Failure, ProbeFailure, ServerHealth, State, Transition};
use crate::balance::Availability;

/// Something to log, to count and to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The server that it is about.
    pub server: BackendId,
    /// What happened.
    pub event: Event,
}

/// The health of a pool's servers, in the order of the configuration.
///
/// An ejection is never why a pool has no server: the last one that is up is not ejected, and when the others go
/// for another reason the ejected one that is due first comes back. Servers of weight 0 do not count as others.
#[derive(Debug, Clone)]
pub struct PoolHealth {
    members: Vec<Member>,
}

#[derive(Debug, Clone)]
struct Member {
    backend: Backend,
    health: ServerHealth,
}

impl PoolHealth {
    /// The health of a pool that appears now.
    pub fn new(pool: &Pool, now: Time) -> Self {
        let members = pool.backends.iter().map(|backend| Member::new(backend, pool, now)).collect();
        Self { members }
    }

    /// Takes over a new configuration of the pool. A server whose id and address stay keeps its state, unless the
    /// pool is now probed differently; what the operator said of an id stays in any case. Servers that are gone are
    /// forgotten, and new ones begin as new. Weights are those of `pool` again.
    pub fn reconfigure(&mut self, pool: &Pool, now: Time) -> Vec<Notice> {
        let mut before = std::mem::take(&mut self.members);
        let mut notices = Vec::new();
        for backend in &pool.backends {
            let known = before.iter().position(|member| member.backend.id == backend.id);
            let Some(mut member) = known.map(|at| before.swap_remove(at)) else {
                self.members.push(Member::new(backend, pool, now));
                continue;
            };
            let change = if member.backend.address == backend.address {
                member.health.reconfigure(pool.health.as_ref(), pool.outlier.as_ref(), now)
            } else {
                member.health.restart(pool.health.as_ref(), pool.outlier.as_ref(), now)
            };
            member.backend = backend.clone();
            notices.extend(change.map(|change| member.notice(change)));
            self.members.push(member);
        }
        self.rescue(now, &mut notices);
        notices
    }

    /// Takes in the result of a probe. One of a server that has left the pool is ignored.
    pub fn probed(&mut self, server: &BackendId, result: Result<(), ProbeFailure>, now: Time) -> Vec<Notice> {
        self.change(server, now, |health| health.probed(result, now).map(Event::Transition))
    }

    /// Takes in a failure of live traffic. One of a server that has left the pool is ignored.
    pub fn failed(&mut self, server: &BackendId, cause: Failure, now: Time) -> Vec<Notice> {
        let last = !self.members.iter().any(|member| member.backend.id != *server && member.is_usable());
        self.change(server, now, |health| health.failed(cause, now, last))
    }

    /// Takes in what the operator wants of a server.
    pub fn administer(&mut self, server: &BackendId, wanted: Administrative, now: Time) -> Vec<Notice> {
        self.change(server, now, |health| health.administer(wanted, now).map(Event::Transition))
    }

    /// Takes in a server's new weight: at weight 0 it is no longer one that others can rely on.
    pub fn weigh(&mut self, server: &BackendId, weight: u32, now: Time) -> Vec<Notice> {
        if let Some(member) = self.members.iter_mut().find(|member| member.backend.id == *server) {
            member.backend.weight = weight;
        }
        let mut notices = Vec::new();
        self.rescue(now, &mut notices);
        notices
    }

    /// Ends the ejections whose time is over.
    pub fn poll(&mut self, now: Time) -> Vec<Notice> {
        let ended = |member: &mut Member| member.health.poll(now).map(|change| member.notice(change));
        self.members.iter_mut().filter_map(ended).collect()
    }

    /// When [`poll`](Self::poll) will have something to say.
    pub fn due(&self) -> Option<Time> {
        self.members.iter().filter_map(|member| member.health.due()).min()
    }

    /// The health of one server.
    pub fn server(&self, server: &BackendId) -> Option<&ServerHealth> {
        self.members.iter().find(|member| member.backend.id == *server).map(|member| &member.health)
    }

    /// All servers, in the order of the configuration.
    pub fn servers(&self) -> impl ExactSizeIterator<Item = (&BackendId, &ServerHealth)> {
        self.members.iter().map(|member| (&member.backend.id, &member.health))
    }

    fn change(
        &mut self,
        server: &BackendId,
        now: Time,
        change: impl FnOnce(&mut ServerHealth) -> Option<Event>,
    ) -> Vec<Notice> {
        let mut notices = Vec::new();
        if let Some(member) = self.members.iter_mut().find(|member| member.backend.id == *server)
            && let Some(event) = change(&mut member.health)
        {
            notices.push(Notice { server: server.clone(), event });
            self.rescue(now, &mut notices);
        }
        notices
    }

    /// Brings ejected servers back while no server is up: one that has never passed a check may not be enough.
    fn rescue(&mut self, now: Time, notices: &mut Vec<Notice>) {
        while !self.members.iter().any(Member::is_usable) {
            let ejected = |m: &&mut Member| m.backend.weight > 0 && m.health.state() == State::Ejected;
            let Some(first) = self.members.iter_mut().filter(ejected).min_by_key(|m| m.health.due()) else {
                return;
            };
            notices.extend(first.health.release(now).map(|change| first.notice(change)));
        }
    }
}

impl Member {
    fn new(backend: &Backend, pool: &Pool, now: Time) -> Self {
        let health = ServerHealth::new(pool.health.as_ref(), pool.outlier.as_ref(), now);
        Self { backend: backend.clone(), health }
    }

    fn is_usable(&self) -> bool {
        self.backend.weight > 0 && self.health.availability() == Availability::Up
    }

    fn notice(&self, change: Transition) -> Notice {
        Notice { server: self.backend.id.clone(), event: Event::Transition(change) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
