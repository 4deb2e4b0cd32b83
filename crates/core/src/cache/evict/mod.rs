//! Which stored object makes room for another: four policies over entries weighed in bytes.
//!
//! A hit only marks the object ([`Mark`]) and touches nothing that is shared. The order of eviction is touched by stores
//! and evictions alone, which look at the marks of the objects that they meet.

mod fifo;
mod ghosts;
mod lfu;
mod lru;
mod mark;
mod policy;
mod resident;
mod s3_fifo;
mod slots;

pub use mark::Mark;
pub use policy::Policy;
pub use resident::Resident;

use fifo::Fifo;
use lfu::Lfu;
use lru::Lru;
use s3_fifo::S3Fifo;
use slots::Slots;

/// The order in which objects are evicted. It knows no maximum: the store evicts before it inserts.
#[derive(Debug)]
pub struct Eviction<T> {
    slots: Slots<T>,
    order: Order,
}

#[derive(Debug)]
enum Order {
    Lru(Lru),
    Lfu(Lfu),
    Fifo(Fifo),
    S3Fifo(S3Fifo),
}

impl<T: Resident> Eviction<T> {
    /// An empty order.
    pub fn new(policy: Policy) -> Self {
        let order = match policy {
            Policy::Lru => Order::Lru(Lru::default()),
            Policy::Lfu => Order::Lfu(Lfu::default()),
            Policy::Fifo => Order::Fifo(Fifo::default()),
            Policy::S3Fifo => Order::S3Fifo(S3Fifo::default()),
        };
        Self { slots: Slots::default(), order }
    }

    /// By what it chooses.
    pub fn policy(&self) -> Policy {
        match self.order {
            Order::Lru(_) => Policy::Lru,
            Order::Lfu(_) => Policy::Lfu,
            Order::Fifo(_) => Policy::Fifo,
            Order::S3Fifo(_) => Policy::S3Fifo,
        }
    }

    /// The sum of the sizes of all entries, in bytes.
    pub fn bytes(&self) -> u64 {
        self.slots.bytes()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries have left without trace but for a fingerprint.
    pub fn ghosts(&self) -> usize {
        match &self.order {
            Order::S3Fifo(order) => order.ghosts(),
            Order::Lru(_) | Order::Lfu(_) | Order::Fifo(_) => 0,
        }
    }

    /// Adds an entry. `tick` is the time as [`Mark::hit`] counts it. The number that it returns stands for the entry until
    /// that is removed or evicted.
    pub fn insert(&mut self, entry: T, tick: u32) -> u32 {
        entry.mark().reset();
        let (bytes, fingerprint) = (entry.bytes(), entry.fingerprint());
        let slot = self.slots.insert(entry);
        match &mut self.order {
            Order::Lru(order) => order.insert(slot, tick),
            Order::Lfu(order) => order.insert(slot),
            Order::Fifo(order) => order.insert(slot),
            Order::S3Fifo(order) => order.insert(slot, bytes, fingerprint),
        }
        slot
    }

    /// The size of an entry has changed from `before` to `after`, in bytes.
    pub fn resized(&mut self, slot: u32, before: u64, after: u64) {
        self.slots.resized(before, after);
        if let Order::S3Fifo(order) = &mut self.order {
            order.resized(slot, before, after);
        }
    }

    /// Takes an entry out that is not to be evicted but gone. A number that stands for no entry takes none out.
    pub fn remove(&mut self, slot: u32) -> Option<T> {
        let entry = self.slots.kill(slot)?;
        if let Order::S3Fifo(order) = &mut self.order {
            order.removed(slot, entry.bytes());
        }
        if self.slots.mostly_dead() {
            self.compact();
        }
        Some(entry)
    }

    /// Chooses an entry and takes it out; `None` if there is none.
    pub fn evict(&mut self) -> Option<T> {
        let slot = match &mut self.order {
            Order::Lru(order) => order.choose(&mut self.slots),
            Order::Lfu(order) => order.choose(&mut self.slots),
            Order::Fifo(order) => order.choose(&mut self.slots),
            Order::S3Fifo(order) => order.choose(&mut self.slots),
        }?;
        self.slots.take(slot)
    }

    /// The entries among `count` places from the place `from` on, in no order that means something, and where to look on;
    /// that is 0 after the last place. For walks over all entries in small steps, between which entries come and go.
    pub fn scan(&self, from: usize, count: usize) -> (impl Iterator<Item = &T>, usize) {
        self.slots.scan(from, count)
    }

    /// Takes all entries out.
    pub fn drain(&mut self) -> Vec<T> {
        let policy = self.policy();
        std::mem::replace(self, Self::new(policy)).slots.into_entries()
    }

    /// Forgets the places in the queues of entries that were taken out.
    fn compact(&mut self) {
        match &mut self.order {
            Order::Lru(order) => order.compact(&mut self.slots),
            Order::Lfu(order) => order.compact(&mut self.slots),
            Order::Fifo(order) => order.compact(&mut self.slots),
            Order::S3Fifo(order) => order.compact(&mut self.slots),
        }
    }
}

#[cfg(test)]
mod tests;
