//! The policies against naive, exact models, and their bounds.

use std::collections::VecDeque;
use std::sync::Arc;

use evenkeel_types::Time;
use proptest::prelude::*;

use super::*;

/// An object under test.
#[derive(Debug)]
struct Item {
    id: u32,
    bytes: u64,
    mark: Mark,
}

impl Resident for Item {
    fn mark(&self) -> &Mark {
        &self.mark
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn fingerprint(&self) -> u32 {
        self.id.wrapping_mul(0x9e37_79b9)
    }
}

/// An order with the objects that are in it.
struct Real {
    policy: Policy,
    order: Eviction<Arc<Item>>,
    slots: Vec<(u32, Arc<Item>)>,
}

impl Real {
    fn new(policy: Policy) -> Self {
        Self { policy, order: Eviction::new(policy), slots: Vec::new() }
    }

    fn insert(&mut self, id: u32, bytes: u64, tick: u32) {
        let item = Arc::new(Item { id, bytes, mark: Mark::default() });
        let slot = self.order.insert(Arc::clone(&item), tick);
        self.slots.push((slot, item));
    }

    fn find(&self, id: u32) -> Option<usize> {
        self.slots.iter().position(|(_, item)| item.id == id)
    }

    fn hit(&self, id: u32, tick: u32) -> bool {
        let found = self.find(id).map(|index| &self.slots[index].1);
        found.inspect(|item| item.mark.hit(self.policy, tick)).is_some()
    }

    fn remove(&mut self, id: u32) -> bool {
        let Some(index) = self.find(id) else { return false };
        let (slot, item) = self.slots.swap_remove(index);
        let removed = self.order.remove(slot).expect("it is there");
        assert!(Arc::ptr_eq(&removed, &item));
        true
    }

    fn evict(&mut self) -> Option<u32> {
        let victim = self.order.evict()?;
        let index = self.find(victim.id).expect("it was there");
        self.slots.swap_remove(index);
        Some(victim.id)
    }

    fn check(&self) {
        let bytes: u64 = self.slots.iter().map(|(_, item)| item.bytes).sum();
        assert_eq!((self.order.bytes(), self.order.len()), (bytes, self.slots.len()));
        let mut found: Vec<_> = self.order.scan(0, usize::MAX).0.map(|item| item.id).collect();
        let mut expected: Vec<_> = self.slots.iter().map(|(_, item)| item.id).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
        assert!(self.order.ghosts() <= self.slots.len().max(128) + 1);
    }
}

/// What the policies do, by looking at everything each time.
struct Model {
    policy: Policy,
    /// In the order in which they came.
    items: Vec<Known>,
    level: u32,
    turn: u32,
    ghosts: VecDeque<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    id: u32,
    bytes: u64,
    /// When it was used last (LRU), its rank (LFU).
    rank: u32,
    hits: u32,
    /// When it came to where it is.
    turn: u32,
    main: bool,
}

impl Model {
    fn new(policy: Policy) -> Self {
        Self { policy, items: Vec::new(), level: 0, turn: 0, ghosts: VecDeque::new() }
    }

    fn next_turn(&mut self) -> u32 {
        self.turn += 1;
        self.turn
    }

    fn insert(&mut self, id: u32, bytes: u64, tick: u32) {
        let rank = if self.policy == Policy::Lfu { self.level } else { tick };
        let main = self.ghosts.contains(&id);
        let turn = self.next_turn();
        self.items.push(Known { id, bytes, rank, hits: 0, turn, main });
    }

    fn hit(&mut self, id: u32, tick: u32) {
        let policy = self.policy;
        for item in self.items.iter_mut().filter(|item| item.id == id) {
            match policy {
                Policy::Lru => item.rank = tick,
                Policy::Lfu => item.rank += 1,
                Policy::S3Fifo => item.hits = (item.hits + 1).min(3),
                Policy::Fifo => {}
            }
        }
    }

