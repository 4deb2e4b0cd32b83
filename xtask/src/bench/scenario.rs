//! How each scenario is measured: rounds in which every proxy has its turn, in an order that rotates.

use std::fs;
use std::time::Duration;

use anyhow::Context;

use super::connection::{Connection, Wire};
use super::feature::{self, Feature};
use super::generator::{Body, Load};
use super::procfs;
use super::proxy::{Proxy, Running};
use super::results::{Metric, Row, Sample, Scenario};
use super::rig::Rig;
use crate::exchanges::Kind;
use crate::origin::http2::{STREAM_PATH, UNARY_PATH};
use crate::origin::{LARGE_PATH, MEDIUM_PATH, TEXT_PATH, UPLOAD_PATH};
use crate::tls::KeyExchange;

/// Of the scenarios that do not vary it.
const KEEP_ALIVE: Load = keep_alive("/", 64);
const STREAMS: Load = streams("/", (16, 32), Body::None);
const UPLOADS: Load =
    Load::KeepAlive { path: UPLOAD_PATH, connections: 16, encoding: None, body: Body::Large };
const HANDSHAKES: Load = handshakes(KeyExchange::X25519);
/// Rounds of one second, for each round of another scenario, in which features are measured: one costs less than what the
/// machine is off by at times, and many short pairs tell more than few long ones.
const FEATURE_ROUNDS: usize = 5;
/// Idle connections, if the limit on open files allows for as many.
const IDLE_CONNECTIONS: u64 = 5000;
/// How long all proxies get to put away what serving took, before the memory of idle connections is measured.
const IDLE_SETTLES: Duration = Duration::from_secs(2);
/// Rounds of the idle scenario, each of which starts the proxy anew: memory varies little.
const IDLE_ROUNDS_MAX: usize = 3;
/// Files that are served, in the rig's directory, and their lengths in bytes.
const FILES: [(&str, usize); 2] = [("1k", 1 << 10), ("1m", 1 << 20)];

/// Measures `scenario` on `rig`; its rows and notes.
///
/// # Errors
/// A program that does not start, dies or answers nothing.
pub fn measure(
    rig: &Rig,
    scenario: Scenario,
    rounds: usize,
    seconds: u64,
) -> anyhow::Result<(Vec<Row>, Vec<String>)> {
    let run = Run { rig, scenario, rounds, seconds };
    let rows = match scenario {
        Scenario::H1Few => run.load(Wire::Http1, keep_alive("/", 8)),
        Scenario::H1Some => run.load(Wire::Http1, KEEP_ALIVE),
        Scenario::H1Many => run.load(Wire::Http1, keep_alive("/", 512)),
        // The peers as they are, against all that keeps evenkeel up when things fail.
        Scenario::H1Guarded => run.load_with(feature::GUARDED, KEEP_ALIVE),
        Scenario::Features => run.features(),
        Scenario::Large => run.load(Wire::Http1, keep_alive(LARGE_PATH, 16)),
        Scenario::Upload => run.load(Wire::Http1, UPLOADS),
        Scenario::Tls => run.load(Wire::Http1Tls, KEEP_ALIVE),
        Scenario::TlsHandshake => run.load(Wire::Http1Tls, HANDSHAKES),
        Scenario::TlsHandshakePq => return run.post_quantum(),
        Scenario::H2Clear => run.load(Wire::Http2, STREAMS),
        Scenario::H2Tls => run.load(Wire::Http2Tls, STREAMS),
        Scenario::H2Large => run.load(Wire::Http2, streams(LARGE_PATH, (4, 4), Body::None)),
        Scenario::H2Upload => run.load(Wire::Http2, streams(UPLOAD_PATH, (4, 4), Body::Large)),
        Scenario::GrpcUnary => run.calls(UNARY_PATH),
        Scenario::GrpcStream => run.calls(STREAM_PATH),
        Scenario::HitSmall => run.load_with(feature::CACHED, KEEP_ALIVE),
        Scenario::HitMedium => run.load_with(feature::CACHED, keep_alive(MEDIUM_PATH, 16)),
        Scenario::HitLarge => run.load_with(feature::CACHED, keep_alive(LARGE_PATH, 16)),
        Scenario::FileSmall => run.files(keep_alive("/files/1k", 64)),
        Scenario::FileLarge => run.files(keep_alive("/files/1m", 16)),
        Scenario::Gzip => run.compressed(feature::GZIP),
        Scenario::Brotli => run.compressed(feature::BROTLI),
        Scenario::TcpMessages => run.load(Wire::Tcp, exchanges(Kind::Messages)),
        Scenario::TcpLarge => run.load(Wire::Tcp, keep_alive(LARGE_PATH, 16)),
        Scenario::TcpShort => run.load(Wire::Tcp, exchanges(Kind::Connections)),
        Scenario::Udp => run.load(Wire::Udp, exchanges(Kind::Datagrams)),
        Scenario::Idle => run.idle(Wire::Http1),
        Scenario::IdleTls => run.idle(Wire::Http1Tls),
        Scenario::IdleH2Clear => run.idle(Wire::Http2),
        Scenario::IdleH2 => run.idle(Wire::Http2Tls),
        Scenario::IdleTcp => run.idle(Wire::Tcp),
        Scenario::Overhead => run.overhead(),
        Scenario::Workers => return run.workers(),
    };
    Ok((rows?, Vec::new()))
}

