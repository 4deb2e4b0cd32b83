//! Purges by rules: a purge adds one rule, and each kept response is held against the rules when it is next asked for. A purge
//! so costs the same for one response and for a million.

use std::collections::VecDeque;

use super::dates::Wall;
use super::key::{HostId, UrlId};
use super::tags::TagId;
use crate::route::parse_host;

/// Rules for URLs, hosts and tags that are remembered one by one; older ones move to the coarse table.
const RULES_MAX: usize = 1 << 16;
/// Slots of the coarse table: a rule in it purges one response in so many by mistake.
const SLOTS: usize = 1 << 16;
/// Rules for prefixes that are remembered; of older ones the whole host is purged.
const PREFIXES_MAX: usize = 256;

/// What a rule purges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// One URL, whatever its scheme and port, for all variants; `bare` are responses whose key has a part of the query.
    Url {
        /// For keys with the whole query.
        whole: UrlId,
        /// For keys with a part of it.
        bare: UrlId,
    },
    /// All paths of a host that begin so.
    Prefix {
        /// The host.
        host: HostId,
        /// The beginning of the path, in normal form.
        path: Box<str>,
    },
    /// All of a host.
    Host(HostId),
    /// All that has a tag.
    Tag(TagId),
    /// Everything.
    All,
}

impl Scope {
    /// One URL; `path` in normal form.
    pub fn url(authority: &str, path: &str, query: Option<&str>) -> Self {
        Self::Url { whole: UrlId::whole(authority, path, query), bare: UrlId::bare(authority, path) }
    }

    /// All paths of a host that begin so, in normal form.
    pub fn prefix(authority: &str, path: &str) -> Self {
        Self::Prefix { host: HostId::of(authority), path: path.into() }
    }

    /// All of a host, with or without a port; `None` if that is no host.
    pub fn host(authority: &str) -> Option<Self> {
        let is_host = parse_host(authority).is_ok_and(|(host, _)| !host.is_empty());
        is_host.then(|| Self::Host(HostId::of(authority)))
    }

    /// All that has a tag.
    pub fn tag(tag: &str) -> Self {
        Self::Tag(TagId::of(tag.trim().as_bytes()))
    }
}

/// How a rule purges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strength {
    /// The response is gone.
    Hard,
    /// The response is stale from this moment on.
    Soft(Wall),
}

/// A kept response, as rules see it.
#[derive(Debug, Clone, Copy)]
pub struct Purgeable<'a> {
    /// The sequence number that was the newest when its request left for the server.
    pub sequence: u64,
    /// Its URL, from its key.
    pub url: UrlId,
    /// Its host, from its key.
    pub host: HostId,
    /// The path that the client asked for, in normal form.
    pub path: &'a str,
    /// Its tags.
    pub tags: &'a [TagId],
}

/// What the rules make of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PurgeVerdict {
    /// No rule speaks of it.
    Live,
    /// It is stale since this moment.
    Stale(Wall),
    /// It must not be used, and its space can be freed.
    Gone,
}

/// Soft rules of one scope that are remembered one by one.
const SOFT_MAX: usize = 16;

/// The rules of one scope, by sequence number; 0 is none.
#[derive(Debug, Clone, Default)]
struct Rules {
    hard: u64,
    /// With the moment of each, the oldest first: a response is stale from the first one that is younger than it.
    soft: Vec<(u64, Wall)>,
}

impl Rules {
    fn add(&mut self, sequence: u64, strength: Strength) {
        match strength {
            Strength::Hard => self.hard = self.hard.max(sequence),
            Strength::Soft(at) => {
                let place = self.soft.partition_point(|(other, _)| *other <= sequence);
                self.soft.insert(place, (sequence, at));
            }
        }
        if self.soft.len() > SOFT_MAX {
            // What the second speaks of counts as stale since the first, which is longer.
            let (_, oldest) = self.soft.remove(0);
            self.soft[0].1 = oldest.min(self.soft[0].1);
        }
    }

    fn merge(&mut self, other: Self) {
        self.add(other.hard, Strength::Hard);
        other.soft.into_iter().for_each(|(sequence, at)| self.add(sequence, Strength::Soft(at)));
    }

    fn newest(&self) -> u64 {
        self.soft.last().map_or(self.hard, |(sequence, _)| self.hard.max(*sequence))
    }

    /// Since when a response is stale by these rules.
    fn stale_since(&self, sequence: u64) -> Option<Wall> {
        let younger = self.soft.iter().filter(|(other, _)| *other > sequence);
        younger.map(|(_, at)| *at).min()
    }
}

/// All rules. A rule speaks of every response whose sequence number is smaller than its own.
#[derive(Debug, Default)]
pub struct PurgeRules {
    newest: u64,
    all: Rules,
    exact: foldhash::HashMap<u128, Rules>,
    /// Of the exact rules, the oldest first; a rule that was renewed stands here more than once.
    order: VecDeque<(u64, u128)>,
    /// Empty until it is needed.
    coarse: Vec<Rules>,
    prefixes: Vec<(HostId, Box<str>, Rules)>,
}

