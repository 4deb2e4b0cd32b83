//! Whether a write waits for replicas. Each write that waits holds up those behind it, so while there are too few replicas, only
//! one write in a while does.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a write waits while there are too few replicas.
const ASKED_EVERY: Duration = Duration::from_secs(1);

/// Since when there are too few replicas, if there are.
#[derive(Debug, Default)]
pub struct Shortage {
    asked: Mutex<Option<Instant>>,
}

impl Shortage {
    /// Whether a write at `now` waits for replicas. While there are too few, the next answer is yes a second later.
    pub fn is_to_wait(&self, now: Instant) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *asked {
            Some(asked) if now.saturating_duration_since(*asked) < ASKED_EVERY => false,
            Some(asked) => {
                *asked = now;
                true
            }
            None => true,
        }
    }

    /// A write has waited, and enough replicas had its change, or too few; true if there were enough before.
    pub fn found(&self, has_enough: bool, now: Instant) -> bool {
        let asked = if has_enough { None } else { Some(now) };
        let before =
            std::mem::replace(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner), asked);
        before.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_write_a_second_waits_until_there_are_enough_again() {
        let (shortage, begun) = (Shortage::default(), Instant::now());
        let at = |ms| begun + Duration::from_millis(ms);
        assert!(shortage.is_to_wait(at(0)) && shortage.is_to_wait(at(0)));
        assert!(shortage.found(false, at(200)), "there were enough before");
        assert!(!shortage.is_to_wait(at(201)) && !shortage.is_to_wait(at(1199)));
        assert!(shortage.is_to_wait(at(1200)));
        assert!(!shortage.is_to_wait(at(1201)), "while the first one waits, the others do not");
        assert!(!shortage.found(false, at(1400)));
        assert!(!shortage.is_to_wait(at(2399)) && shortage.is_to_wait(at(2400)));
        assert!(!shortage.found(true, at(2401)));
        assert!(shortage.is_to_wait(at(2402)) && shortage.is_to_wait(at(2402)));
    }
}
