//! The cost of one pick, and of preparing a pool, by algorithm and number of servers.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use evenkeel_config::{Algorithm, HashKey};
use evenkeel_core::balance::{Availability, Load, Members, Picker, Server, hash};
use evenkeel_types::Time;

const SIZES: [usize; 4] = [3, 10, 100, 1_000];

fn algorithms() -> [(&'static str, Algorithm); 8] {
    [
        ("round-robin", Algorithm::RoundRobin),
        ("least-connections", Algorithm::LeastConnections),
        ("least-response-time", Algorithm::LeastResponseTime),
        ("power-of-two", Algorithm::PowerOfTwo),
        ("random", Algorithm::Random),
        ("ip-hash", Algorithm::IpHash),
        ("consistent-hash", Algorithm::ConsistentHash(HashKey::ClientIp)),
        ("maglev", Algorithm::Maglev(HashKey::ClientIp)),
    ]
}

/// Servers of various weights, each with requests in flight to match, and a measured latency.
fn servers(number: usize) -> Vec<(Server, Availability)> {
    (0..number)
        .map(|at| {
            let load = Arc::<Load>::default();
            let weight = 1 + at as u32 % 4;
            (0..3 * weight + at as u32 % 2).for_each(|_| load.begin());
            load.observe_latency(Duration::from_millis(5 + at as u64 % 7), Time::ZERO);
            let id = format!("10.0.{}.{}:3000", at / 256, at % 256).as_str().into();
            (Server { id, weight, backup: false, load }, Availability::Up)
        })
        .collect()
}

fn pick(c: &mut Criterion) {
    for (name, algorithm) in algorithms() {
        let mut group = c.benchmark_group(format!("balance/pick/{name}"));
        for size in SIZES {
            let members = Members::new(&algorithm, servers(size));
            let mut picker = Picker::new(1);
            let mut nth = 0_u64;
            group.bench_function(BenchmarkId::from_parameter(size), |b| {
                b.iter(|| {
                    nth += 1;
                    let key = hash(&black_box(nth).to_le_bytes());
                    picker.pick(&members, key, &[], Time::from_nanos(nth * 10_000))
                });
            });
        }
    }
}

fn prepare(c: &mut Criterion) {
    for (name, algorithm) in algorithms() {
        let mut group = c.benchmark_group(format!("balance/prepare/{name}"));
        group.sample_size(10);
        for size in [10, 1_000] {
            let servers = servers(size);
            group.bench_function(BenchmarkId::from_parameter(size), |b| {
                b.iter(|| Members::new(&algorithm, black_box(servers.clone())));
            });
        }
    }
}

criterion_group!(benches, pick, prepare);
criterion_main!(benches);
