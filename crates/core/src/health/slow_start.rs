//! Slow start: a server that comes gets little at first, so that it can fill its caches, pools and compiled code.

use std::time::Duration;

use evenkeel_types::Time;

/// A whole weight. A power of two, so that scaling all weights by it moves no point of a hash ring.
pub const FULL: u32 = 32;

/// What a server begins with: a tenth, as near as parts of [`FULL`] come to it.
const FIRST: u32 = 3;

/// Steps from the first part to the whole, unless they would be shorter than [`STEP_MIN`].
const STEPS: u32 = 16;

/// Each step is a snapshot for all workers, so there are at most four a second.
const STEP_MIN: Duration = Duration::from_millis(250);

/// The growing weight of one server: linear, in steps. The steps of all servers that start as slowly fall together,
/// whenever each began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ramp {
    began: Time,
    over: Duration,
}

impl Ramp {
    /// A server that comes at `began` and has its whole weight after `over`, up to a step later.
    pub fn new(began: Time, over: Duration) -> Self {
        Self { began, over }
    }

    /// The same beginning with another duration.
    pub fn retune(&mut self, over: Duration) {
        self.over = over;
    }

    /// How many parts of [`FULL`] of its weight the server has now; never 0.
    pub fn part(&self, now: Time) -> u32 {
        let step = self.step_ns();
        let elapsed = (now.as_nanos() / step * step).saturating_sub(self.began.as_nanos());
        let grown = u128::from(FULL - FIRST) * u128::from(elapsed) / self.over.as_nanos().max(1);
        FIRST + u32::try_from(grown).unwrap_or(FULL).min(FULL - FIRST)
    }

    /// When its weight changes next; `None` once it has all of it.
    pub fn due(&self, now: Time) -> Option<Time> {
        let step = self.step_ns();
        (self.part(now) < FULL).then(|| Time::from_nanos((now.as_nanos() / step + 1) * step))
    }

    fn step_ns(&self) -> u64 {
        u64::try_from((self.over / STEPS).max(STEP_MIN).as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(over_ms: u64, at: &[u64]) -> Vec<u32> {
        let ramp = Ramp::new(Time::from_millis(32_000), Duration::from_millis(over_ms));
        at.iter().map(|&ms| ramp.part(Time::from_millis(32_000 + ms))).collect()
    }

    #[test]
    fn the_weight_grows_from_a_tenth_to_all_of_it() {
        assert_eq!(
            parts(32_000, &[0, 1_999, 2_000, 8_000, 16_000, 31_999, 32_000]),
            [3, 3, 4, 10, 17, 30, 32]
        );
        assert_eq!(parts(1_000, &[0, 250, 500, 750, 1_000]), [3, 10, 17, 24, 32]);
    }

    #[test]
    fn servers_step_together_however_far_apart_they_came() {
        let over = Duration::from_secs(30);
        let due = |came| Ramp::new(Time::from_millis(came), over).due(Time::from_millis(90_100));
        assert_eq!(due(90_000), due(88_765));
        assert_eq!(due(90_000), Some(Time::from_millis(91_875)));
    }

    proptest! {
        #[test]
        fn a_ramp_never_falls_and_ends_a_step_after_its_time_at_most(began: u32, over_ms in 1_000u64..3_600_000) {
            let over = Duration::from_millis(over_ms);
            let ramp = Ramp::new(Time::from_millis(began.into()), over);
            let (mut now, mut part, mut steps) = (Time::from_millis(began.into()), 0, 0);
            while let Some(due) = ramp.due(now) {
                prop_assert!(due > now && ramp.part(now) >= part.max(FIRST));
                part = ramp.part(now);
                now = due;
                steps += 1;
            }
            prop_assert!(ramp.part(now) == FULL && steps <= STEPS + 1);
            prop_assert!(now - Time::from_millis(began.into()) <= over + (over / STEPS).max(STEP_MIN));
        }
    }
}