impl PurgeRules {
    /// The sequence number of the newest rule. A response that was held against the rules when this was the same need not be
    /// held against them again.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Rules that are remembered one by one.
    pub fn len(&self) -> usize {
        self.exact.len() + self.prefixes.len()
    }

    /// True if there is no rule but for everything.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.coarse.is_empty()
    }

    /// Adds a rule. `sequence` is larger than that of every response whose request has left, and of every rule before.
    pub fn add(&mut self, sequence: u64, scope: &Scope, strength: Strength) {
        self.newest = self.newest.max(sequence);
        match scope {
            Scope::All => self.all.add(sequence, strength),
            Scope::Url { whole, bare } => {
                self.add_exact(sequence, whole.0, strength);
                self.add_exact(sequence, bare.0, strength);
            }
            Scope::Host(host) => self.add_exact(sequence, host.0, strength),
            Scope::Tag(tag) => self.add_exact(sequence, tag.0, strength),
            Scope::Prefix { host, path } => self.add_prefix(sequence, *host, path, strength),
        }
        if matches!((scope, strength), (Scope::All, Strength::Hard)) {
            // Nothing older is left that another rule could speak of.
            self.forget(sequence);
        }
    }

    fn add_exact(&mut self, sequence: u64, id: u128, strength: Strength) {
        self.exact.entry(id).or_default().add(sequence, strength);
        self.order.push_back((sequence, id));
        // Renewed rules stand in the order more than once, and count once.
        while self.exact.len() > RULES_MAX || self.order.len() > 4 * RULES_MAX {
            let Some((then, oldest)) = self.order.pop_front() else { return };
            let is_last = self.exact.get(&oldest).is_some_and(|rule| rule.newest() <= then);
            if is_last && let Some(rule) = self.exact.remove(&oldest) {
                self.slot(oldest).merge(rule);
            }
        }
    }

    fn slot(&mut self, id: u128) -> &mut Rules {
        if self.coarse.is_empty() {
            self.coarse = vec![Rules::default(); SLOTS];
        }
        &mut self.coarse[slot(id)]
    }

    fn add_prefix(&mut self, sequence: u64, host: HostId, path: &str, strength: Strength) {
        match self.prefixes.iter_mut().find(|(other, prefix, _)| *other == host && **prefix == *path) {
            Some((_, _, rule)) => rule.add(sequence, strength),
            None => {
                let mut rule = Rules::default();
                rule.add(sequence, strength);
                self.prefixes.push((host, path.into(), rule));
            }
        }
        if self.prefixes.len() > PREFIXES_MAX {
            let oldest = (0..self.prefixes.len()).min_by_key(|at| self.prefixes[*at].2.newest());
            if let Some(at) = oldest {
                let (host, _, rule) = self.prefixes.swap_remove(at);
                self.slot(host.0).merge(rule);
            }
        }
    }

    /// What the rules make of a response.
    pub fn verdict(&self, of: &Purgeable<'_>) -> PurgeVerdict {
        let mut since: Option<Wall> = None;
        let mut is_gone = false;
        let mut hold = |rule: &Rules| {
            is_gone |= rule.hard > of.sequence;
            since = [since, rule.stale_since(of.sequence)].into_iter().flatten().min();
        };
        hold(&self.all);
        let ids = [of.url.0, of.host.0].into_iter().chain(of.tags.iter().map(|tag| tag.0));
        for id in ids {
            self.exact.get(&id).into_iter().for_each(&mut hold);
            self.coarse.get(slot(id)).into_iter().for_each(&mut hold);
        }
        let prefixes = self.prefixes.iter();
        prefixes
            .filter(|(host, prefix, _)| *host == of.host && of.path.starts_with(&**prefix))
            .for_each(|(_, _, rule)| hold(rule));
        match (is_gone, since) {
            (true, _) => PurgeVerdict::Gone,
            (false, Some(since)) => PurgeVerdict::Stale(since),
            (false, None) => PurgeVerdict::Live,
        }
    }

    /// Forgets what speaks of no response any more: the sequence number of every kept response, and of every request that is
    /// under way, is at least `floor`.
    pub fn forget(&mut self, floor: u64) {
        self.exact.retain(|_, rule| rule.newest() > floor);
        self.order.retain(|(sequence, id)| *sequence > floor && self.exact.contains_key(id));
        self.prefixes.retain(|(_, _, rule)| rule.newest() > floor);
        if self.coarse.iter().all(|rule| rule.newest() <= floor) {
            self.coarse = Vec::new();
        }
    }
}

fn slot(id: u128) -> usize {
    // The remainder is below 65,536.
    (id % SLOTS as u128) as usize
}

#[cfg(test)]
#[path = "purge_tests.rs"]
mod tests;
