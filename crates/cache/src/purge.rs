//! Which purges an object is subject to. A purge is a rule with a number, not a walk; objects are held against it when they
//! are found, and by the sweeper.

use std::sync::PoisonError;

use evenkeel_core::cache::{PurgeRules, PurgeVerdict, Purgeable, Scope, Strength};

use crate::head::Head;
use crate::sync::RwLock;
use crate::sync::atomic::{AtomicU64, Ordering};

/// The purges that are in force.
#[derive(Debug, Default)]
pub(crate) struct Purges {
    /// The number of the newest.
    newest: AtomicU64,
    rules: RwLock<Rules>,
}

#[derive(Debug, Default)]
struct Rules {
    rules: PurgeRules,
    /// Those that may speak of something on the disk. They are never forgotten, because the disk is not looked through.
    lasting: PurgeRules,
    /// Purges up to this number were forgotten.
    floor: u64,
}

impl Purges {
    /// The number of the newest purge.
    pub fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// Adds a purge and returns its number.
    pub fn add(&self, scope: &Scope, strength: Strength) -> u64 {
        self.add_for(scope, strength, false)
    }

    /// The same, also for what is on the disk if it is `lasting`.
    pub fn add_for(&self, scope: &Scope, strength: Strength, lasting: bool) -> u64 {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        let sequence = self.newest() + 1;
        rules.rules.add(sequence, scope, strength);
        if lasting {
            rules.lasting.add(sequence, scope, strength);
        }
        self.newest.store(sequence, Ordering::Release);
        sequence
    }

    /// Adds a purge that an earlier process has written down.
    pub fn restore(&self, sequence: u64, scope: &Scope, strength: Strength) {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        rules.lasting.add(sequence, scope, strength);
        self.newest.fetch_max(sequence, Ordering::AcqRel);
    }

    /// Numbers purges from here on, if not from further on.
    pub fn begin(&self, sequence: u64) {
        self.newest.fetch_max(sequence, Ordering::AcqRel);
    }

    /// What the purges make of an object that comes from the disk.
    pub fn judge_loaded<M>(&self, head: &Head<M>) -> PurgeVerdict {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        match (verdict(&rules.rules, head), verdict(&rules.lasting, head)) {
            (PurgeVerdict::Gone, _) | (_, PurgeVerdict::Gone) => PurgeVerdict::Gone,
            (PurgeVerdict::Stale(one), PurgeVerdict::Stale(other)) => PurgeVerdict::Stale(one.min(other)),
            (PurgeVerdict::Live, other) => other,
            (stale, PurgeVerdict::Live) => stale,
        }
    }

    /// What the purges make of an object.
    pub fn judge<M>(&self, head: &Head<M>) -> PurgeVerdict {
        verdict(&self.rules.read().unwrap_or_else(PoisonError::into_inner).rules, head)
    }

    /// What the purges make of a response that is about to be stored or joined. One from before the purges that were
    /// forgotten counts as purged, because it was not there when objects were held against them.
    pub fn judge_new<M>(&self, head: &Head<M>) -> PurgeVerdict {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        if rules.floor > head.sequence() { PurgeVerdict::Gone } else { verdict(&rules.rules, head) }
    }

    /// Forgets the purges up to `sequence`, which all objects were held against.
    pub fn forget(&self, sequence: u64) {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        rules.rules.forget(sequence);
        rules.floor = rules.floor.max(sequence);
    }
}

/// What rules make of an object.
pub(crate) fn verdict<M>(rules: &PurgeRules, head: &Head<M>) -> PurgeVerdict {
    let tags: Vec<_> = head.tags().collect();
    rules.verdict(&Purgeable {
        sequence: head.sequence(),
        url: head.url(),
        host: head.host(),
        path: head.path(),
        tags: &tags,
    })
}
