//! Keeps the records: a few rings for each worker, each bounded by bytes; a new record replaces the oldest ones of its ring.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::record::{FlightRecord, WhyKept};
use crate::counter::SharedCounter;
use crate::names::RecordDropped;

/// What a record occupies beside its bytes: its entry in the ring, and what the allocator adds.
const OVERHEAD_BYTES: u64 = 96;
/// Entries that a reader copies before it lets the worker at its rings again: some microseconds.
const COPIED_AT_ONCE: usize = 256;

/// The rings of a worker. A flood of one kind replaces only records of its own kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RingKind {
    /// Requests that a server or this process failed.
    Failed,
    /// Requests that failed by what their clients did: 4xx of our own, clients that left.
    ByClient,
    /// Requests that were slow, or that more than one server was asked for.
    Slow,
    /// The sample.
    Sampled,
}

impl RingKind {
    /// Every kind, in the order of their discriminants.
    pub const ALL: [Self; 4] = [Self::Failed, Self::ByClient, Self::Slow, Self::Sampled];

    /// Its part of a worker's memory, in eighths.
    const fn eighths(self) -> u64 {
        match self {
            Self::Failed => 3,
            Self::ByClient => 1,
            Self::Slow | Self::Sampled => 2,
        }
    }
}

/// A record in its ring.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Grows from record to record over all workers.
    pub seq: u64,
    why: WhyKept,
    status: u16,
    duration_us: u32,
    id: u64,
    bytes: Arc<[u8]>,
}

impl Kept {
    fn new(seq: u64, record: FlightRecord) -> Self {
        let (why, status, id) = (record.why_kept, record.status, hash(&record.id));
        let duration_us = (record.duration_ms * 1e3).min(f64::from(u32::MAX)) as u32;
        Self { seq, why, status, duration_us, id, bytes: record.encode().into() }
    }

    /// Why it is kept.
    pub fn why(&self) -> WhyKept {
        self.why
    }

    /// The status that the client got.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// How long the request took.
    pub fn duration_ms(&self) -> f64 {
        f64::from(self.duration_us) / 1e3
    }

    /// True if it may be the record of a request of this id.
    pub fn may_be(&self, id: &str) -> bool {
        self.id == hash(id)
    }

    /// The record.
    pub fn read(&self) -> Option<FlightRecord> {
        FlightRecord::decode(&self.bytes)
    }

    fn size(&self) -> u64 {
        self.bytes.len() as u64 + OVERHEAD_BYTES
    }
}

/// Records of one kind, the oldest first.
#[derive(Debug, Default)]
struct Ring {
    records: VecDeque<Kept>,
    bytes: u64,
}

impl Ring {
    /// Adds a record, and removes the oldest ones to make room; false if the record is larger than the ring.
    fn push(&mut self, record: Kept, capacity: u64) -> bool {
        let size = record.size();
        if size > capacity {
            return false;
        }
        self.shrink(capacity - size);
        self.bytes += size;
        self.records.push_back(record);
        true
    }

    fn shrink(&mut self, capacity: u64) {
        while self.bytes > capacity {
            let Some(oldest) = self.records.pop_front() else { break };
            self.bytes -= oldest.size();
        }
        if self.records.capacity() > 64 && self.records.len() < self.records.capacity() / 4 {
            self.records.shrink_to(self.records.len() * 2);
        }
    }
}

/// The flight recorder of the process.
///
/// A worker writes to its own rings. Their lock is taken for a record alone, which is seldom, and a reader holds it for as
/// long as it takes to copy a few hundred references: neither waits for longer than microseconds.
#[derive(Debug)]
pub struct Recorder {
    workers: Box<[Mutex<[Ring; RingKind::ALL.len()]>]>,
    /// Bytes for each worker; 0 keeps nothing.
    capacity: AtomicU64,
    next: AtomicU64,
    kept: [SharedCounter; WhyKept::ALL.len()],
    dropped: [SharedCounter; RecordDropped::ALL.len()],
}

