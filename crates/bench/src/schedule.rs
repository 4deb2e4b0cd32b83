//! When requests are to start in an open loop: a pure function from their number to a time.

use std::time::Duration;

/// Requests a second over a run: a constant rate, or one that grows or falls steadily once the warm-up is over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    from: f64,
    /// What a second adds to the rate.
    slope: f64,
    warmup: f64,
}

impl Schedule {
    /// Goes from one rate to the other within `duration`, after a warm-up at the first one.
    pub fn new(from: f64, to: f64, warmup: Duration, duration: Duration) -> Self {
        let slope = if from == to { 0.0 } else { (to - from) / duration.as_secs_f64() };
        Self { from, slope, warmup: warmup.as_secs_f64() }
    }

    /// When request `number` (from 0) starts, since the begin of the run; `None` when the rate reaches 0 before it.
    pub fn start_of(&self, number: u64) -> Option<Duration> {
        let warm = self.from * self.warmup;
        let number = number as f64;
        if number < warm {
            return Some(Duration::from_secs_f64(number / self.from));
        }
        // The number of starts after t seconds is from * t + slope / 2 * t * t. This is its inverse, in the form that
        // also holds for a slope of 0.
        let after = number - warm;
        if after == 0.0 {
            return Some(Duration::from_secs_f64(self.warmup));
        }
        let root = (self.from * self.from + 2.0 * self.slope * after).sqrt();
        let seconds = self.warmup + 2.0 * after / (self.from + root);
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// How many of the requests `first`, `first + step`, ... start before `end`.
    pub fn due(&self, end: Duration, first: u64, step: u64) -> u64 {
        let is_due = |count: u64| {
            let number = step.checked_mul(count).and_then(|more| first.checked_add(more));
            number.and_then(|number| self.start_of(number)).is_some_and(|start| start < end)
        };
        let mut above = 1;
        while is_due(above - 1) {
            above *= 2;
        }
        // `above / 2` of them are due, `above` are not: halve the stretch between.
        let (mut low, mut high) = (above / 2, above - 1);
        while low < high {
            let middle = low + (high - low) / 2;
            if is_due(middle) { low = middle + 1 } else { high = middle }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(n: f64) -> Duration {
        Duration::from_secs_f64(n)
    }

    #[test]
    fn a_constant_rate_starts_at_even_distances() {
        let schedule = Schedule::new(200.0, 200.0, seconds(1.0), seconds(10.0));
        for (number, expected) in [(0, 0.0), (1, 0.005), (200, 1.0), (1_000, 5.0)] {
            assert_eq!(schedule.start_of(number), Some(seconds(expected)), "{number}");
        }
        assert_eq!(schedule.due(seconds(2.0), 0, 1), 400);
        assert_eq!(schedule.due(seconds(2.0), 100, 2), 150);
        assert_eq!(schedule.due(Duration::ZERO, 0, 1), 0);
    }

    #[test]
    fn a_ramp_begins_after_the_warm_up_and_has_the_mean_rate_over_its_length() {
        let schedule = Schedule::new(100.0, 300.0, seconds(2.0), seconds(10.0));
        assert_eq!(schedule.due(seconds(2.0), 0, 1), 200);
        assert_eq!(schedule.due(seconds(12.0), 0, 1), 200 + 2_000);
        assert_eq!(schedule.due(seconds(7.0), 0, 1), 200 + 750);
        let from_nothing = Schedule::new(0.0, 100.0, Duration::ZERO, seconds(10.0));
        assert_eq!(from_nothing.due(seconds(10.0), 0, 1), 500);
    }

    #[test]
    fn a_rate_that_falls_to_nothing_ends() {
        let schedule = Schedule::new(100.0, 0.0, Duration::ZERO, seconds(10.0));
        assert_eq!(schedule.start_of(500), Some(seconds(10.0)));
        assert_eq!(schedule.start_of(501), None);
    }

    proptest! {
        #[test]
        fn starts_never_go_back(from in 1.0..1e5_f64, to in 1.0..1e5_f64, warmup in 0.0..5.0_f64, number in 0..100_000_u64) {
            let schedule = Schedule::new(from, to, seconds(warmup), seconds(60.0));
            if let Some(later) = schedule.start_of(number + 1) {
                prop_assert!(schedule.start_of(number).unwrap() <= later);
            }
        }
    }
}
