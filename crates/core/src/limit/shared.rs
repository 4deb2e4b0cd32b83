//! Limits that balancers count together in a Redis: what it is asked, and how its answer is read.

use std::sync::Arc;
use std::time::Duration;

use super::gcra::Standing;
use super::key;
use super::limiter::{LIMITS_MAX, LimitVerdict, Limiter, Mask};
use crate::choose::Keys;

/// What Redis carries out, whole and by its own clock: the same as [`super::ask`].
pub const SCRIPT: &str = include_str!("shared.lua");

/// Numbers that the script answers for each limit.
const NUMBERS: usize = 3;

/// What is asked of Redis: keys and arguments of the script.
#[derive(Debug, PartialEq, Eq)]
pub struct Question {
    /// The keys.
    pub keys: Vec<String>,
    /// For each key three numbers.
    pub arguments: Vec<String>,
    mask: Mask,
}

impl Question {
    /// Asks the limits of a route that are in `mask` about a request. Keys begin with `prefix` and the route's name.
    pub fn new(prefix: &str, route: &str, limits: &[Arc<Limiter>], mask: Mask, request: &impl Keys) -> Self {
        let (mut keys, mut arguments) = (Vec::new(), Vec::new());
        for (position, limiter) in limits.iter().enumerate().take(LIMITS_MAX) {
            if mask & 1 << position != 0 {
                let limit = &limiter.config;
                keys.push(format!("{prefix}{route}:{}:{}", limit.name, key::name(limit, request)));
                arguments.push(format!("{}", limiter.gcra.interval_ns() / 1e3));
                arguments.push(limit.burst.to_string());
                arguments.push(u8::from(limit.dry_run).to_string());
            }
        }
        Self { keys, arguments, mask }
    }

    /// Adds what Redis answers to a verdict; false if that is no answer to this question.
    pub fn read(&self, answer: &[i64], verdict: &mut LimitVerdict) -> bool {
        if answer.len() != self.keys.len() * NUMBERS {
            return false;
        }
        let positions = (0..LIMITS_MAX).filter(|position| self.mask & 1 << position != 0);
        for (position, numbers) in positions.zip(answer.chunks_exact(NUMBERS)) {
            verdict.standings[position] = Some(Standing {
                refused: numbers[0] != 0,
                remaining: u32::try_from(numbers[1]).unwrap_or(0),
                next: Duration::from_micros(u64::try_from(numbers[2]).unwrap_or(0)),
            });
        }
        true
    }
}

/// How long a Redis that failed is left alone: 1 s, then twice as long each time, up to 10 s.
#[derive(Debug, Clone, Copy, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// It failed once more: how long to leave it alone.
    pub fn failed(&mut self) -> Duration {
        let wait = Duration::from_secs(1 << self.failures.min(4)).min(Duration::from_secs(10));
        self.failures += 1;
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_that_fails_is_asked_less_and_less_often() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..8).map(|_| backoff.failed().as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 10, 10, 10, 10]);
    }
}
