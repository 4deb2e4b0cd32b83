//! How each scenario is measured: rounds in which every proxy has its turn, in an order that rotates.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context;

use super::procfs;
use super::proxy::{Proxy, Running};
use super::results::{Metric, Row, Sample, Scenario};
use super::rig::Rig;
use crate::origin::LARGE_PATH;

/// Connections of the scenarios that do not vary them.
const CONNECTIONS: u16 = 64;
/// Idle connections, if the limit on open files allows for as many.
const IDLE_CONNECTIONS: u64 = 5000;
/// How long all proxies get to put away what serving took, before the memory of idle connections is measured.
const IDLE_SETTLES: Duration = Duration::from_secs(2);
/// Rounds of the idle scenario, each of which starts the proxy anew: memory varies little.
const IDLE_ROUNDS_MAX: usize = 3;

/// Measures `scenario`; its rows and notes.
///
/// # Errors
/// A program that does not start, dies or answers nothing.
pub fn measure(
    rig: &Rig,
    scenario: Scenario,
    rounds: usize,
    seconds: u64,
) -> anyhow::Result<(Vec<Row>, Vec<String>)> {
    let rows = match scenario {
        Scenario::H1Few => load(rig, "/", 8, rounds, seconds),
        Scenario::H1Some => load(rig, "/", 64, rounds, seconds),
        Scenario::H1Many => load(rig, "/", 512, rounds, seconds),
        Scenario::Large => load(rig, LARGE_PATH, 16, rounds, seconds),
        Scenario::Idle => idle(rig, rounds.min(IDLE_ROUNDS_MAX)),
        Scenario::Overhead => overhead(rig, rounds, seconds),
        Scenario::Workers => return workers(rig, rounds, seconds),
    };
    Ok((rows?, Vec::new()))
}

fn load(rig: &Rig, path: &str, connections: u16, rounds: usize, seconds: u64) -> anyhow::Result<Vec<Row>> {
    let running = start_all(rig)?;
    for proxy in &running {
        rig.wrk(proxy.address, path, connections, 1)?;
    }
    in_turn(&rig.proxies(), rounds, |which| rig.round(&running[which], path, connections, seconds))
}

fn idle(rig: &Rig, rounds: usize) -> anyhow::Result<Vec<Row>> {
    let proxies = rig.proxies();
    in_turn(&proxies, rounds, |which| {
        let running = rig.run(proxies[which], 1)?;
        // Whatever is allocated once, or for each request in flight, shall not count for the idle ones.
        rig.wrk(running.address, "/", CONNECTIONS, 1)?;
        let count = IDLE_CONNECTIONS.min(rig.connections_max() - 100);
        let before = procfs::pss_bytes(running.process.id())?;
        let connections = (0..count)
            .map(|_| ask_once(running.address))
            .collect::<std::io::Result<Vec<_>>>()
            .context("cannot open the idle connections")?;
        // A connection is idle when its last request is some time ago.
        std::thread::sleep(IDLE_SETTLES);
        let after = procfs::pss_bytes(running.process.id())?;
        let bytes = (after as f64 - before as f64) / connections.len() as f64;
        Ok(Sample::from([(Metric::IdleBytes, bytes)]))
    })
}

fn overhead(rig: &Rig, rounds: usize, seconds: u64) -> anyhow::Result<Vec<Row>> {
    let mut loaded = Vec::new();
    for proxy in start_all(rig)? {
        rig.wrk(proxy.address, "/", CONNECTIONS, 1)?;
        let most = rig.wrk(proxy.address, "/", CONNECTIONS, seconds.min(2))?;
        loaded.push(((most.per_second(most.requests) / 2.0).max(1.0) as u32, proxy));
    }
    in_turn(&rig.proxies(), rounds, |which| {
        let (rate, proxy) = &loaded[which];
        let direct = rig.steady(rig.origins[0], *rate, seconds)?;
        let through = rig.steady(proxy.address, *rate, seconds)?;
        proxy.empty_log()?;
        let added = |with: u64, without: u64| with as f64 - without as f64;
        Ok(Sample::from([
            (Metric::Rate, f64::from(*rate)),
            (Metric::AddedP50Us, added(through.p50_us, direct.p50_us)),
            (Metric::AddedP95Us, added(through.p95_us, direct.p95_us)),
            (Metric::AddedP99Us, added(through.p99_us, direct.p99_us)),
            (Metric::DirectP99Us, direct.p99_us as f64),
            (Metric::Errors, (direct.failed + through.failed) as f64),
        ]))
    })
}

