//! Storms: pools, loads and faults all drawn from one seed, to look for what must never happen.

use std::time::Duration;

use evenkeel_types::Time;
use fastrand::Rng;

use super::chance::Service;
use super::scenario::{ALGORITHMS, pool};
use super::server::Fault;
use super::world::Setup;

/// How long a storm lasts: some intervals of checks, windows and ejections.
const LENGTH: Duration = Duration::from_secs(30);

/// Servers of a pool at most.
const SERVERS_MAX: usize = 1_000;

/// A storm, and how it is called.
pub fn draw(seed: u64, requests: usize) -> (String, Setup) {
    let mut rng = Rng::with_seed(seed);
    let algorithm = ALGORITHMS[rng.usize(..ALGORITHMS.len())];
    // Small pools are where rules about shares and last servers show.
    let servers = match rng.u32(..3) {
        0 => rng.usize(1..6),
        1 => rng.usize(6..60),
        _ => rng.usize(60..=SERVERS_MAX),
    };
    let is_weighted = rng.bool();
    let mut list: Vec<(u32, bool)> = (0..servers)
        .map(|_| if is_weighted { (rng.u32(0..4), rng.u32(..8) == 0) } else { (1, false) })
        .collect();
    list[0] = (1, false);
    let (slots, load) = (rng.usize(1..5), 0.2 + 0.5 * rng.f64());
    let gap = LENGTH.div_f64(requests as f64);
    let mean = gap.mul_f64(load * (slots * servers) as f64).max(Duration::from_micros(100));
    let setup = Setup {
        pool: pool(algorithm, &list, &keys(&mut rng), (mean * 20).max(Duration::from_millis(200))),
        slots,
        service: if rng.bool() { Service::Even } else { Service::HeavyTail },
        mean,
        requests,
        gap,
        hot: if rng.u32(..4) == 0 { 0.3 * rng.f64() } else { 0.0 },
        faults: faults(&mut rng, servers),
    };
    (format!("{algorithm}, {servers} servers, {} faults", setup.faults.len()), setup)
}

/// More keys of the pool.
fn keys(rng: &mut Rng) -> String {
    let mut keys = Vec::new();
    if rng.u32(..4) > 0 {
        let (interval, fall, rise) = (rng.u32(200..3_000), rng.u32(1..4), rng.u32(1..3));
        keys.push(format!(
            "health = {{ kind = \"tcp\", interval = \"{interval}ms\", fall = {fall}, rise = {rise} }}"
        ));
    }
    if rng.u32(..4) > 0 {
        let (failures, window, eject) = (rng.u32(1..20), rng.u32(1_000..10_000), rng.u32(500..8_000));
        let (cap, compare, min) = (rng.u32(1..=100), rng.u32(..3), rng.u32(5..50));
        let compare = match compare {
            0 => String::new(),
            1 => format!(", success_rate = {:.1}, requests_min = {min}", 0.5 + 3.0 * rng.f64()),
            _ => {
                format!(", success_rate = 1.9, latency = {:.1}, requests_min = {min}", 1.5 + 3.0 * rng.f64())
            }
        };
        keys.push(format!(
            "outlier = {{ failures = {failures}, window = \"{window}ms\", eject = \"{eject}ms\", \
             max_ejected = \"{cap}%\"{compare} }}\npanic = \"{}%\"",
            rng.u32(0..=100)
        ));
    }
    if rng.bool() {
        keys.push(format!("slow_start = \"{}ms\"", rng.u32(1_000..10_000)));
    }
    keys.join("\n")
}

/// What happens to the servers: to single ones, to many at once, once or again and again.
fn faults(rng: &mut Rng, servers: usize) -> Vec<(Time, usize, Fault)> {
    let mut faults = Vec::new();
    for _ in 0..rng.usize(0..8) {
        let first = rng.usize(..servers);
        let many = if rng.bool() { 1 } else { rng.usize(1..=servers.div_ceil(2)) };
        let fault = match rng.u32(..5) {
            0 => Fault::Slow(2.0 + 20.0 * rng.f64()),
            1 => Fault::Failing(rng.f64()),
            2 => Fault::Drain,
            _ => Fault::Dead,
        };
        let end = if fault == Fault::Drain { Fault::Ready } else { Fault::Well };
        let (mut at, lasts, times) = (rng.f64(), 0.3 * rng.f64(), rng.usize(1..6));
        for _ in 0..times {
            let begins = Time::ZERO + LENGTH.mul_f64(at.min(1.0));
            let ends = Time::ZERO + LENGTH.mul_f64((at + lasts).min(1.0));
            for server in (first..first + many).map(|server| server % servers) {
                faults.extend([(begins, server, fault), (ends, server, end)]);
            }
            at += lasts * (1.0 + rng.f64());
        }
    }
    faults
}
