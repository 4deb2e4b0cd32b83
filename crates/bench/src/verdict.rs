//! Whether the figures are the server's, or the generator's own.

use std::time::Duration;

use crate::cpu::Busy;

/// The share of a core from which a thread counts as saturated.
const CORE_FULL: f64 = 0.9;
/// The share of the time from which a thread of an open loop counts as never idle: it ran, or had no core.
const NEVER_IDLE: f64 = 0.95;

/// The shortest run whose CPU time says anything: of a few milliseconds, any thread is busy.
const JUDGED_FROM: Duration = Duration::from_millis(500);

/// Why a run is invalid; empty when it is valid. `lateness` is how late the generator was at the 99th percentile.
///
/// CPU time is judged once a run has lasted half a second. In a closed loop, a thread that waits for a core only slows itself down, so that alone is no reason.
pub fn reasons(
    open: bool,
    elapsed: Duration,
    threads: &[Busy],
    lateness: Duration,
    late_max: Duration,
) -> Vec<String> {
    let mut reasons = Vec::new();
    let threads = if elapsed < JUDGED_FROM { &[] } else { threads };
    let percent = |share: f64| share * 100.0;
    let ran = threads.iter().map(|thread| thread.ran).fold(0.0, f64::max);
    let never_idle = threads.iter().find(|thread| thread.ran + thread.waited >= NEVER_IDLE);
    if ran >= CORE_FULL {
        reasons.push(format!(
            "the generator was saturated: its busiest thread used {:.0} % of a core. Give it more --threads, or \
             lower the load",
            percent(ran)
        ));
    } else if let (true, Some(thread)) = (open, never_idle) {
        reasons.push(format!(
            "the generator was saturated: a thread was never idle, it ran for {:.0} % of the time and waited for a \
             core for {:.0} %. Run it on a machine with idle cores, or lower the load",
            percent(thread.ran),
            percent(thread.waited)
        ));
    }
    if open && lateness > late_max {
        reasons.push(format!(
            "the generator was late: 1 % of the requests started {lateness:.1?} or more after their intended start \
             although a connection was free (--late-max is {late_max:?})"
        ));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(open: bool, (ran, waited): (f64, f64), late_ms: u64) -> Vec<String> {
        let threads = [Busy::default(), Busy { ran, waited }];
        reasons(open, JUDGED_FROM, &threads, Duration::from_millis(late_ms), Duration::from_millis(10))
    }

    #[test]
    fn a_generator_with_time_to_spare_is_valid() {
        for open in [true, false] {
            assert!(verdict(open, (0.89, 0.05), 10).is_empty());
        }
    }

    #[test]
    fn a_full_core_is_invalid_in_either_loop() {
        for open in [true, false] {
            let said = verdict(open, (0.93, 0.0), 0);
            assert!(said.len() == 1 && said[0].contains("used 93 % of a core"), "{said:?}");
        }
    }

    #[test]
    fn the_cpu_time_of_a_short_run_says_nothing() {
        let threads = [Busy { ran: 1.0, waited: 0.0 }];
        let said = reasons(false, Duration::from_millis(499), &threads, Duration::ZERO, Duration::ZERO);
        assert!(said.is_empty(), "{said:?}");
    }

    #[test]
    fn a_thread_without_a_core_is_invalid_in_an_open_loop_alone() {
        let said = verdict(true, (0.5, 0.46), 0);
        assert!(said.len() == 1 && said[0].contains("ran for 50 % of the time and waited"), "{said:?}");
        assert!(verdict(false, (0.5, 0.46), 0).is_empty());
    }

    #[test]
    fn late_starts_are_invalid_in_an_open_loop_alone() {
        let said = verdict(true, (0.1, 0.0), 11);
        assert!(said.len() == 1 && said[0].contains("11.0ms or more"), "{said:?}");
        assert!(verdict(false, (0.1, 0.0), 11).is_empty());
    }
}
