//! Traffic in virtual time: what the algorithms that watch load and latency do to a pool with a slow server.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use evenkeel_config::Algorithm;
use evenkeel_types::Time;
use fastrand::Rng;

use super::super::{Members, Picker};
use super::pool;

const FAST_US: u64 = 10_000;
const SLOW_US: u64 = 100_000;

/// A pool under a steady stream of requests, each server answering any number of them, each in its time.
struct Traffic {
    members: Members,
    latency_us: Vec<u64>,
    picker: Picker,
    rng: Rng,
    now_us: u64,
    /// End, server and begin of what is in flight.
    in_flight: BinaryHeap<Reverse<(u64, usize, u64)>>,
}

impl Traffic {
    fn new(algorithm: &Algorithm, weights: &[u32], latency_us: &[u64]) -> Self {
        let members = pool(algorithm, weights);
        let (picker, rng) = (Picker::new(42), Rng::with_seed(42));
        Self {
            members,
            latency_us: latency_us.to_vec(),
            picker,
            rng,
            now_us: 0,
            in_flight: BinaryHeap::new(),
        }
    }

    /// How many of `requests`, one each 100 us on average, each server got.
    fn run(&mut self, requests: usize) -> Vec<u64> {
        let mut counts = vec![0; self.members.len()];
        for _ in 0..requests {
            self.now_us += self.rng.u64(0..=200);
            self.finish();
            let now = Time::from_nanos(self.now_us * 1_000);
            let server = self.picker.pick(&self.members, 0, &[], now).unwrap().server;
            self.members.server(server).load.begin();
            counts[server] += 1;
            let took_us = self.latency_us[server] * self.rng.u64(80..=120) / 100;
            self.in_flight.push(Reverse((self.now_us + took_us, server, self.now_us)));
        }
        counts
    }

    fn finish(&mut self) {
        while let Some(&Reverse((end, server, begin))) = self.in_flight.peek()
            && end <= self.now_us
        {
            self.in_flight.pop();
            let load = &self.members.server(server).load;
            load.end();
            load.observe_latency(Duration::from_micros(end - begin), Time::from_nanos(end * 1_000));
        }
    }
}

fn share(counts: &[u64], server: usize) -> f64 {
    counts[server] as f64 / counts.iter().sum::<u64>() as f64
}

/// Four fast servers and one ten times slower: its share in the long run.
fn slow_share(algorithm: &Algorithm) -> f64 {
    let mut traffic = Traffic::new(algorithm, &[1; 5], &[FAST_US, FAST_US, FAST_US, FAST_US, SLOW_US]);
    traffic.run(20_000);
    share(&traffic.run(100_000), 4)
}

#[test]
fn a_server_ten_times_slower_gets_a_tenth_of_anothers_requests_under_least_connections() {
    // One part in 4 x 10 + 1.
    let share = slow_share(&Algorithm::LeastConnections);
    assert!((0.02..0.03).contains(&share), "{share}");
}

#[test]
fn a_server_ten_times_slower_gets_less_than_that_under_least_response_time() {
    let share = slow_share(&Algorithm::LeastResponseTime);
    assert!((0.000_1..0.02).contains(&share), "{share}");
}

#[test]
fn power_of_two_choices_eases_a_slow_server_and_random_does_not() {
    let (two, random) = (slow_share(&Algorithm::PowerOfTwo), slow_share(&Algorithm::Random));
    assert!(two < 0.1, "{two}");
    assert!((0.19..0.21).contains(&random), "{random}");
}

#[test]
fn a_server_that_becomes_fast_again_gets_its_share_back_under_least_response_time() {
    let mut traffic = Traffic::new(&Algorithm::LeastResponseTime, &[1; 3], &[FAST_US, FAST_US, SLOW_US]);
    traffic.run(50_000);
    traffic.latency_us[2] = FAST_US;
    traffic.run(500_000);
    let share = share(&traffic.run(50_000), 2);
    assert!((0.28..0.38).contains(&share), "{share}");
}

#[test]
fn a_new_server_is_tried_at_once_but_not_flooded_under_least_response_time() {
    let mut traffic =
        Traffic::new(&Algorithm::LeastResponseTime, &[1, 1, 0], &[FAST_US, FAST_US, 60_000_000]);
    traffic.run(20_000);
    traffic.members = traffic.members.with(|_, _| (1, super::Availability::Up));
    let counts = traffic.run(1_000);
    let others = traffic.members.server(0).load.in_flight().max(traffic.members.server(1).load.in_flight());
    assert!(counts[2] > 0);
    assert!(counts[2] <= u64::from(others) * 3 / 2, "{counts:?}, the others have {others} in flight");
}

#[test]
fn under_load_requests_in_flight_follow_the_weights() {
    for algorithm in [Algorithm::LeastConnections, Algorithm::LeastResponseTime, Algorithm::PowerOfTwo] {
        let mut traffic = Traffic::new(&algorithm, &[5, 3, 2], &[SLOW_US; 3]);
        traffic.run(20_000);
        let counts = traffic.run(100_000);
        for (server, expected) in [0.5, 0.3, 0.2].into_iter().enumerate() {
            let share = share(&counts, server);
            assert!((share - expected).abs() < 0.03, "{algorithm:?}: {counts:?}");
        }
    }
}
