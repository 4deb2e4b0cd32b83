//! The hit ratio of each eviction policy of the cache, on drawn requests.

use std::fmt::Write;
use std::sync::Arc;

use evenkeel_core::cache::evict::{Eviction, Mark, Policy, Resident};
use fastrand::Rng;

/// Objects that clients ask for again and again; the one of rank n is asked for n times less often than the first.
const OBJECTS: usize = 20_000;
/// Requests that fill the cache, and those that are counted after them.
const WARM_UP: usize = 60_000;
const REQUESTS: usize = 100_000;
/// Requests in a tenth of a second.
const REQUESTS_PER_TICK: usize = 100;
/// Parts of the bytes of all objects that the cache holds, in percent.
const SIZES: [u64; 4] = [1, 3, 10, 30];

/// What clients ask for.
struct Traffic {
    name: &'static str,
    about: &'static str,
    /// One in so many requests is a crawler's, which asks for objects that no other client asks for, each once.
    scan: Option<usize>,
    /// After so many requests, another object becomes the most popular, and all others lose a rank.
    shift: Option<usize>,
}

const TRAFFIC: [Traffic; 3] = [
    Traffic {
        name: "Popularity that lasts",
        about: "20,000 objects of 1 to 256 KiB; the one of rank n is asked for n times less often than the first (Zipf).",
        scan: None,
        shift: None,
    },
    Traffic {
        name: "With a crawler",
        about: "The same, and every third request is a crawler's, which asks for each of its objects once. The ratio is that of \
                the other clients.",
        scan: Some(3),
        shift: None,
    },
    Traffic {
        name: "Popularity that passes",
        about: "The same without the crawler, but every fourth request another object becomes the most popular one, and the others \
                lose a rank.",
        scan: None,
        shift: Some(4),
    },
];

/// An object and what the order knows of it.
struct Item {
    id: usize,
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
        // Spreads numbers that follow one another.
        (self.id as u32).wrapping_mul(0x9e37_79b1)
    }
}

/// The tables as Markdown.
pub fn tables(seed: u64) -> String {
    let mut out = String::new();
    for traffic in &TRAFFIC {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(out, "\n### {}\n\n{}\n", traffic.name, traffic.about);
        let sizes = SIZES.map(|size| format!(" {size} % |")).concat();
        let _ = writeln!(out, "| `eviction` |{sizes}\n|---|{}", "---:|".repeat(SIZES.len()));
        for policy in Policy::ALL {
            let ratios =
                SIZES.map(|size| format!(" {:.1} % |", 100.0 * hit_ratio(traffic, policy, size, seed)));
            let _ = writeln!(out, "| `{}` |{}", policy.name(), ratios.concat());
        }
    }
    out.push('\n');
    out
}

/// The part of the requests, but for the crawler's, that find their object.
fn hit_ratio(traffic: &Traffic, policy: Policy, size: u64, seed: u64) -> f64 {
    let mut rng = Rng::with_seed(seed);
    // Powers of two and what is between them, as much of each.
    let mut length = || {
        let low = 1_024 << rng.u32(..8);
        low + rng.u64(..low)
    };
    let bytes: Vec<u64> = (0..OBJECTS).map(|_| length()).collect();
    let capacity = bytes.iter().sum::<u64>() * size / 100;
    let ranks = ranks();
    let mut cache = Cache { order: Eviction::new(policy), items: Vec::new() };
    let (mut crawled, mut hits, mut asked) = (OBJECTS, 0, 0);
    for n in 0..WARM_UP + REQUESTS {
        let tick = (n / REQUESTS_PER_TICK) as u32;
        if traffic.scan.is_some_and(|every| n % every == 0) {
            crawled += 1;
            cache.ask(crawled, bytes[crawled % OBJECTS], capacity, tick);
            continue;
        }
        let rank = rank(&ranks, &mut rng);
        let shifted = traffic.shift.map_or(0, |every| n / every);
        let id = (rank + OBJECTS - shifted % OBJECTS) % OBJECTS;
        let hit = cache.ask(id, bytes[id], capacity, tick);
        if n >= WARM_UP {
            asked += 1;
            hits += u32::from(hit);
        }
    }
    f64::from(hits) / f64::from(asked)
}

/// The sums of 1/n up to each rank.
fn ranks() -> Vec<f64> {
    let mut sum = 0.0;
    let weight = |n: usize| 1.0 / (n as f64 + 1.0);
    (0..OBJECTS)
        .map(|n| {
            sum += weight(n);
            sum
        })
        .collect()
}

fn rank(ranks: &[f64], rng: &mut Rng) -> usize {
    let point = rng.f64() * ranks.last().copied().unwrap_or_default();
    ranks.partition_point(|&sum| sum <= point).min(ranks.len() - 1)
}

struct Cache {
    order: Eviction<Arc<Item>>,
    items: Vec<Option<Arc<Item>>>,
}

impl Cache {
    /// Whether the object is there; afterwards it is.
    fn ask(&mut self, id: usize, bytes: u64, capacity: u64, tick: u32) -> bool {
        if self.items.len() <= id {
            self.items.resize(id + 1, None);
        }
        if let Some(item) = &self.items[id] {
            item.mark.hit(self.order.policy(), tick);
            return true;
        }
        while self.order.bytes() + bytes > capacity {
            let Some(victim) = self.order.evict() else { return false };
            self.items[victim.id] = None;
        }
        let item = Arc::new(Item { id, bytes, mark: Mark::default() });
        self.order.insert(Arc::clone(&item), tick);
        self.items[id] = Some(item);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crawler_harms_lru_most_and_requests_are_the_same_each_time() {
        let ratio = |policy| hit_ratio(&TRAFFIC[1], policy, 3, 1);
        assert!(ratio(Policy::S3Fifo) > ratio(Policy::Lru) + 0.1);
        assert_eq!(ratio(Policy::Lfu).to_bits(), ratio(Policy::Lfu).to_bits());
    }
}
