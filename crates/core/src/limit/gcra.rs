//! The generic cell rate algorithm: a token bucket that is one number, the time at which it would be full again.
//!
//! ATM Forum, Traffic Management 4.0, 4.4.2 ("virtual scheduling"); the same as the leaky bucket as a meter. The number
//! is kept in units of 1/count nanoseconds, in which the interval between two tokens is a whole number whatever the
//! rate: nothing is rounded, and what passes is exactly what a token bucket would let pass.

use std::time::Duration;

use evenkeel_config::Rate;
use evenkeel_types::Time;

/// When a bucket would be full again, in units that only its [`Gcra`] knows. The default is a full bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Tat(u128);

/// A rate and a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gcra {
    /// Units of time in a nanosecond: tokens in a period.
    scale: u128,
    /// Units of time between two tokens: nanoseconds in a period.
    interval: u128,
    burst: u32,
}

/// How a bucket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// True if there was no token for this request.
    pub refused: bool,
    /// Tokens that are left.
    pub remaining: u32,
    /// Until there is one more; zero if all are there.
    pub next: Duration,
}

impl Gcra {
    /// A bucket of `burst` tokens (at least one), refilled at `rate`.
    pub fn new(rate: Rate, burst: u32) -> Self {
        Self { scale: u128::from(rate.count.max(1)), interval: rate.period.as_nanos(), burst: burst.max(1) }
    }

    /// True if the bucket is full again: nothing need be remembered of it.
    pub fn is_full(&self, tat: Tat, now: Time) -> bool {
        tat.0 <= self.units(now)
    }

    /// How the bucket stands; `refused` says that there is no token.
    pub fn look(&self, tat: Tat, now: Time) -> Standing {
        let missing = tat.0.saturating_sub(self.units(now));
        let capacity = u128::from(self.burst) * self.interval;
        let remaining = divided(capacity.saturating_sub(missing), self.interval);
        let next = if missing == 0 { 0 } else { missing + (remaining + 1) * self.interval - capacity };
        Standing {
            refused: remaining == 0,
            remaining: u32::try_from(remaining).unwrap_or(self.burst),
            next: self.duration(next),
        }
    }

    /// How a bucket stands from which a token was taken: as [`look`](Self::look) would find it, without a division.
    pub fn after(&self, before: Standing) -> Standing {
        // One that was full gets its first token back; to others the next one comes when it would have come.
        let next = if before.next.is_zero() { self.duration(self.interval) } else { before.next };
        Standing { refused: false, remaining: before.remaining - 1, next }
    }

    /// Takes a token, which must be there.
    pub fn take(&self, tat: Tat, now: Time) -> Tat {
        Tat(tat.0.max(self.units(now)) + self.interval)
    }

    /// Puts a token back that was not needed.
    pub fn put_back(&self, tat: Tat) -> Tat {
        Tat(tat.0.saturating_sub(self.interval))
    }

    /// How long an empty bucket takes to be full.
    pub fn window(&self) -> Duration {
        self.duration(u128::from(self.burst) * self.interval)
    }

    /// Nanoseconds between two tokens.
    pub fn interval_ns(&self) -> f64 {
        self.interval as f64 / self.scale as f64
    }

    /// Tokens in a full bucket.
    pub fn burst(&self) -> u32 {
        self.burst
    }

    fn units(&self, time: Time) -> u128 {
        u128::from(time.as_nanos()) * self.scale
    }

