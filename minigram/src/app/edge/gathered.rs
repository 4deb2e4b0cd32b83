//! Purges of what changes often, such as the number of likes: each tag at once the first time, and then at most once in
//! a while, so that a photo that many like at once does not empty the edge again and again.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::Edge;

/// Tags that wait, or were purged a short while ago, at most. Of more the edge keeps the old numbers for their lifetime.
const TAGS_MAX: usize = 4096;

/// Tags that are purged at the same time.
const AT_ONCE: usize = 16;

/// Gathers tags and purges them in the background. Copies gather together.
#[derive(Clone)]
pub struct GatheredPurges {
    edge: Edge,
    gathered: Arc<Gathered>,
}

struct Gathered {
    tags: Mutex<Tags>,
    every: Duration,
    any: Notify,
}

#[derive(Default)]
struct Tags {
    waiting: HashSet<String>,
    /// When each was purged last, unless that is long ago.
    purged: HashMap<String, Instant>,
}

impl GatheredPurges {
    /// Purges each tag once in the time of `every`, at most. Must be called within a tokio runtime; the task ends with
    /// the last copy.
    #[must_use]
    pub fn start(edge: Edge, every: Duration) -> Self {
        let gathered = Arc::new(Gathered { tags: Mutex::default(), every, any: Notify::new() });
        if !edge.is_none() {
            tokio::spawn(run(edge.clone(), gathered.clone()));
        }
        Self { edge, gathered }
    }

    /// What has this tag has become old; visitors may still be shown it once ([`Edge::outdate`]).
    pub fn purge(&self, tag: String) {
        if self.edge.is_none() {
            return;
        }
        {
            let mut tags = self.gathered.tags.lock().unwrap_or_else(PoisonError::into_inner);
            let is_known = tags.waiting.contains(&tag) || tags.purged.contains_key(&tag);
            if !is_known && tags.waiting.len() + tags.purged.len() >= TAGS_MAX {
                self.edge.failed.inc();
                return;
            }
            tags.waiting.insert(tag);
        }
        self.gathered.any.notify_one();
    }
}

async fn run(edge: Edge, gathered: Arc<Gathered>) {
    // The other copies are those that add.
    while Arc::strong_count(&gathered) > 1 {
        let (due, next) = gathered.take(Instant::now());
        stream::iter(due).for_each_concurrent(AT_ONCE, async |tag| edge.outdate(tag).await).await;
        // Looks up now and then whether the others have gone.
        let next = next.unwrap_or_else(|| Instant::now() + gathered.every);
        tokio::select! {
            () = gathered.any.notified() => {}
            () = sleep_until(next) => {}
        }
    }
}

impl Gathered {
    /// The tags to purge now, and when the next one is due.
    fn take(&self, now: Instant) -> (Vec<String>, Option<Instant>) {
        let mut tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        let Tags { waiting, purged } = &mut *tags;
        purged.retain(|_, at| now < *at + self.every);
        let due: Vec<String> = waiting.iter().filter(|tag| !purged.contains_key(*tag)).cloned().collect();
        for tag in &due {
            waiting.remove(tag);
            purged.insert(tag.clone(), now);
        }
        let next = waiting.iter().filter_map(|tag| purged.get(tag)).map(|at| *at + self.every).min();
        (due, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tag_is_due_at_once_and_then_once_in_a_while() {
        let every = Duration::from_secs(5);
        let gathered = Gathered { tags: Mutex::default(), every, any: Notify::new() };
        let add = |tag: &str| gathered.tags.lock().unwrap().waiting.insert(tag.to_owned());
        let begun = Instant::now();
        add("a");
        assert_eq!(gathered.take(begun), (vec!["a".to_owned()], None));
        for _ in 0..100 {
            add("a");
        }
        let second = begun + Duration::from_secs(1);
        assert_eq!(gathered.take(second), (vec![], Some(begun + every)));
        add("b");
        assert_eq!(gathered.take(second), (vec!["b".to_owned()], Some(begun + every)));
        assert_eq!(gathered.take(begun + every), (vec!["a".to_owned()], None));
        assert_eq!(gathered.take(begun + 9 * every), (vec![], None));
        assert!(gathered.tags.lock().unwrap().purged.is_empty(), "what is long ago is forgotten");
    }
}
