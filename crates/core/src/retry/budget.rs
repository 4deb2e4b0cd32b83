//! How many retries a pool can bear: a share of its requests, so that servers which fail under load do not get a
//! multiple of it on top.
//!
//! Each request deposits a share of a retry, each retry withdraws a whole one (the idea of Finagle's `RetryBudget`). What
//! is not used fades, so that an hour of quiet does not pay for a storm.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use evenkeel_types::Time;

/// The time constant of the balance: after it, 37 % of a deposit are left.
const TAU_MS: f32 = 10_000.0;
/// Retries that can be saved up, however many requests there are.
const BALANCE_MAX: f32 = 10_000.0;
/// One retry is allowed in each of these, whatever the balance: three a second.
const FLOOR_EVERY: Duration = Duration::from_nanos(333_333_333);
/// Of those, so many at once after a pause.
const FLOOR_BURST: u32 = 10;
/// Hundredths of a retry that a worker collects before it deposits them: one shared write in 40 requests at 20 %.
const LOCAL_MAX: u32 = 800;

/// The balance of one pool. Alone on its cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Budget {
    /// Retries as `f32` in the upper half, when that was in `u32` milliseconds in the lower. One word, so that both
    /// change together.
    balance: AtomicU64,
    /// When the retries that the floor has allowed will have been earned, in nanoseconds.
    floor: AtomicU64,
}

/// The local retry budget: what one worker has collected for one pool and not yet deposited in the pool's [`Budget`].
#[derive(Debug, Default)]
pub struct LocalBudget {
    hundredths: Cell<u32>,
}

impl LocalBudget {
    /// Counts a request whose route allows retries for `percent` of its requests.
    #[inline]
    pub fn request(&self, percent: u32, budget: &Budget, now: Time) {
        let sum = self.hundredths.get() + percent;
        self.hundredths.set(sum);
        if sum >= LOCAL_MAX {
            self.deposit(budget, now);
        }
    }

    /// Takes one retry out of the pool's budget; false if there is none. What this worker has collected is deposited first.
    pub fn withdraw(&self, percent: u32, budget: &Budget, now: Time) -> bool {
        if percent == 0 {
            return false;
        }
        self.deposit(budget, now);
        budget.withdraw(now)
    }

    #[cold]
    fn deposit(&self, budget: &Budget, now: Time) {
        budget.deposit(self.hundredths.take() as f32 / 100.0, now);
    }
}

impl Budget {
    /// Retries that can be had now, the floor left aside.
    pub fn balance(&self, now: Time) -> f32 {
        faded(self.balance.load(Relaxed), millis(now))
    }

    fn deposit(&self, retries: f32, now: Time) {
        let stamp = millis(now);
        let add = |old| Some(pack((faded(old, stamp) + retries).min(BALANCE_MAX), later(old, stamp)));
        // It ends always: `add` refuses nothing.
        let _ = self.balance.fetch_update(Relaxed, Relaxed, add);
    }

    fn withdraw(&self, now: Time) -> bool {
        let stamp = millis(now);
        let take = |old| {
            let left = faded(old, stamp) - 1.0;
            (left >= 0.0).then(|| pack(left, later(old, stamp)))
        };
        let is_paid = self.balance.fetch_update(Relaxed, Relaxed, take).is_ok();
        self.withdraw_floor(now, is_paid)
    }

    /// The generic cell rate algorithm: each retry moves the time when all are earned; it may lie a burst ahead. The floor
    /// is no addition to the share, so what that has paid for counts as well, and leaves nothing if it is more.
    fn withdraw_floor(&self, now: Time, is_paid: bool) -> bool {
        let every = FLOOR_EVERY.as_nanos() as u64;
        let latest = now.as_nanos() + every * u64::from(FLOOR_BURST);
        let take = |earned: u64| {
            let next = earned.max(now.as_nanos()) + every;
            if is_paid {
                Some(next.min(earned.max(latest + every)))
            } else {
                (next <= latest).then_some(next)
            }
        };
        self.floor.fetch_update(Relaxed, Relaxed, take).is_ok()
    }
}

/// Wraps after 49 days, which differences survive.
fn millis(now: Time) -> u32 {
    (now.as_nanos() / 1_000_000) as u32
}

fn pack(balance: f32, stamp: u32) -> u64 {
    u64::from(balance.to_bits()) << 32 | u64::from(stamp)
}

/// The later of both readings: another worker's may be a little ahead.
fn later(packed: u64, stamp: u32) -> u32 {
    let old = packed as u32;
    if stamp.wrapping_sub(old) > u32::MAX / 2 { old } else { stamp }
}

