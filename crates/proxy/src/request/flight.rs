//! Whether the flight recorder keeps a record of a request that has ended. Nearly all requests pass by with a few comparisons.

mod build;
mod steps;

use std::cell::Cell;
use std::time::Duration;

use evenkeel_config::Recorder as Settings;
use evenkeel_observe::flight::{Redactor, RingKind, WhyKept};
use evenkeel_observe::{Ended, RecordDropped, RequestFigures};
use evenkeel_types::Time;

use self::build::build;
use crate::request::log::Finished;
use crate::worker::Worker;
use crate::worker::view::View;

/// Records of one ring that a worker makes in a second. A flood of failures costs it no more than these.
const RECORDS_PER_SECOND_MAX: u32 = 500;
/// When a worker that keeps no sample looks again whether it is to keep one.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What is kept, as the configuration in force says.
#[derive(Debug)]
pub struct FlightTerms {
    /// From when on a request counts as slow; never while the recorder is off.
    slow: Duration,
    is_on: bool,
    /// How far apart one worker's samples are; `None` if there are none.
    apart: Option<Duration>,
    redactor: Redactor,
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
    next_sample: Cell<Time>,
    /// By ring: the second, and the records made in it.
    made: [Cell<(u64, u32)>; RingKind::ALL.len()],
}

impl FlightDesk {
    fn put_off(&self, terms: &FlightTerms, now: Time, random: impl FnOnce() -> u64) {
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
    fn may_make(&self, ring: RingKind, now: Time) -> bool {
        let (second, made) = self.made[ring as usize].get();
        let this = now.as_nanos() / 1_000_000_000;
        let made = if second == this { made } else { 0 };
        self.made[ring as usize].set((this, made.saturating_add(1)));
        made < RECORDS_PER_SECOND_MAX
    }
}

/// True of a request that the recorder passes over: answered at once, by the first server, in time, and not for the sample.
#[inline]
pub fn is_ordinary(
    worker: &Worker,
    view: &View,
    finished: &Finished<'_>,
    figures: &RequestFigures,
    now: Time,
) -> bool {
    finished.ended == Ended::Complete
        && figures.status < 500
        && figures.tries <= 1
        && figures.total < view.flight.slow
        && now < worker.flight.next_sample.get()
}

/// Keeps a record of a request, if there is a reason to.
#[cold]
pub fn keep(worker: &Worker, view: &View, finished: &Finished<'_>, figures: &RequestFigures, now: Time) {
    let (terms, desk) = (&view.flight, &worker.flight);
    let is_due = now >= desk.next_sample.get();
    if !terms.is_on {
        if is_due {
            desk.put_off(terms, now, || 0);
        }
        return;
    }
    let (why, ring) = match reason(terms, finished.ended, figures) {
        Some(reason) => reason,
        None if is_due => {
            desk.put_off(terms, now, || worker.random());
            if terms.apart.is_none() {
                return;
            }
            (WhyKept::Sampled, RingKind::Sampled)
        }
        None => return,
    };
    let recorder = &worker.shared.registry.recorder;
    if !desk.may_make(ring, now) {
        return recorder.dropped(RecordDropped::Rate);
    }
    let record = build((worker, view), finished, (figures, why), now, &terms.redactor);
    recorder.keep(worker.index, ring, record);
}

/// Why a request is kept though it is not one of the sample, and where.
fn reason(terms: &FlightTerms, ended: Ended, figures: &RequestFigures) -> Option<(WhyKept, RingKind)> {
    match ended {
        Ended::ClientAborted | Ended::ClientTimeout => Some((WhyKept::Failed, RingKind::ByClient)),
        Ended::Refused if figures.status < 500 => Some((WhyKept::Failed, RingKind::ByClient)),
        Ended::Complete | Ended::Tunnel if figures.status < 500 => match () {
            () if figures.tries > 1 => Some((WhyKept::Retried, RingKind::Slow)),
            () if figures.total >= terms.slow => Some((WhyKept::Slow, RingKind::Slow)),
            () => None,
        },
        _ => Some((WhyKept::Failed, RingKind::Failed)),
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_config::Config;

    use super::*;

    fn settings() -> Settings {
        Config::new(Vec::new(), Vec::new(), Vec::new()).recorder
    }

    fn figures(status: u16, total_ms: u64, tries: u32) -> RequestFigures {
        RequestFigures {
            status,
            total: Duration::from_millis(total_ms),
            upstream: None,
            overhead: Duration::ZERO,
            bytes_in: 0,
            bytes_out: 0,
            tries,
            is_broken: false,
        }
    }

    #[test]
    fn what_failed_or_was_slow_is_kept_where_its_like_is() {
        use Ended::{BackendAborted, ClientAborted, Complete, Refused, Tunnel};
        let terms = FlightTerms::new(&settings(), 2);
        for (ended, status, total_ms, tries, expected) in [
            (Complete, 200, 10, 1, None),
            (Complete, 404, 10, 1, None),
            (Tunnel, 101, 10, 1, None),
            (Complete, 200, 1_000, 1, Some((WhyKept::Slow, RingKind::Slow))),
            (Complete, 200, 10, 2, Some((WhyKept::Retried, RingKind::Slow))),
            (Complete, 503, 10, 1, Some((WhyKept::Failed, RingKind::Failed))),
            (Refused, 503, 10, 0, Some((WhyKept::Failed, RingKind::Failed))),
            (Refused, 429, 10, 0, Some((WhyKept::Failed, RingKind::ByClient))),
            (ClientAborted, 200, 10, 1, Some((WhyKept::Failed, RingKind::ByClient))),
            (BackendAborted, 200, 10, 1, Some((WhyKept::Failed, RingKind::Failed))),
        ] {
            let kept = reason(&terms, ended, &figures(status, total_ms, tries));
            assert_eq!(kept, expected, "{ended} {status} {total_ms} ms {tries} tries");
        }
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
