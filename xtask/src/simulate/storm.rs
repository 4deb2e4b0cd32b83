//! Storms: pools, loads and faults all drawn from one seed, to look for what must never happen.

use std::time::Duration;

use evenkeel_types::Time;
use fastrand::Rng;

use super::balancer::USER;
use super::chance::Service;
use super::pool::{self, Backend};
use super::scenario::ALGORITHMS;
use super::server::Fault;
use super::world::Setup;

/// How long a storm lasts: some intervals of checks, windows and ejections.
const LENGTH: Duration = Duration::from_secs(30);

/// Servers of a pool at most.
const SERVERS_MAX: usize = 1_000;

/// Servers at most of a pool in which single ones may refuse. Where all do, a request looks at each of them, and each look
/// is at all of them.
const REFUSING_MAX: usize = 20;

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
    let list = backends(&mut rng, servers);
    let (slots, load) = (rng.usize(1..5), 0.2 + 0.5 * rng.f64());
    let gap = LENGTH.div_f64(requests as f64);
    let mean = gap.mul_f64(load * (slots * servers) as f64).max(Duration::from_micros(100));
    let in_flight = load * (slots * servers) as f64;
    let response = (mean * 20).max(Duration::from_millis(200));
    let keys = [keys(&mut rng), protection(&mut rng, servers, in_flight)].join("\n");
    let config = pool::read(algorithm, &list, (&keys, &route(&mut rng, response)), response);
    let patience = response.mul_f64(0.2 + 2.0 * rng.f64());
    let lag = Duration::from_micros(rng.u64(1..5_000));
    let setup = Setup {
        config,
        slots,
        service: if rng.bool() { Service::Even } else { Service::HeavyTail },
        mean,
        requests,
        gap,
        hot: if rng.u32(..4) == 0 { 0.3 * rng.f64() } else { 0.0 },
        writes: if rng.bool() { 0.5 * rng.f64() } else { 0.0 },
        patience: (rng.u32(..3) == 0).then_some(patience),
        lag: if rng.bool() { lag } else { Duration::ZERO },
        faults: faults(&mut rng, servers),
    };
    (format!("{algorithm}, {servers} servers, {} faults", setup.faults.len()), setup)
}

/// Servers, some of them with weights, as backups, or with a limit.
fn backends(rng: &mut Rng, servers: usize) -> Vec<Backend> {
    let (is_weighted, is_limited) = (rng.bool(), servers <= REFUSING_MAX && rng.u32(..3) == 0);
    let mut draw = |_| Backend {
        weight: if is_weighted { rng.u32(0..4) } else { 1 },
        backup: is_weighted && rng.u32(..8) == 0,
        max_connections: (is_limited && rng.u32(..8) > 0).then(|| rng.u32(1..12)),
    };
    let mut list: Vec<Backend> = (0..servers).map(&mut draw).collect();
    list[0] = Backend { weight: 1, backup: false, ..list[0] };
    list
}

/// What keeps the pool from getting more than it can do; so many of its requests are in flight on average.
fn protection(rng: &mut Rng, servers: usize, in_flight: f64) -> String {
    let mut keys = Vec::new();
    let limit = |rng: &mut Rng| (in_flight * (0.3 + 3.0 * rng.f64())) as u32 + 1;
    if rng.u32(..3) == 0 {
        let mut parts = Vec::new();
        if rng.bool() {
            parts.push(format!("max_requests = {}", limit(rng)));
        }
        if rng.u32(..3) == 0 {
            parts.push(format!("max_connections = {}", limit(rng)));
        }
        if rng.bool() {
            parts.push(format!("max_retries = {}", rng.u32(1..10)));
        }
        if rng.bool() {
            parts.push(trip(rng));
        }
        parts.push(format!("max_pending = {}", rng.u32(1..200)));
        keys.push(format!("breaker = {{ {} }}", parts.join(", ")));
    }
    if servers <= REFUSING_MAX && rng.u32(..3) == 0 {
        keys.push(format!("server_breaker = {{ {} }}", trip(rng)));
    }
    if rng.u32(..3) == 0 {
        let algorithm = if rng.bool() { "gradient" } else { "aimd" };
        let (min, more) = (rng.u32(1..20), rng.u32(0..500));
        let max = min + more;
        keys.push(format!("concurrency = {{ algorithm = \"{algorithm}\", min = {min}, max = {max} }}"));
    }
    if rng.u32(..3) > 0 {
        let order = if rng.bool() { "first" } else { "newest-under-overload" };
        keys.push(format!("queue = {{ wait = \"{}ms\", order = \"{order}\" }}", rng.u32(1..3_000)));
    }
    if rng.u32(..5) == 0 {
        keys.push(format!("sticky = {{ header = \"{USER}\" }}"));
    }
    keys.join("\n")
}

/// The keys of a circuit breaker.
fn trip(rng: &mut Rng) -> String {
    let (share, window, open) = (rng.u32(5..=100), rng.u32(500..10_000), rng.u32(100..5_000));
    let what = match rng.u32(..3) {
        0 => format!("slow = \"{share}%\", slow_after = \"{}ms\"", rng.u32(1..2_000)),
        1 => format!("failures = \"{share}%\", slow = \"50%\", slow_after = \"100ms\""),
        _ => format!("failures = \"{share}%\""),
    };
    let (min, trials) = (rng.u32(1..50), rng.u32(1..6));
    format!(
        "{what}, window = \"{window}ms\", requests_min = {min}, open_for = \"{open}ms\", trials = {trials}"
    )
}

/// What the route does about servers that fail, and about slow ones.
fn route(rng: &mut Rng, response: Duration) -> String {
    let (retry, may_hedge) = retry(rng, response);
    let hedge = match rng.u32(..4) {
        0 if may_hedge => "hedge = { after = \"p95\" }".into(),
        1 if may_hedge => {
            let ms = rng.u64(1..=response.as_millis() as u64 / 4);
            format!("hedge = {{ after = \"{ms}ms\" }}")
        }
        _ => String::new(),
    };
    format!("{retry}\n{hedge}")
}

/// What the route does about failed tries, and whether that allows hedges.
fn retry(rng: &mut Rng, response: Duration) -> (String, bool) {
    match rng.u32(..4) {
        0 => return (String::new(), true),
        1 => return ("retry = false".into(), false),
        _ => {}
    }
    let mut on: Vec<&str> =
        ["connect", "reset", "timeout", "502", "503"].into_iter().filter(|_| rng.u32(..3) > 0).collect();
    on.push("504");
    let (attempts, budget) = (rng.u32(1..=10), rng.u32(0..=100));
    let per_try = rng.u64(1..=response.as_millis() as u64);
    let backoff = if rng.bool() { rng.u32(0..200) } else { 0 };
    let keys = format!(
        "retry = {{ attempts = {attempts}, on = {on:?}, budget = \"{budget}%\", backoff = \"{backoff}ms\", \
         per_try_timeout = \"{per_try}ms\" }}"
    );
    (keys, attempts > 1 && budget > 0)
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