    fn remove(&mut self, id: u32) {
        self.items.retain(|item| item.id != id);
    }

    fn evict(&mut self) -> Option<u32> {
        match self.policy {
            Policy::Fifo => self.take(|item| item.turn),
            Policy::Lru => self.take(|item| item.rank),
            // Of equal ranks, any: the test compares the ranks.
            Policy::Lfu => {
                self.level = self.items.iter().map(|item| item.rank).min()?;
                None
            }
            Policy::S3Fifo => self.evict_s3_fifo(),
        }
    }

    fn take(&mut self, by: impl Fn(&Known) -> u32) -> Option<u32> {
        let id = self.items.iter().min_by_key(|item| by(item))?.id;
        self.remove(id);
        Some(id)
    }

    fn evict_s3_fifo(&mut self) -> Option<u32> {
        loop {
            let total: u64 = self.items.iter().map(|item| item.bytes).sum();
            let small: u64 = self.items.iter().filter(|item| !item.main).map(|item| item.bytes).sum();
            let first = |main| {
                let queue = self.items.iter().filter(move |item| item.main == main);
                queue.min_by_key(|item| item.turn).map(|item| item.id)
            };
            let (of_small, of_main) = (first(false), first(true));
            let small = small * 10 >= total;
            let id = of_small.filter(|_| small || of_main.is_none()).or(of_main)?;
            let turn = self.next_turn();
            let index = self.items.iter().position(|item| item.id == id)?;
            let item = &mut self.items[index];
            if (item.main && item.hits > 0) || (!item.main && item.hits >= 2) {
                item.hits = if item.main { item.hits - 1 } else { 0 };
                (item.main, item.turn) = (true, turn);
                continue;
            }
            if !item.main {
                let max = self.items.len().max(128);
                self.ghosts.push_back(id);
                while self.ghosts.len() > max {
                    self.ghosts.pop_front();
                }
            }
            self.remove(id);
            return Some(id);
        }
    }
}

/// What happens to an order.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// An object is asked for, and stored if it is not there.
    Ask(u32, u64),
    Remove(u32),
    Evict,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..80_u32, 1..100_u64).prop_map(|(id, bytes)| Step::Ask(id, bytes)),
        1 => (0..80_u32).prop_map(Step::Remove),
        2 => Just(Step::Evict),
    ];
    prop::collection::vec(step, 1..500)
}

