//! The health of a pool: all its servers, which of them are ejected and which must not be, and what weight each has.

use std::time::Duration;

use evenkeel_config::{Backend, Outlier, Pool, RoleRule};
use evenkeel_types::{BackendId, Time};

use super::outlier::{Figures, LiveWindow, judge, tick};
use super::panic::{Census, Group};
use super::role::Finding;
use super::roles::{Roles, Standing};
use super::slow_start::{FULL, Ramp};
use super::{Administrative, Event, Hold, LiveFailure, ProbeFailure, ServerHealth, State, Transition};
use crate::balance::Availability;

/// Something to log, to count and to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthNotice {
    /// The server that it is about.
    pub server: BackendId,
    /// What happened.
    pub event: Event,
}

/// A pool that has too few servers left uses the ejected ones as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Panic {
    /// Since when.
    pub since: Time,
}

/// The health of a pool's servers, in the order of the configuration.
///
/// An ejection is never why a pool has no server: the last one that is up is not ejected, and when the others go
/// for another reason the pool panics, which is to use those that are ejected. Servers of weight 0 do not count as
/// others.
#[derive(Debug, Clone)]
pub struct PoolHealth {
    pub(super) members: Vec<Member>,
    rules: Rules,
    /// For a pool that demands a role.
    pub(super) roles: Option<Roles>,
    panic: Option<Panic>,
    /// When servers are compared next.
    compare_at: Option<Time>,
    pub(super) version: u64,
}

/// What the configuration says of all servers alike.
#[derive(Debug, Clone)]
struct Rules {
    outlier: Option<Outlier>,
    panic: u32,
    slow_start: Option<Duration>,
}

#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) backend: Backend,
    pub(super) health: ServerHealth,
    pub(super) standing: Standing,
    window: LiveWindow,
    /// While it starts slowly.
    ramp: Option<Ramp>,
    /// How many parts of [`FULL`] of its weight it has, as of the last change or poll.
    part: u32,
    /// When that part grows.
    grows_at: Option<Time>,
    /// Has come while the pool had traffic, and has not been up yet.
    is_newcomer: bool,
}

impl PoolHealth {
    /// The health of a pool that appears now. Its servers start together, and so not slowly.
    pub fn new(pool: &Pool, now: Time) -> Self {
        let members = pool.backends.iter().map(|backend| Member::new(backend, pool, now)).collect();
        let (rules, roles) = (Rules::of(pool), Roles::new(role_rule(pool)));
        let mut health = Self { members, rules, roles, panic: None, compare_at: None, version: 0 };
        health.judge_roles(now);
        health.plan_comparison(now);
        health
    }

    /// Takes over a new configuration of the pool. A server whose id and address stay keeps its state, unless the
    /// pool is now probed differently; what the operator said of an id stays in any case. Servers that are gone are
    /// forgotten, and new ones begin as new. Weights are those of `pool` again.
    pub fn reconfigure(&mut self, pool: &Pool, now: Time) -> Vec<HealthNotice> {
        self.rules = Rules::of(pool);
        let mut before = std::mem::take(&mut self.members);
        let mut notices = Vec::new();
        for backend in &pool.backends {
            let known = before.iter().position(|member| member.backend.id == backend.id);
            let Some(mut member) = known.map(|at| before.swap_remove(at)) else {
                let mut member = Member::new(backend, pool, now);
                member.is_newcomer = true;
                self.members.push(member);
                continue;
            };
            let change = if member.backend.address == backend.address {
                let change = member.health.reconfigure(pool.health.as_ref(), pool.outlier.as_ref(), now);
                if member.health.state() == State::Starting {
                    member.standing.forget();
                }
                change
            } else {
                member.standing.forget();
                member.is_newcomer = true;
                member.window.clear();
                member.ramp = None;
                member.health.restart(pool.health.as_ref(), pool.outlier.as_ref(), now)
            };
            member.backend = backend.clone();
            notices.extend(change.map(|change| member.notice(change)));
            self.members.push(member);
        }
        self.plan_comparison(now);
        self.reconfigure_roles(role_rule(pool));
        notices.extend(self.follow_roles(now));
        self.settle(&notices, now);
        self.version += 1;
        notices
    }

    /// Takes in the result of a probe. One of a server that has left the pool is ignored.
    pub fn probed(
        &mut self,
        server: &BackendId,
        result: Result<Finding, ProbeFailure>,
        now: Time,
    ) -> Vec<HealthNotice> {
        let before = self.reason(server);
        let notices = self.take_in(server, result, now);
        // A server that stays down may do so for another reason, which operators want to see.
        self.version += u64::from(self.reason(server) != before);
        notices
    }

    fn reason(&self, server: &BackendId) -> Option<String> {
        self.members.iter().find(|member| member.backend.id == *server).map(|member| member.health.reason())
    }