fn faded(packed: u64, now_ms: u32) -> f32 {
    let elapsed = now_ms.wrapping_sub(packed as u32);
    let balance = f32::from_bits((packed >> 32) as u32);
    if elapsed == 0 || elapsed > u32::MAX / 2 {
        balance
    } else {
        balance * (-(elapsed as f32) / TAU_MS).exp()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn withdrawn(local: &LocalBudget, budget: &Budget, percent: u32, wanted: usize, now: Time) -> usize {
        (0..wanted).filter(|_| local.withdraw(percent, budget, now)).count()
    }

    #[test]
    fn a_quiet_pool_has_three_a_second_and_a_few_at_once() {
        let (local, budget) = (LocalBudget::default(), Budget::default());
        assert_eq!(withdrawn(&local, &budget, 20, 100, Time::from_millis(0)), FLOOR_BURST as usize);
        assert_eq!(withdrawn(&local, &budget, 20, 100, Time::from_millis(1_000)), 3);
        assert_eq!(withdrawn(&local, &budget, 20, 100, Time::from_millis(60_000)), FLOOR_BURST as usize);
    }

    #[test]
    fn the_floor_is_no_addition_to_the_share() {
        let (local, budget) = (LocalBudget::default(), Budget::default());
        let mut retries = 0;
        for ms in 0..20_000 {
            let now = Time::from_millis(ms);
            local.request(20, &budget, now);
            retries += usize::from(local.withdraw(20, &budget, now));
        }
        assert!(retries <= 4_000 + FLOOR_BURST as usize, "{retries}");
    }

    #[test]
    fn nothing_is_allowed_of_nothing() {
        let (local, budget) = (LocalBudget::default(), Budget::default());
        (0..1_000).for_each(|_| local.request(0, &budget, Time::ZERO));
        assert_eq!(withdrawn(&local, &budget, 0, 10, Time::ZERO), 0);
    }

    #[test]
    fn a_share_of_the_requests_can_be_had_at_once() {
        let (local, budget) = (LocalBudget::default(), Budget::default());
        (0..1_000).for_each(|_| local.request(20, &budget, Time::ZERO));
        let got = withdrawn(&local, &budget, 20, 1_000, Time::ZERO);
        assert!((199..=200 + FLOOR_BURST as usize).contains(&got), "{got}");
    }

    #[test]
    fn what_was_saved_fades() {
        let (local, budget) = (LocalBudget::default(), Budget::default());
        (0..10_000).for_each(|_| local.request(20, &budget, Time::ZERO));
        let before = budget.balance(Time::ZERO);
        let after = budget.balance(Time::from_millis(30_000));
        assert!(before > 1_990.0 && (0.04..0.06).contains(&(after / before)), "{before} {after}");
    }

    #[test]
    fn a_clock_reading_from_the_past_does_no_harm() {
        let (local, budget) = (LocalBudget::default(), Budget::default());
        (0..100).for_each(|_| local.request(100, &budget, Time::from_millis(500)));
        let before = budget.balance(Time::from_millis(500));
        (0..8).for_each(|_| local.request(100, &budget, Time::from_millis(499)));
        assert!(budget.balance(Time::from_millis(499)) >= before);
        assert!(budget.balance(Time::from_millis(500)) >= before, "it has not aged by 49 days");
    }

    proptest! {
        /// Whatever the rhythm of requests, and with each of them asking for as many retries as it likes: the share
        /// and the floor are never exceeded, over workers of any number.
        #[test]
        fn never_more_than_the_share_and_the_floor(
            percent in 1_u32..=100,
            steps in prop::collection::vec((0_u64..2_000, 1_u32..200, 0_usize..50, 0_usize..4), 1..60),
        ) {
            let (budget, locals) = (Budget::default(), [(); 4].map(|()| LocalBudget::default()));
            let (mut now, mut requests, mut retries) = (0, 0.0, 0);
            for (pause, arrive, wanted, worker) in steps {
                now += pause;
                let time = Time::from_millis(now);
                (0..arrive).for_each(|_| locals[worker].request(percent, &budget, time));
                requests += f64::from(arrive);
                retries += withdrawn(&locals[worker], &budget, percent, wanted, time);
            }
            let share = requests * f64::from(percent) / 100.0;
            let floor = f64::from(FLOOR_BURST) + now as f64 * 0.003 + 1.0;
            prop_assert!(retries as f64 <= share * 1.001 + floor, "{retries} of {share} and {floor}");
        }
    }
}