impl Recorder {
    /// For so many workers, without memory.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            workers: (0..workers).map(|_| Mutex::default()).collect(),
            capacity: AtomicU64::new(0),
            next: AtomicU64::new(0),
            kept: Default::default(),
            dropped: Default::default(),
        }
    }

    /// Gives it so many bytes, over all workers; `None` keeps nothing. Records that have no room any more are removed.
    pub fn set_memory(&self, bytes: Option<u64>) {
        let each = bytes.unwrap_or(0) / (self.workers.len() as u64).max(1);
        self.capacity.store(each, Relaxed);
        for worker in &self.workers {
            for (kind, ring) in RingKind::ALL.iter().zip(lock(worker).iter_mut()) {
                ring.shrink(part(each, *kind));
            }
        }
    }

    /// Bytes that records may occupy, over all workers; 0 if none are kept.
    pub fn memory(&self) -> u64 {
        self.capacity.load(Relaxed) * self.workers.len() as u64
    }

    /// Keeps a record that `worker` has made.
    ///
    /// # Panics
    /// When there is no such worker.
    pub fn keep(&self, worker: usize, kind: RingKind, record: FlightRecord) {
        let why = record.why_kept;
        let kept = Kept::new(self.next.fetch_add(1, Relaxed), record);
        let mut rings = lock(&self.workers[worker]);
        // Read under the lock, so that nothing is put where memory was just taken away.
        let capacity = part(self.capacity.load(Relaxed), kind);
        if rings[kind as usize].push(kept, capacity) {
            self.kept[why as usize].increment();
        } else {
            self.dropped(RecordDropped::Room);
        }
    }

    /// Counts a record that was not made.
    pub fn dropped(&self, why: RecordDropped) {
        self.dropped[why as usize].increment();
    }

    /// Records that were kept for this reason since the start.
    pub fn kept_so_far(&self, why: WhyKept) -> u64 {
        self.kept[why as usize].value()
    }

    /// Records that were not kept for this reason since the start.
    pub fn dropped_so_far(&self, why: RecordDropped) -> u64 {
        self.dropped[why as usize].value()
    }

    /// How many records there are now, and the bytes that they occupy.
    pub fn size(&self) -> (usize, u64) {
        let (mut records, mut bytes) = (0, 0);
        for worker in &self.workers {
            for ring in lock(worker).iter() {
                records += ring.records.len();
                bytes += ring.bytes;
            }
        }
        (records, bytes)
    }

    /// All records, the newest first.
    pub fn all(&self) -> Vec<Kept> {
        let mut all = Vec::new();
        for worker in &self.workers {
            for kind in RingKind::ALL {
                copy(worker, kind, &mut all);
            }
        }
        all.sort_unstable_by_key(|kept| std::cmp::Reverse(kept.seq));
        all
    }
}

/// Copies one ring piece by piece, so that the worker need not wait for all of it.
fn copy(worker: &Mutex<[Ring; RingKind::ALL.len()]>, kind: RingKind, all: &mut Vec<Kept>) {
    let mut from = 0;
    loop {
        let rings = lock(worker);
        let records = &rings[kind as usize].records;
        let start = records.partition_point(|kept| kept.seq < from);
        let before = all.len();
        all.extend(records.iter().skip(start).take(COPIED_AT_ONCE).cloned());
        drop(rings);
        match all.last() {
            Some(last) if all.len() - before == COPIED_AT_ONCE => from = last.seq + 1,
            _ => return,
        }
    }
}

fn part(capacity: u64, kind: RingKind) -> u64 {
    capacity / 8 * kind.eighths()
}

fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// Locks, even after a panic of a holder: none leaves a change half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(id: usize, why_kept: WhyKept, length: usize) -> FlightRecord {
        FlightRecord { id: id.to_string(), why_kept, target: "x".repeat(length), ..FlightRecord::default() }
    }

    fn ids(recorder: &Recorder) -> Vec<usize> {
        recorder.all().iter().map(|kept| kept.read().unwrap().id.parse().unwrap()).collect()
    }

    #[test]
    fn the_newest_come_first_whichever_worker_and_ring_has_them() {
        let recorder = Recorder::new(2);
        recorder.set_memory(Some(4 << 20));
        for id in 0..1_000 {
            recorder.keep(id % 2, RingKind::ALL[id % 4], record(id, WhyKept::Failed, 10));
        }
        assert!(ids(&recorder).into_iter().eq((0..1_000).rev()));
        assert_eq!(recorder.size().0, 1_000);
        assert!(recorder.all()[0].may_be("999") && !recorder.all()[1].may_be("999"));
    }

    #[test]
    fn a_flood_of_one_kind_pushes_out_no_other() {
        let recorder = Recorder::new(1);
        recorder.set_memory(Some(64 << 10));
        recorder.keep(0, RingKind::Failed, record(0, WhyKept::Failed, 10));
        for id in 1..10_000 {
            recorder.keep(0, RingKind::ByClient, record(id, WhyKept::Failed, 10));
        }
        assert_eq!(ids(&recorder).last(), Some(&0));
        assert!(recorder.size().1 <= 64 << 10);
    }

    #[test]
    fn without_memory_nothing_is_kept() {
        let recorder = Recorder::new(1);
        recorder.keep(0, RingKind::Failed, record(0, WhyKept::Failed, 10));
        assert_eq!((ids(&recorder).len(), recorder.dropped_so_far(RecordDropped::Room)), (0, 1));
        recorder.set_memory(Some(64 << 10));
        recorder.keep(0, RingKind::Failed, record(1, WhyKept::Failed, 10));
        assert_eq!(ids(&recorder), [1]);
        recorder.set_memory(None);
        assert_eq!((recorder.size(), recorder.memory()), ((0, 0), 0));
    }

    proptest! {
        /// Whatever is kept, in whatever order and with whatever memory: the bound holds, what is left is the newest of each
        /// ring, and the count of bytes is right.
        #[test]
        fn the_bound_holds(
            pushes in prop::collection::vec((0usize..2, 0usize..4, 0usize..3_000), 1..300),
            memory in (64u64 << 10)..(256 << 10),
            less in prop::option::of((0usize..300, 0u64..(64 << 10))),
        ) {
            let recorder = Recorder::new(2);
            recorder.set_memory(Some(memory));
            let mut now = memory;
            for (id, &(worker, ring, length)) in pushes.iter().enumerate() {
                if let Some((at, bytes)) = less && at == id {
                    recorder.set_memory(Some(bytes));
                    now = bytes;
                }
                recorder.keep(worker, RingKind::ALL[ring], record(id, WhyKept::Slow, length));
                prop_assert!(recorder.size().1 <= now);
            }
            let all = recorder.all();
            let bytes: u64 = all.iter().map(Kept::size).sum();
            prop_assert_eq!((all.len(), bytes), recorder.size());
            for (worker, ring) in (0..2).flat_map(|worker| (0..4).map(move |ring| (worker, ring))) {
                let given: Vec<usize> = (0..pushes.len())
                    .filter(|id| (pushes[*id].0, pushes[*id].1) == (worker, ring))
                    .collect();
                let left: Vec<usize> = ids(&recorder)
                    .into_iter()
                    .rev()
                    .filter(|id| (pushes[*id].0, pushes[*id].1) == (worker, ring))
                    .collect();
                if less.is_none() {
                    prop_assert_eq!(&given[given.len() - left.len()..], &left[..]);
                }
            }
        }
    }

    #[test]
    fn readers_and_writers_do_not_disturb_each_other() {
        let recorder = Recorder::new(4);
        recorder.set_memory(Some(256 << 10));
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let recorder = &recorder;
                scope.spawn(move || {
                    for id in 0..5_000 {
                        recorder.keep(worker, RingKind::ALL[id % 4], record(id, WhyKept::Failed, id % 300));
                    }
                });
            }
            for _ in 0..200 {
                let all = recorder.all();
                assert!(all.is_sorted_by(|one, next| one.seq > next.seq));
                assert!(all.iter().all(|kept| kept.read().is_some()));
                recorder.set_memory(Some(256 << 10));
            }
        });
        assert!(recorder.size().1 <= 256 << 10);
    }
}
