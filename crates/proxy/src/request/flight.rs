//! Whether the flight recorder keeps a record of a request that has ended. Nearly all requests pass by with a few comparisons.

mod build;
mod steps;

use evenkeel_observe::flight::{RingKind, WhyKept};
use evenkeel_observe::{Ended, RecordDropped, RequestFigures};
use evenkeel_types::Time;

use self::build::build;
use crate::request::log::Finished;
use crate::worker::Worker;
use crate::worker::flight::FlightTerms;
use crate::worker::view::View;

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
    use std::time::Duration;

    use evenkeel_config::Config;

    use super::*;

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
        let terms = FlightTerms::new(&Config::new(Vec::new(), Vec::new(), Vec::new()).recorder, 2);
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
}