    /// Rounded up, so that a client that waits for so long has waited long enough.
    fn duration(&self, units: u128) -> Duration {
        let nanos = divided(units.saturating_add(self.scale - 1), self.scale);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// The processor divides numbers of 64 bits, which these nearly always are, many times as fast as longer ones.
fn divided(number: u128, by: u128) -> u128 {
    match (u64::try_from(number), u64::try_from(by)) {
        (Ok(number), Ok(by)) => u128::from(number / by),
        _ => number / by,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(count: u32, seconds: u64) -> Rate {
        Rate { count, period: Duration::from_secs(seconds) }
    }

    /// Asks for one token; true if there was one.
    fn ask(gcra: &Gcra, tat: &mut Tat, now: Time) -> bool {
        let standing = gcra.look(*tat, now);
        if !standing.refused {
            *tat = gcra.take(*tat, now);
            let after = Standing { refused: false, ..gcra.look(*tat, now) };
            assert_eq!(gcra.after(standing), after);
        }
        !standing.refused
    }

    /// The usual meaning: a bucket that is filled as time goes by, in exact arithmetic.
    struct Bucket {
        /// In units of 1/period tokens.
        level: u128,
        at: u64,
    }

    impl Bucket {
        fn ask(&mut self, rate: Rate, burst: u32, now: Time) -> bool {
            let (token, passed) = (rate.period.as_nanos(), now.as_nanos() - self.at);
            let full = u128::from(burst) * token;
            self.level = (self.level + u128::from(passed) * u128::from(rate.count)).min(full);
            self.at = now.as_nanos();
            let allowed = self.level >= token;
            if allowed {
                self.level -= token;
            }
            allowed
        }
    }

    #[test]
    fn a_burst_passes_and_then_one_each_interval() {
        let (gcra, mut tat) = (Gcra::new(rate(10, 1), 3), Tat::default());
        let start = Time::from_millis(1_000);
        assert_eq!(gcra.look(tat, start), Standing { refused: false, remaining: 3, next: ms(0) });
        for left in [2, 1, 0] {
            assert!(ask(&gcra, &mut tat, start));
            let expected = Standing { refused: left == 0, remaining: left, next: ms(100) };
            assert_eq!(gcra.look(tat, start), expected);
        }
        let later = Standing { refused: false, remaining: 1, next: ms(50) };
        assert_eq!(gcra.look(tat, start + ms(150)), later);
        assert!(!ask(&gcra, &mut tat, start + ms(99)));
        assert!(ask(&gcra, &mut tat, start + ms(100)));
        assert!(!ask(&gcra, &mut tat, start + ms(199)));
        assert!(ask(&gcra, &mut tat, start + ms(200)));
        assert_eq!(gcra.window(), ms(300));
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_client_is_admitted_after_the_stated_wait_and_not_a_nanosecond_before() {
        for (count, seconds, burst) in
            [(3, 1, 1), (7, 60, 2), (999_983, 1, 5), (1, 3_600, 1), (1_000_000, 1, 1)]
        {
            let (gcra, mut tat) = (Gcra::new(rate(count, seconds), burst), Tat::default());
            let now = Time::from_nanos(12_345);
            (0..burst).for_each(|_| assert!(ask(&gcra, &mut tat, now)));
            let retry = gcra.look(tat, now).next;
            let early = now + (retry - Duration::from_nanos(1));
            assert!(gcra.look(tat, early).refused, "{count}/{seconds}");
            assert!(!gcra.look(tat, now + retry).refused, "{count}/{seconds}");
            assert!(gcra.is_full(tat, now + gcra.window()));
        }
    }

    #[test]
    fn a_token_that_is_put_back_is_there_again() {
        let (gcra, mut tat) = (Gcra::new(rate(1, 1), 2), Tat::default());
        let now = Time::from_millis(5_000);
        assert!(ask(&gcra, &mut tat, now) && ask(&gcra, &mut tat, now) && !ask(&gcra, &mut tat, now));
        tat = gcra.put_back(tat);
        assert!(ask(&gcra, &mut tat, now) && !ask(&gcra, &mut tat, now));
    }

    /// All ways to ask within the first steps, for small rates and bursts.
    #[test]
    fn it_is_a_token_bucket_in_every_small_case() {
        for (count, burst) in (1..=4).flat_map(|count| (1..=3).map(move |burst| (count, burst))) {
            let (rate, gcra) = (rate(count, 1), Gcra::new(rate(count, 1), burst));
            for pattern in 0_u32..1 << 12 {
                let (mut tat, mut bucket) = (Tat::default(), full(rate, burst));
                for step in (0..12).filter(|step| pattern & 1 << step != 0) {
                    let now = Time::from_nanos(1 + step * 125_000_000);
                    assert_eq!(
                        ask(&gcra, &mut tat, now),
                        bucket.ask(rate, burst, now),
                        "{count} {burst} {pattern:b}"
                    );
                }
            }
        }
    }

    fn full(rate: Rate, burst: u32) -> Bucket {
        Bucket { level: u128::from(burst) * rate.period.as_nanos(), at: 0 }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_a_token_bucket(
            count in 1_u32..=1_000_000,
            seconds in prop::sample::select(vec![1_u64, 60, 3_600]),
            burst in 1_u32..50,
            gaps in prop::collection::vec(0_u64..4, 1..200),
            unit in 1_u64..10_000_000_000,
        ) {
            let (rate, gcra) = (rate(count, seconds), Gcra::new(rate(count, seconds), burst));
            let (mut now, mut tat, mut bucket) = (Time::ZERO, Tat::default(), full(rate, burst));
            for gap in gaps {
                now = now + Duration::from_nanos(gap * unit / 2);
                prop_assert_eq!(ask(&gcra, &mut tat, now), bucket.ask(rate, burst, now));
            }
        }

        #[test]
        fn no_interval_sees_more_than_the_burst_and_what_the_rate_adds(
            count in 1_u32..=1_000,
            burst in 1_u32..20,
            gaps in prop::collection::vec(0_u64..300_000_000, 1..120),
        ) {
            let gcra = Gcra::new(rate(count, 1), burst);
            let (mut now, mut tat, mut passed) = (Time::ZERO, Tat::default(), Vec::new());
            for gap in gaps {
                now = now + Duration::from_nanos(gap);
                if ask(&gcra, &mut tat, now) {
                    passed.push(now);
                }
            }
            for (i, first) in passed.iter().enumerate() {
                for (j, last) in passed.iter().enumerate().skip(i) {
                    let added = (*last - *first).as_nanos() * u128::from(count) / 1_000_000_000;
                    prop_assert!(((j - i) as u128) < u128::from(burst) + added);
                }
            }
        }
    }
}
