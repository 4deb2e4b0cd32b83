//! One request's view of a fetch in progress.

use std::task::{Context, Poll};

use evenkeel_core::cache::PurgeVerdict;

pub use crate::fill::{Piece, Why};

use crate::fill::{Fill, Phase};
use crate::head::Head;
use crate::object::Object;
use crate::purge::Purges;
use crate::sync::Arc;

/// Reads a fetch from its beginning. Dropping it leaves the others alone.
#[derive(Debug)]
pub struct Reader<M> {
    fill: Arc<Fill<M>>,
    place: usize,
    purges: Arc<Purges>,
    /// The number of the newest purge when it joined.
    joined: u64,
}

/// What became of the fetch that a request waited for.
#[derive(Debug)]
pub enum Joined<M> {
    /// The head of a response that may be shared. The body follows.
    Head(Arc<Head<M>>),
    /// The object that was revalidated, fresh again.
    Object(Arc<Object<M>>),
    /// The request has to fetch for itself, without waiting for others.
    Alone(Why),
    /// The request has to look again: what it waited for was purged before the request came, or has come from the disk.
    Again,
}

impl<M> Reader<M> {
    /// Joins a fetch; `None` if it is too late.
    pub(crate) fn join(fill: &Arc<Fill<M>>, purges: &Arc<Purges>) -> Option<Self> {
        let place = fill.join()?;
        let joined = purges.newest();
        Some(Self { fill: Arc::clone(fill), place, purges: Arc::clone(purges), joined })
    }

    /// Joins a fetch for the request that it was begun for; `None` if it is too late.
    pub(crate) fn of_leader(fill: &Arc<Fill<M>>, purges: &Arc<Purges>) -> Option<Self> {
        let place = fill.join()?;
        Some(Self { fill: Arc::clone(fill), place, purges: Arc::clone(purges), joined: fill.sequence() })
    }

    /// Joins a fetch for the disk; `None` if it is too late.
    pub(crate) fn spool(fill: &Arc<Fill<M>>, purges: &Arc<Purges>) -> Option<Self> {
        let reader = Self::join(fill, purges)?;
        fill.set_spool(reader.place);
        Some(reader)
    }

    /// Waits for the head. The request has still to judge whether it is an answer to it (`Vary`), and if it is not, to look
    /// again.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Joined<M>> {
        self.fill.poll_phase(self.place, cx).map(|phase| match phase {
            Phase::Open(head) | Phase::Whole(head) if self.is_current(&head) => Joined::Head(head),
            Phase::Instead(object) => Joined::Object(object),
            Phase::Alone(why) => Joined::Alone(why),
            Phase::Asked | Phase::Broken => Joined::Alone(Why::Failed),
            Phase::Open(_) | Phase::Whole(_) | Phase::Again => Joined::Again,
        })
    }

    /// Whether no purge came between the fetch and this request.
    fn is_current(&self, head: &Head<M>) -> bool {
        self.joined <= head.sequence() || self.purges.judge_new(head) == PurgeVerdict::Live
    }

    /// The next piece of the body; before the head, waits for both.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Piece> {
        self.fill.poll_next(self.place, cx)
    }

    /// Leaves out the next `bytes` of the body, for a range.
    pub fn skip(&mut self, bytes: u64) {
        self.fill.skip(self.place, bytes);
    }
}

impl<M> Drop for Reader<M> {
    fn drop(&mut self) {
        self.fill.leave(self.place);
    }
}
