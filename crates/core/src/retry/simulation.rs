//! A seeded simulation of a pool under load whose servers fail: what retries cost, and what they save.

use evenkeel_config::Retry;
use evenkeel_types::Time;

use super::{Attempt, Budget, Cause, Decision, Final, LocalBudget, retry};

struct Outcome {
    requests: u32,
    tries: u32,
    failures: u32,
}

/// `rate` requests a second on four workers, over `seconds`; of `servers` the first `broken` reset every connection.
fn simulate(seed: u64, rate: u32, seconds: u32, (servers, broken): (usize, usize)) -> Outcome {
    let mut rng = fastrand::Rng::with_seed(seed);
    let (policy, budget) = (Retry::default(), Budget::default());
    let locals = [(); 4].map(|()| LocalBudget::default());
    let mut outcome = Outcome { requests: 0, tries: 0, failures: 0 };
    for i in 0..rate * seconds {
        let now = Time::from_nanos(u64::from(i) * 1_000_000_000 / u64::from(rate));
        let local = &locals[rng.usize(..locals.len())];
        local.request(policy.budget, &budget, now);
        outcome.requests += 1;
        let mut left: Vec<usize> = (0..servers).collect();
        for retries in 0.. {
            let server = left.swap_remove(rng.usize(..left.len()));
            outcome.tries += 1;
            if server >= broken {
                break;
            }
            let attempt = Attempt {
                cause: Cause::Reset,
                method: "GET",
                replayable: true,
                answered: false,
                attempts: retries + 1,
                retries,
                no_server: left.is_empty().then_some(Final::Servers),
                now,
                deadline: None,
            };
            let withdraw = || local.withdraw(policy.budget, &budget, now).then_some(()).ok_or(Final::Budget);
            if let Decision::Final(_) = retry(&policy, &attempt, withdraw, || 0) {
                outcome.failures += 1;
                break;
            }
        }
    }
    outcome
}

#[test]
fn when_every_server_fails_a_fifth_is_added_and_no_more() {
    for seed in 0..10 {
        for rate in [50, 500, 5_000] {
            let Outcome { requests, tries, .. } = simulate(seed, rate, 20, (5, 5));
            let floor = 10 + 3 * 20;
            assert!(tries <= requests * 12 / 10 + floor, "seed {seed}: {tries} tries of {requests} requests");
        }
    }
}

#[test]
fn when_one_server_of_ten_fails_no_client_sees_it() {
    for seed in 0..10 {
        let Outcome { requests, failures, .. } = simulate(seed, 500, 20, (10, 1));
        assert_eq!(failures, 0, "seed {seed}: of {requests} requests");
    }
}
