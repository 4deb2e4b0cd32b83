//! The simulation itself: it repeats itself, notices what must not happen, and shows what is known to be so.

use std::time::Duration;

use evenkeel_types::Time;

use super::chance::Service;
use super::pool::{self, Backend};
use super::server::Fault;
use super::world::{Setup, run};
use super::{storm, weather};

fn setup(algorithm: &str, servers: usize, keys: &str) -> Setup {
    setup_with(algorithm, servers, (keys, ""))
}

fn setup_with(algorithm: &str, servers: usize, keys: (&str, &str)) -> Setup {
    let config = pool::read(algorithm, &vec![Backend::PLAIN; servers], keys, Duration::from_secs(1));
    Setup {
        config,
        slots: 2,
        service: Service::Even,
        mean: Duration::from_millis(10),
        requests: 4_000,
        gap: Duration::from_millis(10).div_f64(servers as f64),
        hot: 0.0,
        writes: 0.0,
        patience: None,
        lag: Duration::ZERO,
        faults: Vec::new(),
    }
}

#[test]
fn the_same_seed_takes_the_same_course_and_another_does_not() {
    let (_, setup) = storm::draw(7, 2_000);
    let course = |seed| format!("{:?}", run(&setup, seed));
    assert_eq!(course(1), course(1));
    assert_ne!(course(1), course(2));
}

#[test]
fn some_storms_are_weathered() {
    for seed in 0..4 {
        weather(seed).unwrap();
    }
}

#[test]
fn a_queue_behaves_as_theory_says() {
    // One server with two slots at 50 %: an M/M/2 queue, whose mean time in the system is mean / (1 - 0.5^2).
    let mut setup = setup("round-robin", 1, "");
    setup.requests = 40_000;
    let p50 = run(&setup, 1).latency_ms(0.5);
    // The median of M/M/2 at this load lies near 9 ms.
    assert!((7.5..10.5).contains(&p50), "{p50}");
}

#[test]
fn a_server_that_dies_costs_what_it_worked_on_and_refused_connections_cost_nothing() {
    let mut setup = setup_with("round-robin", 4, ("", "retry = { on = [\"connect\"] }"));
    let at = |second: u64| Time::from_millis(second * 1_000);
    setup.faults =
        (2..9).map(|second| (at(second), 1, [Fault::Dead, Fault::Well][second as usize % 2])).collect();
    let outcome = run(&setup, 1);
    // Four deaths, each of which loses two requests and a few that wait.
    assert!(outcome.errors() > 0.0 && outcome.errors() < 0.01, "{}", outcome.errors());
    assert!(outcome.amplification(setup.requests) > 1.05, "connections are tried and refused");
}

#[test]
fn an_ejection_ends_what_a_failing_server_costs() {
    let errors = |keys: &str| {
        let mut setup = setup("least-connections", 5, keys);
        setup.requests = 20_000;
        setup.faults = vec![(Time::from_millis(1_000), 0, Fault::Failing(0.3))];
        let outcome = run(&setup, 1);
        (outcome.errors(), outcome.counts.ejections)
    };
    let (without, none) = errors("");
    let outlier = "outlier = { failures = 1000, window = \"2s\", eject = \"10s\", success_rate = 1.9 }";
    let (with, some) = errors(outlier);
    assert!(none == 0 && some > 0);
    assert!(with * 4.0 < without, "{with} of all with, {without} without it");
}

#[test]
fn retries_on_servers_that_all_fail_stay_within_their_budget() {
    let tries = |retry: &str| {
        let mut setup = setup_with("round-robin", 5, ("", retry));
        setup.requests = 20_000;
        setup.faults = (0..5).map(|server| (Time::ZERO, server, Fault::Failing(1.0))).collect();
        run(&setup, 1).amplification(setup.requests)
    };
    assert_eq!(tries("retry = { on = [\"connect\"] }"), 1.0);
    let some = tries("retry = { on = [\"503\"], budget = \"20%\" }");
    assert!((1.15..1.21).contains(&some), "{some}");
}

#[test]
fn a_limit_that_follows_latency_refuses_what_would_have_timed_out() {
    let ends = |keys: &str| {
        let mut setup = setup_with("round-robin", 5, (keys, "retry = false"));
        setup.requests = 20_000;
        setup.faults = (0..5).map(|server| (Time::from_millis(2_000), server, Fault::Slow(10.0))).collect();
        let outcome = run(&setup, 1);
        (outcome.errors(), outcome.refused())
    };
    let (without, none) = ends("");
    let (with, refused) = ends("concurrency = { min = 5 }");
    assert!(without > 0.5 && none == 0.0, "{without} fail without a limit");
    assert!(with < 0.05 && refused > 0.5, "{with} fail with one, {refused} are refused");
    assert!(with + refused < without, "{with} + {refused} with one, {without} without");
}
