//! What the system has acknowledged, and so must never lose.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::session::Body;

/// Acknowledged writes of one drill.
#[derive(Debug, Default)]
pub struct Ledger {
    written: Mutex<Written>,
}

/// A post that was not acknowledged, so that a client would repeat it.
#[derive(Debug, Clone)]
pub struct Unanswered {
    /// Who posted.
    pub user: usize,
    /// Where.
    pub path: String,
    /// What, with its key.
    pub body: Body,
}

/// The writes. Users are numbers, photos and comments ids as the API has them.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// Photos, each with its author.
    pub photos: BTreeMap<String, usize>,
    /// Comments: the photo, then the comment's id and text.
    pub comments: BTreeMap<String, BTreeMap<String, String>>,
    /// Likes: the photo, then the users.
    pub likes: BTreeMap<String, BTreeSet<usize>>,
    /// Likes that were sent, acknowledged or not.
    pub likes_sent: BTreeMap<String, BTreeSet<usize>>,
    /// Follows: the follower, and the one who is followed.
    pub follows: BTreeSet<(usize, usize)>,
    /// Posts that were not acknowledged.
    pub unanswered: Vec<Unanswered>,
    /// All acknowledgements, of the same like a second time too.
    pub acknowledged: u64,
    /// Own writes that the next read did not show.
    pub stale: Vec<String>,
}

impl Ledger {
    /// Notes something.
    pub fn note(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything up to now.
    pub fn written(&self) -> Written {
        self.note().clone()
    }

    /// Own writes that the next read did not show.
    pub fn stale(&self) -> Vec<String> {
        self.note().stale.clone()
    }
}
