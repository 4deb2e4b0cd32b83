//! Which servers stand out, which do not, and that chance alone makes no server an outlier.

use proptest::prelude::*;

use super::*;

fn settings(success_rate: Option<f64>, latency: Option<f64>) -> Outlier {
    let window = Duration::from_secs(10);
    Outlier {
        failures: 3,
        on: evenkeel_config::FailureOn::default(),
        window,
        eject: window,
        max_ejected: 50,
        success_rate,
        latency,
        requests_min: 50,
    }
}

fn failing(requests: u64, failures: u64) -> Figures {
    Figures { requests, failures, timed: requests, ..Figures::default() }
}

fn taking(answers: u64, average_ms: u64) -> Figures {
    let latency_sum = Duration::from_millis(average_ms * answers);
    Figures { requests: answers, failures: 0, timed: answers, latency_sum }
}

fn found(settings: &Outlier, figures: &[Figures]) -> Vec<(usize, String)> {
    judge(settings, figures).into_iter().map(|finding| (finding.server, finding.reason)).collect()
}

/// The servers whose failures of 100 requests make them outliers at 1.9 deviations.
fn unreliable_of(failures: &[u64]) -> Vec<usize> {
    let figures: Vec<Figures> = failures.iter().map(|&failures| failing(100, failures)).collect();
    judge(&settings(Some(1.9), None), &figures).iter().map(|finding| finding.server).collect()
}

/// The servers whose averages in milliseconds make them outliers at 3 medians.
fn slow_of(averages_ms: &[u64]) -> Vec<usize> {
    let figures: Vec<Figures> = averages_ms.iter().map(|&ms| taking(100, ms)).collect();
    judge(&settings(None, Some(3.0)), &figures).iter().map(|finding| finding.server).collect()
}

#[test]
fn a_success_rate_far_below_the_others_is_an_outlier() {
    let figures = [failing(200, 2), failing(200, 78), failing(200, 2)];
    let reason = "success rate 61 % where the others have 99 %, of 200 requests";
    assert_eq!(found(&settings(Some(1.9), None), &figures), [(1, reason.to_owned())]);
    assert_eq!(unreliable_of(&[0, 0, 40]), [2]);
    assert_eq!(unreliable_of(&[0, 0, 0, 8, 0, 0]), [3]);
    assert_eq!(unreliable_of(&[0, 60, 0, 0, 70, 0, 0, 0, 0, 0]), [4, 1], "the worst first");
}

#[test]
fn failures_that_all_have_make_no_outlier() {
    assert!(unreliable_of(&[40, 45, 50]).is_empty());
    assert!(unreliable_of(&[100, 100, 100]).is_empty());
    assert!(unreliable_of(&[0, 0, 0]).is_empty());
    assert!(unreliable_of(&[0, 0, 3]).is_empty(), "few failures may be chance");
}

#[test]
fn an_average_latency_far_above_the_median_is_an_outlier() {
    let figures = [taking(100, 20), taking(80, 200), taking(60, 25), taking(100, 15)];
    let reason = "200.0 ms on average where the median is 22.5 ms";
    assert_eq!(found(&settings(None, Some(3.0)), &figures), [(1, reason.to_owned())]);
    assert_eq!(slow_of(&[10, 50, 10, 10, 90, 10, 10]), [4, 1], "the worst first");
    assert!(slow_of(&[10, 30, 10]).is_empty());
    assert!(slow_of(&[0, 0, 2]).is_empty(), "below a few milliseconds all are quick");
}

#[test]
fn it_takes_enough_requests_of_enough_servers() {
    let both = settings(Some(1.9), Some(3.0));
    let bad = Figures { failures: 45, ..taking(50, 500) };
    assert_eq!(judge(&both, &[bad, taking(50, 5), taking(50, 5)]).len(), 1, "found once though twice bad");
    assert!(judge(&both, &[bad, taking(50, 5), taking(49, 5)]).is_empty());
    assert!(judge(&both, &[bad, taking(500, 5)]).is_empty());
    assert!(judge(&settings(None, None), &[bad, taking(50, 5), taking(50, 5)]).is_empty());
}

#[test]
fn a_window_moves_on_and_forgets() {
    let settings = settings(None, None);
    let mut window = LiveWindow::default();
    for second in 0..30 {
        window.observe(failing(second * 100, second * 10), &settings);
    }
    assert_eq!(window.figures(), failing(1_000, 100), "the last ten of thirty seconds");
    window.clear();
    window.observe(failing(5_000, 5_000), &settings);
    assert_eq!(window.figures(), failing(0, 0), "what was before does not count");
}

#[test]
fn a_short_window_is_looked_at_four_times_a_second() {
    let mut settings = settings(None, None);
    settings.window = Duration::from_secs(1);
    assert_eq!(tick(&settings), Duration::from_millis(250));
    let mut window = LiveWindow::default();
    (0..100).for_each(|tick| window.observe(failing(tick, 0), &settings));
    assert_eq!(window.figures().requests, 4);
}

proptest! {
    #[test]
    fn the_best_and_the_quickest_are_never_outliers(
        servers in prop::collection::vec((1u64..400, 0u64..400, 0u64..2_000), 0..40),
        factor in 0.1f64..10.0,
    ) {
        let figures: Vec<Figures> = servers
            .iter()
            .map(|&(requests, failures, ms)| Figures { failures: failures.min(requests), ..taking(requests, ms) })
            .collect();
        let settings = settings(Some(factor), Some(1.0 + factor));
        let findings = judge(&settings, &figures);
        let mut seen: Vec<usize> = findings.iter().map(|finding| finding.server).collect();
        seen.sort_unstable();
        seen.dedup();
        prop_assert_eq!(seen.len(), findings.len(), "found twice");
        for finding in findings {
            let mine = figures[finding.server];
            prop_assert!(mine.requests >= settings.requests_min);
            let rest = figures.iter().filter(|other| other.requests >= settings.requests_min);
            let is_worse = |other: &Figures| match finding.cause {
                EjectionCause::Latency => mine.latency_ns() > other.latency_ns(),
                _ => mine.success_rate() < other.success_rate(),
            };
            prop_assert!(rest.filter(|other| is_worse(other)).count() > 0);
        }
    }

    #[test]
    fn servers_that_fail_alike_are_seldom_told_apart(rate in 0.0f64..0.5, seed: u64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut number = || (0..200).filter(|_| rng.f64() < rate).count() as u64;
        let figures: Vec<Figures> = (0..10).map(|_| failing(200, number())).collect();
        // Beyond four deviations chance finds one of 30,000.
        prop_assert!(judge(&settings(Some(5.0), None), &figures).is_empty());
    }
}
