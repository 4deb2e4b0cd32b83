//! The sessions of one udp socket: to which one a datagram belongs, how many there may be, and when one has ended.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crossbeam_utils::CachePadded;
use evenkeel_types::Time;

/// Entries of sessions that have ended early which may wait in the schedule, beside as many as there are sessions.
const STALE_MAX: usize = 64;

/// What the datagrams of one session have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionKey {
    /// Where they come from.
    pub peer: SocketAddr,
    /// The address that they were sent to; `None` if the socket has but one.
    pub local: Option<IpAddr>,
    /// The client that the peer sends them for, if a PROXY header says so.
    pub client: Option<SocketAddr>,
}

/// The sessions of one socket, each with what belongs to it. A session ends when nothing has moved in it for the idle timeout, or
/// when it is removed.
///
/// That something moves costs no more than noting the time: each session has one entry in a schedule, which is looked at when it
/// falls due, and is put back if something has moved since.
#[derive(Debug)]
pub struct Sessions<T> {
    idle: Duration,
    /// Keyed, because clients choose their addresses.
    keys: HashMap<SessionKey, usize>,
    slots: Vec<Slot<T>>,
    free: Vec<usize>,
    schedule: BinaryHeap<Reverse<Entry>>,
}

/// When a session is looked at; the stamp is that of its slot, unless the session has ended since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    due: Time,
    at: usize,
    stamp: u32,
}

#[derive(Debug)]
struct Slot<T> {
    /// How many sessions the slot has had.
    stamp: u32,
    /// In a box, so that a table that grows moves little.
    held: Option<Box<Held<T>>>,
}

#[derive(Debug)]
struct Held<T> {
    key: SessionKey,
    moved: Time,
    value: T,
}

impl<T> Sessions<T> {
    /// None yet. One in which nothing has moved for `idle` has ended.
    pub fn new(idle: Duration) -> Self {
        Self { idle, keys: HashMap::new(), slots: Vec::new(), free: Vec::new(), schedule: BinaryHeap::new() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The session that a datagram belongs to.
    #[inline]
    pub fn find(&self, key: &SessionKey) -> Option<usize> {
        self.keys.get(key).copied()
    }

    /// What the datagrams of a session have in common.
    pub fn key(&self, session: usize) -> Option<SessionKey> {
        Some(self.slots.get(session)?.held.as_ref()?.key)
    }

    /// What belongs to a session.
    #[inline]
    pub fn get_mut(&mut self, session: usize) -> Option<&mut T> {
        Some(&mut self.slots.get_mut(session)?.held.as_mut()?.value)
    }

    /// Something moves in a session now. What belongs to it.
    #[inline]
    pub fn touch(&mut self, session: usize, now: Time) -> Option<&mut T> {
        let held = self.slots.get_mut(session)?.held.as_mut()?;
        held.moved = now;
        Some(&mut held.value)
    }

    /// Adds a session in which something moves now. The one that had the key is replaced, and what belonged to it returned.
    pub fn add(&mut self, key: SessionKey, value: T, now: Time) -> (usize, Option<T>) {
        let before = self.find(&key).and_then(|session| self.remove(session));
        let at = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { stamp: 0, held: None });
            self.slots.len() - 1
        });
        let slot = &mut self.slots[at];
        slot.held = Some(Box::new(Held { key, moved: now, value }));
        self.schedule.push(Reverse(Entry { due: now + self.idle, at, stamp: slot.stamp }));
        self.keys.insert(key, at);
        (at, before)
    }

    /// Ends a session; what belonged to it.
    pub fn remove(&mut self, session: usize) -> Option<T> {
        let slot = self.slots.get_mut(session)?;
        let held = slot.held.take()?;
        slot.stamp = slot.stamp.wrapping_add(1);
        self.free.push(session);
        self.keys.remove(&held.key);
        if self.schedule.len() > 2 * self.keys.len() + STALE_MAX {
            self.reschedule();
        }
        if self.keys.is_empty() {
            // What many sessions have needed at a time is not kept for ever.
            *self = Self::new(self.idle);
        }
        Some(held.value)
    }

    /// A session in which nothing has moved for the idle timeout; it is to be removed or touched before this is called again.
    pub fn expired(&mut self, now: Time) -> Option<usize> {
        while let Some(Reverse(entry)) = self.schedule.peek().copied().filter(|entry| entry.0.due <= now) {
            self.schedule.pop();
            let Some(held) = current(&self.slots, entry) else { continue };
            let due = held.moved + self.idle;
            // One that is touched instead of removed must be found again.
            self.schedule.push(Reverse(Entry { due: due.max(now + Duration::from_nanos(1)), ..entry }));
            if due <= now {
                return Some(entry.at);
            }
        }
        None
    }

    /// When [`expired`](Self::expired) is worth a call; `None` while there is no session.
    pub fn due(&self) -> Option<Time> {
        self.schedule.peek().map(|entry| entry.0.due)
    }

    /// Sets the idle timeout, also for the sessions that are there.
    pub fn set_idle(&mut self, idle: Duration) {
        if self.idle != idle {
            self.idle = idle;
            self.reschedule();
        }
    }

    /// Every session.
    pub fn all(&self) -> impl Iterator<Item = usize> {
        self.slots.iter().enumerate().filter(|(_, slot)| slot.held.is_some()).map(|(at, _)| at)
    }

    fn reschedule(&mut self) {
        let entry = |(at, slot): (usize, &Slot<T>)| {
            let due = slot.held.as_ref()?.moved + self.idle;
            Some(Reverse(Entry { due, at, stamp: slot.stamp }))
        };
        self.schedule = self.slots.iter().enumerate().filter_map(entry).collect();
    }
}

/// The session of an entry, unless it has ended.
fn current<T>(slots: &[Slot<T>], entry: Entry) -> Option<&Held<T>> {
    let slot = slots.get(entry.at).filter(|slot| slot.stamp == entry.stamp)?;
    slot.held.as_deref()
}

/// How many sessions a listener has, over all workers.
#[derive(Debug, Default)]
pub struct Places(CachePadded<AtomicUsize>);

/// One session's place among those that a listener may have.
#[derive(Debug)]
pub struct Place(Arc<Places>);

impl Places {
    /// A place, unless `max` are taken. No live session makes room.
    pub fn take(self: &Arc<Self>, max: usize) -> Option<Place> {
        if self.0.fetch_add(1, Relaxed) < max {
            return Some(Place(Arc::clone(self)));
        }
        self.0.fetch_sub(1, Relaxed);
        None
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
