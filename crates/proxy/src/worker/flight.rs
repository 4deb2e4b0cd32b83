//! What a worker keeps in mind for the flight recorder: what the configuration wants kept, when a sample is due, and how many
//! records it has made.

use std::cell::Cell;
use std::time::Duration;

use evenkeel_config::Recorder as Settings;
use evenkeel_observe::flight::{Redactor, RingKind};
use evenkeel_types::Time;

/// Records of one ring that a worker makes in a second. A flood of failures costs it no more than these.
const RECORDS_PER_SECOND_MAX: u32 = 500;
/// When a worker that keeps no sample looks again whether it is to keep one.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What is kept, as the configuration in force says.
#[derive(Debug)]
pub struct FlightTerms {
    /// From when on a request counts as slow; never while the recorder is off.
    pub slow: Duration,
    /// False while the recorder is off.
    pub is_on: bool,
    /// How far apart one worker's samples are; `None` if there are none.
    pub apart: Option<Duration>,
    /// What a record must not hold.
    pub redactor: Redactor,
}

impl FlightTerms {
    /// The terms for one of so many workers.
    pub fn new(settings: &Settings, workers: usize) -> Self {
        let workers = u32::try_from(workers.max(1)).unwrap_or(u32::MAX);
        let is_on = settings.memory.is_some();
        Self {
            slow: if is_on { settings.slow } else { Duration::MAX },
            is_on,
            apart: (settings.sample.count > 0)
                .then(|| settings.sample.period * workers / settings.sample.count),
            redactor: Redactor::new(&settings.redact),
        }
    }
}

/// What one worker has done for the recorder.
#[derive(Debug, Default)]
pub struct FlightDesk {
    /// When the next ordinary request is kept for the sample.
    pub next_sample: Cell<Time>,
    /// By ring: the second, and the records made in it.
    made: [Cell<(u64, u32)>; RingKind::ALL.len()],
}

impl FlightDesk {
    /// Says when the next sample is due.
    pub fn put_off(&self, terms: &FlightTerms, now: Time, random: impl FnOnce() -> u64) {
        let pause = match terms.apart.filter(|_| terms.is_on) {
            // Anything from nothing to twice as long: what comes at regular times is not kept each time, or never.
            Some(apart) => {
                let twice = u64::try_from(apart.as_nanos()).unwrap_or(u64::MAX).saturating_mul(2).max(1);
                Duration::from_nanos(random() % twice)
            }
            None => LOOK_AGAIN,
        };
        self.next_sample.set(now + pause);
    }

    /// True if another record may be made for that ring in this second.
    pub fn may_make(&self, ring: RingKind, now: Time) -> bool {
        let (second, made) = self.made[ring as usize].get();
        let this = now.as_nanos() / 1_000_000_000;
        let made = if second == this { made } else { 0 };
        self.made[ring as usize].set((this, made.saturating_add(1)));
        made < RECORDS_PER_SECOND_MAX
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_config::Config;

    use super::*;

    fn settings() -> Settings {
        Config::new(Vec::new(), Vec::new(), Vec::new()).recorder
    }

    #[test]
    fn records_of_a_second_are_bounded_by_ring() {
        let desk = FlightDesk::default();
        let made = |ring, second: u64| {
            let at = Time::from_millis(second * 1_000);
            (0..2_000).filter(|_| desk.may_make(ring, at)).count() as u32
        };
        assert_eq!(made(RingKind::ByClient, 7), RECORDS_PER_SECOND_MAX);
        assert_eq!(made(RingKind::Failed, 7), RECORDS_PER_SECOND_MAX, "the other ring's flood is no matter");
        assert_eq!(made(RingKind::ByClient, 8), RECORDS_PER_SECOND_MAX);
    }

    #[test]
    fn samples_come_as_often_as_the_rate_says() {
        let (terms, desk) = (FlightTerms::new(&settings(), 2), FlightDesk::default());
        let (mut random, mut kept) = (fastrand::Rng::with_seed(7), 0);
        for ms in 0..100_000 {
            let now = Time::from_millis(ms);
            if now >= desk.next_sample.get() {
                desk.put_off(&terms, now, || random.u64(..));
                kept += 1;
            }
        }
        assert!((450..550).contains(&kept), "5 a second for one of two workers, 100 s long, not {kept}");
    }
}