    fn take_in(
        &mut self,
        server: &BackendId,
        result: Result<Finding, ProbeFailure>,
        now: Time,
    ) -> Vec<HealthNotice> {
        let result = result.map(|finding| match finding {
            Finding::Well => {}
            Finding::Database(claim) => self.note_claim(server, claim),
        });
        if self.roles.is_none() {
            return self.change(server, now, |health| health.probed(result, now).map(Event::Transition));
        }
        if let Some(member) = self.members.iter_mut().find(|member| member.backend.id == *server) {
            member.health.observe(result, now);
            member.standing.is_checked = true;
        }
        let notices = self.follow_roles(now);
        self.settle(&notices, now);
        notices
    }

    /// Decides anew about roles, and reports what follows for each server.
    fn follow_roles(&mut self, now: Time) -> Vec<HealthNotice> {
        self.judge_roles(now);
        let changed = |member: &mut Member| member.health.settle(now).map(|change| member.notice(change));
        let notices = self.members.iter_mut().filter_map(changed).collect();
        self.note_search(now);
        notices
    }

    /// Takes in a failure of live traffic. One of a server that has left the pool is ignored.
    pub fn failed(&mut self, server: &BackendId, failure: LiveFailure, now: Time) -> Vec<HealthNotice> {
        let hold = self.hold(server);
        self.change(server, now, |health| health.failed(failure, now, hold))
    }

    /// Takes in what the operator wants of a server.
    pub fn administer(&mut self, server: &BackendId, wanted: Administrative, now: Time) -> Vec<HealthNotice> {
        let member = self.members.iter_mut().find(|member| member.backend.id == *server);
        if let Some(member) = member
            && member.health.administrative() != wanted
        {
            match (member.health.administrative(), wanted) {
                // What is relayed to it ends.
                (_, Administrative::Disable) => member.standing.terms += 1,
                (Administrative::Disable, _) => member.standing.forget(),
                _ => {}
            }
            self.version += 1;
        }
        self.change(server, now, |health| health.administer(wanted, now).map(Event::Transition))
    }

    /// Takes in a server's new weight: at weight 0 it is no longer one that others can rely on.
    pub fn weigh(&mut self, server: &BackendId, weight: u32, now: Time) {
        if let Some(member) = self.members.iter_mut().find(|member| member.backend.id == *server) {
            member.backend.weight = weight;
            self.version += 1;
        }
        self.settle(&[], now);
    }

    /// Does what is due: ends ejections whose time is over, compares servers, and lets weights grow. `total` says
    /// what a server has done since the beginning; it is asked only when servers are compared.
    pub fn poll(&mut self, now: Time, total: impl Fn(&BackendId) -> Figures) -> Vec<HealthNotice> {
        let ended = |member: &mut Member| member.health.poll(now).map(|change| member.notice(change));
        let mut notices: Vec<HealthNotice> = self.members.iter_mut().filter_map(ended).collect();
        self.settle(&notices, now);
        if self.compare_at.is_some_and(|at| at <= now) {
            notices.extend(self.compare(now, total));
        }
        notices
    }

    /// When [`poll`](Self::poll) will have something to do.
    pub fn due(&self) -> Option<Time> {
        let ends = self.members.iter().filter_map(|member| member.health.due());
        let grows = self.members.iter().filter_map(|member| member.grows_at);
        ends.chain(grows).chain(self.compare_at).min()
    }

    /// Whether, and since when, ejected servers are used as well.
    pub fn panic(&self) -> Option<Panic> {
        self.panic
    }

    /// Grows with each change of what may be chosen, and with what weight.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Of each server, in the order of the configuration, how many parts of [`FULL`] of its weight it has for now, and
    /// whether it may be chosen.
    pub fn standings(&self) -> impl ExactSizeIterator<Item = (u32, Availability)> {
        self.members.iter().map(|member| {
            let is_used = self.panic.is_some() && member.health.state() == State::Ejected;
            (member.part, if is_used { Availability::Up } else { member.health.availability() })
        })
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
    ) -> Vec<HealthNotice> {
        let mut notices = Vec::new();
        if let Some(member) = self.members.iter_mut().find(|member| member.backend.id == *server)
            && let Some(event) = change(&mut member.health)
        {
            notices.push(HealthNotice { server: server.clone(), event });
            if self.roles.is_some() {
                notices.extend(self.follow_roles(now));
            }
            self.settle(&notices, now);
        }
        notices
    }

    /// Why a server must not be ejected, whatever it does.
    fn hold(&self, server: &BackendId) -> Option<Hold> {
        let outlier = self.rules.outlier.as_ref()?;
        let others = || self.members.iter().filter(|m| m.backend.weight > 0 && m.backend.id != *server);
        if !others().any(Member::is_usable) {
            return Some(Hold::LastUp);
        }
        let ejected = others().filter(|other| other.health.state() == State::Ejected).count();
        let whole = self.members.iter().filter(|member| member.backend.weight > 0).count();
        let is_too_many = (ejected as u64 + 1) * 100 > u64::from(outlier.max_ejected) * whole as u64;
        (ejected > 0 && is_too_many).then_some(Hold::MaxEjected)
    }