/// Requests for `path` on connections that stay open.
const fn keep_alive(path: &'static str, connections: u16) -> Load {
    Load::KeepAlive { path, connections, encoding: None, body: Body::None }
}

/// Requests for `path` on so many connections of so many streams.
const fn streams(path: &'static str, (connections, streams): (u16, u16), body: Body) -> Load {
    Load::Streams { path, connections, streams, body }
}

/// Small messages, as many at a time as there are connections elsewhere.
const fn exchanges(kind: Kind) -> Load {
    Load::Exchanges { kind, connections: 64 }
}

/// Full handshakes, as many at a time as there are connections elsewhere.
const fn handshakes(key_exchange: KeyExchange) -> Load {
    Load::Handshakes { connections: 64, key_exchange }
}

/// A scenario that is measured.
struct Run<'r> {
    rig: &'r Rig<'r>,
    scenario: Scenario,
    rounds: usize,
    seconds: u64,
}

impl Run<'_> {
    fn load(&self, wire: Wire, load: Load) -> anyhow::Result<Vec<Row>> {
        self.measured(&self.start_all(wire, feature::NONE)?, load)
    }

    fn load_with(&self, feature: Feature, load: Load) -> anyhow::Result<Vec<Row>> {
        self.measured(&self.start_all(Wire::Http1, feature)?, load)
    }

    /// Calls of gRPC, to servers that speak HTTP/2 as the clients do.
    fn calls(&self, path: &'static str) -> anyhow::Result<Vec<Row>> {
        let load = streams(path, (16, 32), Body::Message);
        self.measured(&self.start_all(Wire::Http2, feature::GRPC)?, load)
    }

    fn files(&self, load: Load) -> anyhow::Result<Vec<Row>> {
        for (name, length) in FILES {
            fs::write(self.rig.dir().join(name), vec![b'x'; length])?;
        }
        self.load_with(feature::FILES, load)
    }

    /// Answers that are compressed with what `feature` switches on.
    fn compressed(&self, feature: Feature) -> anyhow::Result<Vec<Row>> {
        let encoding = feature.compression();
        let load = Load::KeepAlive { path: TEXT_PATH, connections: 16, encoding, body: Body::None };
        self.load_with(feature, load)
    }

    /// Each feature against none, in the same round, by what they take in user space: that is where they work, and the
    /// kernel's share varies by more than they cost.
    fn features(&self) -> anyhow::Result<Vec<Row>> {
        let all: Vec<Feature> = [feature::NONE].into_iter().chain(feature::EACH).collect();
        let start = |feature: &Feature| self.rig.run_with(Proxy::Evenkeel, Wire::Http1, 1, *feature);
        let running = all.iter().map(start).collect::<anyhow::Result<Vec<_>>>()?;
        let short = Run { rounds: FEATURE_ROUNDS * self.rounds, seconds: 1, ..*self };
        let mut rows = short.measured(&running, KEEP_ALIVE)?;
        let plain = rows[0].values(Metric::CpuUserUs);
        for (row, feature) in rows.iter_mut().zip(&all).skip(1) {
            row.name = format!("evenkeel, {}", feature.name);
            for (sample, plain) in row.rounds.iter_mut().zip(&plain) {
                let more = sample[&Metric::CpuUserUs] - plain;
                sample.insert(Metric::MoreUs, more);
            }
        }
        Ok(rows)
    }

    /// Measures those of `running`, once each is warm.
    fn measured(&self, running: &[Running], load: Load) -> anyhow::Result<Vec<Row>> {
        for proxy in running {
            self.rig.load(proxy, load, 1)?;
        }
        let proxies: Vec<Proxy> = running.iter().map(|running| running.proxy).collect();
        in_turn(&proxies, self.rounds, |which| self.rig.round(&running[which], load, self.seconds))
    }

    /// Handshakes with the hybrid key exchange, of those proxies that know it.
    fn post_quantum(&self) -> anyhow::Result<(Vec<Row>, Vec<String>)> {
        let exchange = KeyExchange::X25519MlKem768;
        let all = self.start_all(Wire::Http1Tls, feature::NONE)?;
        let (able, unable): (Vec<_>, Vec<_>) = all.into_iter().partition(|proxy| proxy.knows(exchange));
        let rows = self.measured(&able, handshakes(exchange))?;
        let names: Vec<&str> = unable.iter().map(|running| running.proxy.name()).collect();
        let note = format!("The TLS library here of these has no X25519MLKEM768: {}.", names.join(", "));
        Ok((rows, if names.is_empty() { Vec::new() } else { vec![note] }))
    }

    fn idle(&self, wire: Wire) -> anyhow::Result<Vec<Row>> {
        let Self { rig, scenario, rounds, .. } = *self;
        let proxies = rig.proxies(scenario);
        let warm_up = if wire.http2() { STREAMS } else { KEEP_ALIVE };
        in_turn(&proxies, rounds.min(IDLE_ROUNDS_MAX), |which| {
            let running = rig.run(proxies[which], wire, 1)?;
            // Whatever is allocated once, or for each request in flight, shall not count for the idle ones.
            rig.load(&running, warm_up, 1)?;
            let count = IDLE_CONNECTIONS.min(rig.connections_max() - 100);
            let before = procfs::pss_bytes(running.process.id())?;
            let mut connections = (0..count)
                .map(|_| {
                    let mut connection = Connection::open(running.address, wire, KeyExchange::X25519)?;
                    connection.ask()?;
                    Ok(connection)
                })
                .collect::<std::io::Result<Vec<_>>>()
                .context("cannot open the idle connections")?;
            // A connection is idle when its last request is some time ago.
            std::thread::sleep(IDLE_SETTLES);
            let after = procfs::pss_bytes(running.process.id())?;
            let gone = connections.iter_mut().filter_map(|connection| connection.ask().err()).count();
            let bytes = (after as f64 - before as f64) / connections.len() as f64;
            Ok(Sample::from([(Metric::IdleBytes, bytes), (Metric::Errors, gone as f64)]))
        })
    }

    fn overhead(&self) -> anyhow::Result<Vec<Row>> {
        let Self { rig, scenario, rounds, seconds } = *self;
        let mut loaded = Vec::new();
        for proxy in self.start_all(Wire::Http1, feature::NONE)? {
            rig.load(&proxy, KEEP_ALIVE, 1)?;
            let most = rig.load(&proxy, KEEP_ALIVE, seconds.min(2))?;
            loaded.push(((most.per_second(most.requests) / 2.0).max(1.0) as u32, proxy));
        }
        in_turn(&rig.proxies(scenario), rounds, |which| {
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

    fn workers(&self) -> anyhow::Result<(Vec<Row>, Vec<String>)> {
        let Self { rig, rounds, seconds, .. } = *self;
        let mut rows = [1, 2].map(|workers| Row {
            name: format!("evenkeel, workers = {workers}"),
            ..Row::new(Proxy::Evenkeel)
        });
        let started = [rig.run(Proxy::Evenkeel, Wire::Http1, 1)?, rig.run(Proxy::Evenkeel, Wire::Http1, 2)?];
        for proxy in &started {
            rig.load(proxy, KEEP_ALIVE, 1)?;
        }
        for round in 0..rounds {
            let mut samples = [Sample::new(), Sample::new()];
            let mut evenness = 0.0;
            for turn in 0..2 {
                let which = (round + turn) % 2;
                let before = procfs::threads_us(started[which].process.id())?;
                samples[which] = rig.round(&started[which], KEEP_ALIVE, seconds)?;
                let after = procfs::threads_us(started[which].process.id())?;
                if which == 1 {
                    let used = after.iter().map(|(id, us)| us - before.get(id).unwrap_or(&0.0));
                    evenness = balance(&used.collect::<Vec<_>>());
                }
            }
            let ratio = |metric| samples[1][&metric] / samples[0][&metric];
            let speed_up = if rig.pinned() {
                ratio(Metric::Throughput)
            } else {
                projected(ratio(Metric::CpuUs), evenness)
            };
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

    /// Starts every proxy with one worker and `feature`; a proxy without load costs nothing.
    fn start_all(&self, wire: Wire, feature: Feature) -> anyhow::Result<Vec<Running>> {
        let proxies = self.rig.proxies(self.scenario).into_iter();
        proxies.map(|proxy| self.rig.run_with(proxy, wire, 1, feature)).collect()
    }
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
            let sample =
                measure(which).with_context(|| format!("{}, round {}", proxies[which].name(), round + 1))?;
            rows[which].rounds.push(sample);
        }
    }
    Ok(rows)
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
