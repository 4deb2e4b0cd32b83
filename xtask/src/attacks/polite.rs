//! The other client: one request after the other over a connection of its own.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::bench::connection::{Connection, Wire};
use crate::tls::KeyExchange;

/// From an answer to the next request.
const PAUSE: Duration = Duration::from_millis(2);
/// The slowest request whose time is recorded as it is.
const LATENCY_MAX_US: u64 = 60_000_000;

/// What the requests are counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Connections open and buffers grow: for nothing.
    WarmUp = 0,
    /// There is no attack yet.
    Before = 1,
    /// The attack goes on.
    During = 2,
}

/// Says in which phase a measurement is, and when it is over.
#[derive(Debug, Default)]
pub struct Stage {
    phase: AtomicU8,
    is_over: AtomicBool,
}

impl Stage {
    /// The next phase begins.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }

    /// The client is to end.
    pub fn end(&self) {
        self.is_over.store(true, Relaxed);
    }
}

/// What the client has seen in one phase.
#[derive(Debug)]
pub struct Latency {
    times_us: Histogram<u64>,
    /// Requests that were not answered well.
    pub failed: u64,
}

impl Latency {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { times_us: Histogram::new_with_bounds(1, LATENCY_MAX_US, 3)?, failed: 0 })
    }

    /// A quantile in milliseconds.
    pub fn ms(&self, quantile: f64) -> f64 {
        self.times_us.value_at_quantile(quantile) as f64 / 1e3
    }
}

/// Sends requests until the stage says so; what was seen in each phase.
///
/// # Errors
/// The histograms cannot be made.
pub fn client(address: SocketAddr, stage: &Stage) -> anyhow::Result<[Latency; 3]> {
    let mut seen = [Latency::new()?, Latency::new()?, Latency::new()?];
    let mut connection = None;
    while !stage.is_over.load(Relaxed) {
        thread::sleep(PAUSE);
        let phase = stage.phase.load(Relaxed);
        let latency = &mut seen[usize::from(phase)];
        let mut open = match connection.take() {
            Some(open) => Ok(open),
            None => Connection::open(address, Wire::Http2, KeyExchange::X25519),
        };
        let begun = Instant::now();
        match open.as_mut().map(|open| open.ask()) {
            Ok(Ok(())) => connection = open.ok(),
            _ => latency.failed += 1,
        }
        latency.times_us.saturating_record(begun.elapsed().as_micros() as u64);
    }
    Ok(seen)
}