fn workers(rig: &Rig, rounds: usize, seconds: u64) -> anyhow::Result<(Vec<Row>, Vec<String>)> {
    let mut rows = [1, 2]
        .map(|workers| Row { name: format!("evenkeel, workers = {workers}"), ..Row::new(Proxy::Evenkeel) });
    let started = [rig.run(Proxy::Evenkeel, 1)?, rig.run(Proxy::Evenkeel, 2)?];
    for proxy in &started {
        rig.wrk(proxy.address, "/", CONNECTIONS, 1)?;
    }
    for round in 0..rounds {
        let mut samples = [Sample::new(), Sample::new()];
        let mut evenness = 0.0;
        for turn in 0..2 {
            let which = (round + turn) % 2;
            let before = procfs::threads_us(started[which].process.id())?;
            samples[which] = rig.round(&started[which], "/", CONNECTIONS, seconds)?;
            let after = procfs::threads_us(started[which].process.id())?;
            if which == 1 {
                let used = after.iter().map(|(id, us)| us - before.get(id).unwrap_or(&0.0));
                evenness = balance(&used.collect::<Vec<_>>());
            }
        }
        let ratio = |metric| samples[1][&metric] / samples[0][&metric];
        let speed_up =
            if rig.pinned() { ratio(Metric::Throughput) } else { projected(ratio(Metric::CpuUs), evenness) };
        samples[1].insert(Metric::SpeedUp, speed_up);
        for (row, sample) in rows.iter_mut().zip(samples) {
            row.rounds.push(sample);
        }
    }
    let note = "There are too few cores for two workers beside the load generator, so proxy and load share all of \
                them, and `times one worker` is projected, not a ratio of throughput: twice, times the CPU time per \
                request of one worker over that of two, times how evenly the two were loaded; at most 2.";
    Ok((rows.into(), if rig.pinned() { Vec::new() } else { vec![note.into()] }))
}

/// Starts every proxy with one worker; a proxy without load costs nothing.
fn start_all(rig: &Rig) -> anyhow::Result<Vec<Running>> {
    rig.proxies().into_iter().map(|proxy| rig.run(proxy, 1)).collect()
}

/// Measures each of `proxies`, by its index, once per round; who is first rotates, so that drift hits all alike.
fn in_turn(
    proxies: &[Proxy],
    rounds: usize,
    mut measure: impl FnMut(usize) -> anyhow::Result<Sample>,
) -> anyhow::Result<Vec<Row>> {
    let mut rows: Vec<Row> = proxies.iter().map(|proxy| Row::new(*proxy)).collect();
    for round in 0..rounds {
        for turn in 0..proxies.len() {
            let which = (round + turn) % proxies.len();
            let sample = measure(which)
                .with_context(|| format!("{}, round {}", proxies[which].program(), round + 1))?;
            rows[which].rounds.push(sample);
        }
    }
    Ok(rows)
}

/// Opens a connection, makes one request on it and leaves it open.
fn ask_once(address: SocketAddr) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut held = Vec::new();
    // The origin's answer ends in 128 times `x`.
    while !held.ends_with(&[b'x'; 128]) {
        let mut buffer = [0; 1024];
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        held.extend_from_slice(&buffer[..read]);
    }
    Ok(stream)
}

/// How many times the work of one worker two would do, each on a core of its own: what CPU time per request (of two
/// over one) and evenness leave of 2. More than 2 is never true, only a disturbed measurement of the one.
fn projected(cpu_ratio: f64, evenness: f64) -> f64 {
    (2.0 * evenness / cpu_ratio).min(2.0)
}

/// How evenly the two busiest threads were loaded: 1 is alike, 0.5 is one of them idle.
fn balance(threads_us: &[f64]) -> f64 {
    let mut busiest = threads_us.to_vec();
    busiest.sort_by(|a, b| b.total_cmp(a));
    match busiest[..] {
        [first, second, ..] if first > 0.0 => (first + second) / (2.0 * first),
        _ => 0.5,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_proxy_has_its_turn_in_every_round_and_is_first_as_often() {
        let mut order = Vec::new();
        let proxies = [Proxy::Evenkeel, Proxy::Nginx, Proxy::Haproxy];
        let rows = in_turn(&proxies, 3, |which| {
            order.push(which);
            Ok(Sample::from([(Metric::CpuUs, which as f64)]))
        });
        assert_eq!(order, [0, 1, 2, 1, 2, 0, 2, 0, 1]);
        assert_eq!(rows.unwrap()[2].values(Metric::CpuUs), [2.0, 2.0, 2.0]);
    }

    #[test]
    fn a_projection_loses_what_costs_more_and_what_is_uneven_and_never_exceeds_two() {
        assert!((projected(1.0, 1.0) - 2.0).abs() < 1e-9);
        assert!((projected(1.25, 1.0) - 1.6).abs() < 1e-9);
        assert!((projected(1.0, 0.75) - 1.5).abs() < 1e-9);
        assert!((projected(0.8, 1.0) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn evenness_looks_at_the_two_workers_and_not_at_idle_threads() {
        assert!((balance(&[0.0, 50.0, 3.0, 50.0]) - 1.0).abs() < 1e-9);
        assert!((balance(&[100.0, 50.0]) - 0.75).abs() < 1e-9);
        assert!((balance(&[100.0, 0.0]) - 0.5).abs() < 1e-9);
        assert!((balance(&[]) - 0.5).abs() < 1e-9);
    }
}
