//! How long no background fetch is begun for a key after others have failed: longer with each failure, so that servers that are
//! down are not asked at every request.

use std::time::Duration;

use evenkeel_types::Time;

use crate::key::Id;

/// The pause after the first failure; each further one doubles it.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(30);

/// Keys whose background fetches have failed. A key that finds its place taken takes it over, which costs the other one its
/// pause.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    /// Empty before the first failure.
    places: Vec<Pause>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Pause {
    key: u64,
    failures: u32,
    until: Time,
}

impl Pauses {
    /// With 64 shards, 4,096 keys in 96 KiB.
    const PLACES: usize = 64;

    /// A fetch for the key has failed.
    pub fn failed(&mut self, id: Id, now: Time) {
        if self.places.is_empty() {
            self.places = vec![Pause::default(); Self::PLACES];
        }
        let pause = &mut self.places[id.low() as usize % Self::PLACES];
        // Failures that came while the pause lasted say nothing new.
        if pause.key == id.low() && pause.until > now {
            return;
        }
        // One that is long over counts no more.
        let is_recent = pause.key == id.low() && now.since(pause.until) < LONGEST;
        let failures = if is_recent { pause.failures.saturating_add(1) } else { 1 };
        let length = FIRST.saturating_mul(1 << (failures - 1).min(8)).min(LONGEST);
        *pause = Pause { key: id.low(), failures, until: now + length };
    }

    /// Whether none is to be begun now.
    pub fn lasts(&self, id: Id, now: Time) -> bool {
        let pause = self.places.get(id.low() as usize % Self::PLACES);
        pause.is_some_and(|pause| pause.key == id.low() && pause.until > now)
    }

    /// A fetch for the key has been answered.
    pub fn succeeded(&mut self, id: Id) {
        if let Some(pause) = self.places.get_mut(id.low() as usize % Self::PLACES)
            && pause.key == id.low()
        {
            *pause = Pause::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pauses in seconds when each attempt fails as soon as it may be made.
    #[test]
    fn pauses_grow_to_their_bound_and_end_with_a_success() {
        let (mut pauses, id, mut now) = (Pauses::default(), Id::of(b"key", 7), Time::ZERO);
        assert!(!pauses.lasts(id, now));
        let mut lengths = Vec::new();
        for _ in 0..8 {
            pauses.failed(id, now);
            let start = now;
            while pauses.lasts(id, now) {
                pauses.failed(id, now);
                now = now + Duration::from_millis(500);
            }
            lengths.push((now - start).as_secs());
        }
        assert_eq!(lengths, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert!(!pauses.lasts(Id::of(b"other", 7), Time::ZERO));
        pauses.failed(id, now);
        pauses.succeeded(id);
        assert!(!pauses.lasts(id, now));
        pauses.failed(id, now);
        assert!(!pauses.lasts(id, now + FIRST));
    }
}