/// Each step in a tick of its own, so that no two objects were used last at the same time.
fn compare(policy: Policy, steps: &[Step], capacity: u64) {
    let (mut real, mut model) = (Real::new(policy), Model::new(policy));
    let evict = |real: &mut Real, model: &mut Model| {
        let expected = model.evict();
        let victim = real.evict();
        if policy == Policy::Lfu {
            let rank = model.items.iter().find(|item| Some(item.id) == victim).map(|item| item.rank);
            assert_eq!(rank, victim.map(|_| model.level), "{victim:?}");
            victim.inspect(|&id| model.remove(id));
        } else {
            assert_eq!(victim, expected);
        }
    };
    for (tick, step) in (1..).zip(steps) {
        match *step {
            Step::Ask(id, _) if real.hit(id, tick) => model.hit(id, tick),
            Step::Ask(id, bytes) => {
                while real.order.bytes() + bytes > capacity {
                    evict(&mut real, &mut model);
                }
                real.insert(id, bytes, tick);
                model.insert(id, bytes, tick);
            }
            Step::Remove(id) => {
                real.remove(id);
                model.remove(id);
            }
            Step::Evict => evict(&mut real, &mut model),
        }
        if tick % 16 == 0 {
            real.check();
        }
        assert!(real.order.bytes() <= capacity);
    }
    while !real.order.is_empty() {
        evict(&mut real, &mut model);
    }
    assert_eq!((real.order.evict().is_none(), real.order.bytes(), model.items.len()), (true, 0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn each_policy_evicts_what_its_model_does(steps in steps(), capacity in 100..2_000_u64) {
        for policy in Policy::ALL {
            compare(policy, &steps, capacity);
        }
    }
}

#[test]
fn what_is_taken_out_leaves_no_trace_however_often() {
    for policy in Policy::ALL {
        let mut real = Real::new(policy);
        for id in 0..100_000 {
            real.insert(id, 10, id);
            if id >= 10 {
                real.remove(id - 10);
            }
        }
        real.check();
        assert_eq!(real.order.scan(0, usize::MAX).1, 0);
        let places =
            std::iter::successors(Some(0), |&from| Some(real.order.scan(from, 10).1).filter(|&n| n > 0));
        assert!(places.count() < 20, "{policy:?}: places are used again");
    }
}

#[test]
fn fingerprints_are_bounded() {
    let mut real = Real::new(Policy::S3Fifo);
    for id in 0..50_000 {
        while real.order.bytes() + 10 > 5_000 {
            real.evict();
        }
        real.insert(id, 10, 0);
    }
    assert!((100..=501).contains(&real.order.ghosts()), "{}", real.order.ghosts());
}

#[test]
fn an_eviction_looks_at_a_bounded_number_of_entries() {
    for policy in Policy::ALL {
        let mut real = Real::new(policy);
        for id in 0..20_000 {
            real.insert(id, 10, 0);
        }
        for tick in 1..5 {
            real.slots.iter().for_each(|(_, item)| item.mark.hit(policy, tick));
        }
        let victim = real.evict().expect("there are entries");
        assert!(victim < 2_000, "{policy:?}: {victim}");
        real.check();
    }
}

#[test]
fn what_was_used_last_stays_with_lru_and_what_was_used_most_with_lfu() {
    for (policy, victim) in [(Policy::Lru, 1), (Policy::Lfu, 2), (Policy::Fifo, 1), (Policy::S3Fifo, 2)] {
        let mut real = Real::new(policy);
        real.insert(1, 10, 0);
        real.insert(2, 10, 0);
        (1..4).for_each(|tick| assert!(real.hit(1, tick)));
        assert!(real.hit(2, 4));
        assert_eq!(real.evict(), Some(victim), "{policy:?}");
    }
}

#[test]
fn an_object_that_was_popular_leaves_with_lfu_when_it_is_not_used_any_more() {
    let mut real = Real::new(Policy::Lfu);
    real.insert(0, 10, 0);
    (0..1_000).for_each(|tick| assert!(real.hit(0, tick)));
    let mut left = None;
    for id in 1..1_000 {
        while real.order.bytes() + 10 > 100 {
            left = left.or((real.evict() == Some(0)).then_some(id));
        }
        real.insert(id, 10, 0);
        // Each is used once, so that the level rises with every renewal of the cache.
        assert!(real.hit(id, 0));
    }
    assert!(left.is_some_and(|id| id > 300), "{left:?}");
}

#[test]
fn entries_are_drained_whole() {
    let mut real = Real::new(Policy::S3Fifo);
    (0..100).for_each(|id| real.insert(id, 10, 0));
    real.remove(50);
    assert_eq!(real.order.drain().len(), 99);
    assert_eq!((real.order.len(), real.order.bytes(), real.order.ghosts()), (0, 0, 0));
}

#[test]
fn a_hit_writes_only_what_changes() {
    let mark = Mark::default();
    (0..10).for_each(|_| mark.hit(Policy::S3Fifo, 0));
    assert_eq!(mark.take_hits(u32::MAX), 3);
    (0..1_000).for_each(|_| mark.hit(Policy::Lfu, 0));
    assert_eq!(mark.take_hits(u32::MAX), Mark::LFU_HITS_MAX);
    mark.hit(Policy::Fifo, 7);
    assert_eq!(mark.take_hits(u32::MAX), 0);
    mark.hit(Policy::Lru, 7);
    assert_eq!(mark.stamp(), 7);
    assert_eq!(Mark::tick(Time::from_millis(250)), 2);
}
