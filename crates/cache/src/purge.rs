//! Which purges an object is subject to. A purge is a rule with a number, not a walk; objects are held against it when they
//! are found, and by the sweeper.

use std::collections::HashMap;

use crate::head::Head;
use crate::sync::RwLock;
use crate::sync::atomic::{AtomicU64, Ordering};

/// What a purge is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One URL, with all its variants.
    Url(String),
    /// All URLs that begin with this.
    Prefix(String),
    /// All URLs of a host, in lower case.
    Host(String),
    /// All responses with a tag.
    Tag(String),
    /// Everything.
    All,
}

/// What purges make of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No purge is about it.
    Kept,
    /// It may be used once it was revalidated.
    Stale,
    /// It may not be used.
    Gone,
}

/// The purges that are in force.
#[derive(Debug, Default)]
pub(crate) struct Purges {
    /// The number of the newest.
    newest: AtomicU64,
    rules: RwLock<Rules>,
}

impl Purges {
    /// The number of the newest purge.
    pub fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// Adds a purge and returns its number.
    pub fn add(&self, scope: Scope, soft: bool) -> u64 {
        let mut rules = self.rules.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let sequence = self.newest() + 1;
        rules.add(scope, soft, sequence);
        self.newest.store(sequence, Ordering::Release);
        sequence
    }

    /// What the purges make of an object.
    pub fn judge<M>(&self, head: &Head<M>) -> Verdict {
        let rules = self.rules.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        rules.judge(head)
    }

    /// What the purges make of a response that is about to be stored or joined. One from before the purges that were
    /// forgotten counts as purged, because it was not there when objects were held against them.
    pub fn judge_new<M>(&self, head: &Head<M>) -> Verdict {
        let rules = self.rules.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        if rules.floor > head.sequence() { Verdict::Gone } else { rules.judge(head) }
    }

    /// Forgets the purges up to `sequence`, which all objects were held against.
    pub fn forget(&self, sequence: u64) {
        let mut rules = self.rules.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        rules.forget(sequence);
    }
}

/// The newest purges of one scope.
#[derive(Debug, Default, Clone, Copy)]
struct Last {
    hard: u64,
    soft: u64,
}

impl Last {
    fn set(&mut self, soft: bool, sequence: u64) {
        *if soft { &mut self.soft } else { &mut self.hard } = sequence;
    }

    fn max(self, other: &Self) -> Self {
        Self { hard: self.hard.max(other.hard), soft: self.soft.max(other.soft) }
    }

    fn newest(self) -> u64 {
        self.hard.max(self.soft)
    }
}

#[derive(Debug, Default)]
struct Rules {
    urls: HashMap<String, Last>,
    hosts: HashMap<String, Last>,
    tags: HashMap<String, Last>,
    prefixes: Vec<(String, Last)>,
    all: Last,
    /// Purges up to this number were forgotten.
    floor: u64,
}

impl Rules {
    /// So many prefixes are compared one by one. A purge of one more purges everything.
    const PREFIXES_MAX: usize = 1_000;
    /// So many purged URLs, hosts and tags are remembered. A purge of one more purges everything.
    const SCOPES_MAX: usize = 1_000_000;

    fn add(&mut self, scope: Scope, soft: bool, sequence: u64) {
        let full = self.urls.len() + self.hosts.len() + self.tags.len() >= Self::SCOPES_MAX
            || self.prefixes.len() >= Self::PREFIXES_MAX;
        let last = match scope {
            Scope::All => &mut self.all,
            _ if full => {
                let all = Last { hard: sequence, soft: 0 };
                *self = Self { all, floor: self.floor, ..Self::default() };
                return;
            }
            Scope::Url(url) => self.urls.entry(url).or_default(),
            Scope::Host(host) => self.hosts.entry(host).or_default(),
            Scope::Tag(tag) => self.tags.entry(tag).or_default(),
            Scope::Prefix(prefix) => {
                let known = self.prefixes.iter().position(|(known, _)| *known == prefix);
                let index = known.unwrap_or(self.prefixes.len());
                if known.is_none() {
                    self.prefixes.push((prefix, Last::default()));
                }
                &mut self.prefixes[index].1
            }
        };
        last.set(soft, sequence);
    }

    fn judge<M>(&self, head: &Head<M>) -> Verdict {
        let mut last = self.all;
        let mut meet = |other: Option<&Last>| last = other.map_or(last, |other| last.max(other));
        meet(self.urls.get(head.url()));
        meet(self.hosts.get(head.host()));
        if !self.tags.is_empty() {
            head.tags().for_each(|tag| meet(self.tags.get(tag)));
        }
        for (prefix, other) in &self.prefixes {
            meet(head.url().starts_with(prefix.as_str()).then_some(other));
        }
        if last.hard > head.sequence() {
            Verdict::Gone
        } else if last.soft > head.sequence() {
            Verdict::Stale
        } else {
            Verdict::Kept
        }
    }

    fn forget(&mut self, sequence: u64) {
        let keep = |last: &Last| last.newest() > sequence;
        self.urls.retain(|_, last| keep(last));
        self.hosts.retain(|_, last| keep(last));
        self.tags.retain(|_, last| keep(last));
        self.prefixes.retain(|(_, last)| keep(last));
        self.floor = self.floor.max(sequence);
    }
}
