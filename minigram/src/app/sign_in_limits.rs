//! How often a name may be tried with a wrong password, on one server. The table has a fixed size: names share its
//! buckets by a hash with a random key, so that no client can choose the name that shares another's.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Time;
use crate::text::UserName;

const BUCKETS: usize = 8192;

/// A table of token buckets.
pub(crate) struct SignInLimits {
    hasher: RandomState,
    /// For each bucket, when it will be full again. This one number says how full it is now.
    full_at: Mutex<Vec<Time>>,
    burst: u32,
    every: Duration,
}

impl SignInLimits {
    /// `burst` attempts at once, and another one after each `every`.
    pub fn new(burst: u32, every: Duration) -> Self {
        let full_at = Mutex::new(vec![Time(0); BUCKETS]);
        Self { hasher: RandomState::new(), full_at, burst, every }
    }

    /// Takes an attempt, or says how long to wait for one.
    pub fn take(&self, name: &UserName, now: Time) -> Result<(), Duration> {
        let mut buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = &mut buckets[self.bucket(name)];
        let after = (*full_at).max(now).plus(self.every);
        let capacity = self.every * self.burst;
        if after.since(now) > capacity {
            return Err(after.since(now) - capacity);
        }
        *full_at = after;
        Ok(())
    }

    /// Gives an attempt back, because the password was right.
    pub fn give_back(&self, name: &UserName) {
        let mut buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = &mut buckets[self.bucket(name)];
        let every = u64::try_from(self.every.as_millis()).unwrap_or(u64::MAX);
        *full_at = Time(full_at.0.saturating_sub(every));
    }

    #[allow(clippy::cast_possible_truncation)]
    fn bucket(&self, name: &UserName) -> usize {
        self.hasher.hash_one(name) as usize % BUCKETS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_its_attempts_and_then_one_at_a_time() {
        let limits = SignInLimits::new(3, Duration::from_secs(6));
        let (ada, now) = ("ada".parse().unwrap(), Time(1_780_000_000_000));
        for _ in 0..3 {
            limits.take(&ada, now).unwrap();
        }
        assert_eq!(limits.take(&ada, now), Err(Duration::from_secs(6)));
        assert_eq!(limits.take(&ada, now.plus(Duration::from_secs(4))), Err(Duration::from_secs(2)));
        limits.take(&ada, now.plus(Duration::from_secs(6))).unwrap();
        assert!(limits.take(&ada, now.plus(Duration::from_secs(6))).is_err());
        limits.give_back(&ada);
        limits.take(&ada, now.plus(Duration::from_secs(6))).unwrap();
    }

    #[test]
    fn other_names_are_not_affected() {
        let limits = SignInLimits::new(1, Duration::from_secs(6));
        let now = Time(1_780_000_000_000);
        let tried: Vec<UserName> = (0..100).map(|n| format!("user{n}").parse().unwrap()).collect();
        let refused = tried.iter().filter(|name| limits.take(name, now).is_err()).count();
        assert!(refused < 10, "{refused} of 100 names share a bucket");
    }
}