    /// Compares the servers that are up, and ejects those that stand out.
    fn compare(&mut self, now: Time, total: impl Fn(&BackendId) -> Figures) -> Vec<HealthNotice> {
        let Some(outlier) = self.rules.outlier.clone() else { return Vec::new() };
        self.plan_comparison(now);
        for member in &mut self.members {
            if member.health.state() != State::Up {
                member.window.clear();
            }
            member.window.observe(total(&member.backend.id), &outlier);
        }
        let figures: Vec<Figures> = self.members.iter().map(|member| member.window.figures()).collect();
        let mut notices = Vec::new();
        for finding in judge(&outlier, &figures) {
            let id = self.members[finding.server].backend.id.clone();
            let hold = self.hold(&id);
            notices.extend(
                self.change(&id, now, |health| health.outlier(finding.cause, finding.reason, now, hold)),
            );
        }
        notices
    }

    fn plan_comparison(&mut self, now: Time) {
        let outlier = self.rules.outlier.as_ref().filter(|outlier| outlier.compares());
        self.compare_at = outlier.map(|outlier| now + tick(outlier));
    }

    /// Draws the consequences of what has changed.
    fn settle(&mut self, notices: &[HealthNotice], now: Time) {
        let was_used = self.panic.is_some();
        for HealthNotice { server, event } in notices {
            if let Event::Transition(change) = event
                && let Some(member) = self.members.iter_mut().find(|member| member.backend.id == *server)
            {
                member.changed(change, was_used, &self.rules);
                self.version += 1;
            }
        }
        for member in &mut self.members {
            self.version += u64::from(member.grow(&self.rules, now));
        }
        let panics = self.census().panics(self.rules.panic);
        if panics != self.panic.is_some() {
            self.panic = panics.then_some(Panic { since: now });
            self.version += 1;
        }
    }

    fn census(&self) -> Census {
        let mut census = Census::default();
        for member in self.members.iter().filter(|member| member.backend.weight > 0) {
            let Census { primaries, backups } = &mut census;
            let Group { whole, up, ejected } = if member.backend.backup { backups } else { primaries };
            let state = member.health.state();
            *whole += usize::from(!matches!(state, State::Draining | State::Disabled | State::Unfit));
            *up += usize::from(state == State::Up);
            *ejected += usize::from(state == State::Ejected);
        }
        census
    }
}

/// Which servers of a pool may be used by their roles.
fn role_rule(pool: &Pool) -> Option<&RoleRule> {
    pool.health.as_ref()?.probe.role_rule()
}

impl Rules {
    fn of(pool: &Pool) -> Self {
        Self { outlier: pool.outlier.clone(), panic: pool.panic, slow_start: pool.slow_start }
    }
}

impl Member {
    fn new(backend: &Backend, pool: &Pool, now: Time) -> Self {
        let health = ServerHealth::new(pool.health.as_ref(), pool.outlier.as_ref(), now);
        Self {
            backend: backend.clone(),
            health,
            standing: Standing::default(),
            window: LiveWindow::default(),
            ramp: None,
            part: FULL,
            grows_at: None,
            is_newcomer: false,
        }
    }

    pub(super) fn is_usable(&self) -> bool {
        self.backend.weight > 0 && self.health.availability() == Availability::Up
    }

    /// Forgets how the server did before it went, and lets it start slowly when it comes back. One that was ejected
    /// and used all the same (`was_used`) has never gone.
    fn changed(&mut self, change: &Transition, was_used: bool, rules: &Rules) {
        self.window.clear();
        self.ramp = None;
        let comes = match change.from {
            State::Down | State::Draining | State::Disabled => true,
            State::Ejected => !was_used,
            State::Starting => self.is_newcomer,
            // It has only changed its role, or caught up.
            State::Up | State::Unfit => false,
        };
        if change.to == State::Up {
            self.is_newcomer = false;
            self.ramp = rules.slow_start.filter(|_| comes).map(|over| Ramp::new(change.at, over));
        }
    }

    /// Brings its part of its weight up to date; true if that is a new one.
    fn grow(&mut self, rules: &Rules, now: Time) -> bool {
        if self.is_newcomer && self.health.state() == State::Up {
            // It was up from the first, because it has no active checks.
            self.is_newcomer = false;
            self.ramp = rules.slow_start.map(|over| Ramp::new(now, over));
        }
        match (&mut self.ramp, rules.slow_start) {
            (Some(ramp), Some(over)) => ramp.retune(over),
            (ramp, _) => *ramp = None,
        }
        let part = self.ramp.map_or(FULL, |ramp| ramp.part(now));
        self.grows_at = self.ramp.and_then(|ramp| ramp.due(now));
        if part == FULL {
            self.ramp = None;
        }
        std::mem::replace(&mut self.part, part) != part
    }

    fn notice(&self, change: Transition) -> HealthNotice {
        HealthNotice { server: self.backend.id.clone(), event: Event::Transition(change) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
