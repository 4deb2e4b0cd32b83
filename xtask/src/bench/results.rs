//! The vocabulary of the results: scenarios, what is measured in each, samples and their medians.

use std::collections::BTreeMap;

use clap::ValueEnum;
use serde::{Serialize, Serializer};

use super::budget::Verdict;
use super::machine::Machine;
use super::proxy::Proxy;

/// A kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scenario {
    /// 8 keep-alive connections, 128-byte answers.
    #[value(name = "h1-8")]
    H1Few,
    /// 64 keep-alive connections, 128-byte answers.
    #[value(name = "h1-64")]
    H1Some,
    /// 512 keep-alive connections, 128-byte answers.
    #[value(name = "h1-512")]
    H1Many,
    /// The same as `h1-64` with retries, a circuit breaker, outlier ejection and a rate limit.
    #[value(name = "h1-64-guarded")]
    H1Guarded,
    /// The same as `h1-64` with one feature after the other, evenkeel alone.
    Features,
    /// 16 connections, answers of 1 MiB.
    Large,
    /// 16 connections, requests with a body of 1 MiB.
    Upload,
    /// 64 keep-alive connections over TLS, 128-byte answers.
    #[value(name = "tls-64")]
    Tls,
    /// A full TLS handshake per request, 64 at a time.
    TlsHandshake,
    /// The same with post-quantum key exchange.
    TlsHandshakePq,
    /// HTTP/2 in clear, 16 connections of 32 streams.
    #[value(name = "h2c-16x32")]
    H2Clear,
    /// HTTP/2 over TLS, 16 connections of 32 streams.
    #[value(name = "h2-16x32")]
    H2Tls,
    /// HTTP/2 in clear, 4 connections of 4 streams, answers of 1 MiB.
    #[value(name = "h2c-large")]
    H2Large,
    /// The same with requests that have a body of 1 MiB.
    #[value(name = "h2c-upload")]
    H2Upload,
    /// gRPC over HTTP/2 in clear on both sides, 16 connections of 32 calls: a message each way.
    GrpcUnary,
    /// The same, where each call is answered with a stream of 100 messages.
    GrpcStream,
    /// 64 connections, answers of 128 bytes out of the cache.
    #[value(name = "hit-128")]
    HitSmall,
    /// 16 connections, answers of 64 KiB out of the cache.
    #[value(name = "hit-64k")]
    HitMedium,
    /// 16 connections, answers of 1 MiB out of the cache.
    #[value(name = "hit-1m")]
    HitLarge,
    /// 64 connections, a file of 1 KiB.
    #[value(name = "file-1k")]
    FileSmall,
    /// 16 connections, a file of 1 MiB.
    #[value(name = "file-1m")]
    FileLarge,
    /// 16 connections, 64 KiB of JSON that the proxy compresses with gzip.
    Gzip,
    /// The same with Brotli.
    Brotli,
    /// 64 TCP connections, messages of 128 bytes and answers of 128 bytes.
    #[value(name = "tcp-64")]
    TcpMessages,
    /// 16 TCP connections, answers of 1 MiB.
    TcpLarge,
    /// A TCP connection for each message of 128 bytes, 64 at a time.
    TcpShort,
    /// 64 clients over UDP, datagrams of 128 bytes and answers of 128 bytes.
    #[value(name = "udp-64")]
    Udp,
    /// Memory of idle keep-alive connections.
    Idle,
    /// Memory of idle keep-alive connections over TLS.
    IdleTls,
    /// Memory of idle HTTP/2 connections in clear.
    IdleH2Clear,
    /// Memory of idle HTTP/2 connections over TLS.
    IdleH2,
    /// Memory of idle TCP connections, each with its connection to a server.
    IdleTcp,
    /// Latency added at a steady half of the highest load.
    Overhead,
    /// Two workers against one, evenkeel alone.
    Workers,
}

impl Scenario {
    /// Its name on the command line and in files.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// True when it compares evenkeel with itself.
    pub fn is_ours_alone(self) -> bool {
        self.peers().is_empty()
    }

    /// The peers that can do what it is about.
    pub fn peers(self) -> &'static [Proxy] {
        match self {
            Self::Workers | Self::Features => &[],
            Self::HitSmall | Self::HitMedium | Self::HitLarge => {
                &[Proxy::Nginx, Proxy::Haproxy, Proxy::Varnish]
            }
            Self::FileSmall | Self::FileLarge | Self::Gzip | Self::Brotli | Self::Udp => &[Proxy::Nginx],
            _ => &[Proxy::Nginx, Proxy::Haproxy],
        }
    }

    /// True if `proxy` takes part.
    pub fn compares(self, proxy: Proxy) -> bool {
        proxy == Proxy::Evenkeel || self.peers().contains(&proxy)
    }

    /// Its heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::H1Few => "HTTP/1.1, 8 connections, 128-byte answers",
            Self::H1Some => "HTTP/1.1, 64 connections, 128-byte answers",
            Self::H1Many => "HTTP/1.1, 512 connections, 128-byte answers",
            Self::H1Guarded => {
                "HTTP/1.1, 64 connections; retries, breaker, outliers and a rate limit in Evenkeel"
            }
            Self::Features => "What features cost, 64 connections",
            Self::Large => "HTTP/1.1, 16 connections, 1 MiB answers",
            Self::Upload => "HTTP/1.1, 16 connections, requests with 1 MiB",
            Self::Tls => "HTTPS, 64 connections, 128-byte answers",
            Self::TlsHandshake => "HTTPS, a full handshake per request, 64 at a time",
            Self::TlsHandshakePq => "HTTPS, a full handshake per request, post-quantum key exchange",
            Self::H2Clear => "HTTP/2 in clear, 16 connections of 32 streams",
            Self::H2Tls => "HTTP/2 over TLS, 16 connections of 32 streams",
            Self::H2Large => "HTTP/2 in clear, 4 connections of 4 streams, 1 MiB answers",
            Self::H2Upload => "HTTP/2 in clear, 4 connections of 4 streams, requests with 1 MiB",
            Self::GrpcUnary => "gRPC, 16 connections of 32 calls, a message of 128 bytes each way",
            Self::GrpcStream => {
                "gRPC, 16 connections of 32 calls, each answered with 100 messages of 128 bytes"
            }
            Self::HitSmall => "From the cache, 64 connections, 128-byte answers",
            Self::HitMedium => "From the cache, 16 connections, 64 KiB answers",
            Self::HitLarge => "From the cache, 16 connections, 1 MiB answers",
            Self::FileSmall => "A file of 1 KiB, 64 connections",
            Self::FileLarge => "A file of 1 MiB, 16 connections",
            Self::Gzip => "64 KiB of JSON compressed with gzip, 16 connections",
            Self::Brotli => "64 KiB of JSON compressed with Brotli, 16 connections",
            Self::TcpMessages => "TCP, 64 connections, messages of 128 bytes and as long answers",
            Self::TcpLarge => "TCP, 16 connections, 1 MiB answers",
            Self::TcpShort => "TCP, a connection for each message of 128 bytes, 64 at a time",
            Self::Udp => "UDP, 64 clients, datagrams of 128 bytes and as long answers",
            Self::Idle => "Idle keep-alive connections",
            Self::IdleTls => "Idle keep-alive connections over TLS",
            Self::IdleH2Clear => "Idle HTTP/2 connections in clear",
            Self::IdleH2 => "Idle HTTP/2 connections over TLS",
            Self::IdleTcp => "Idle TCP connections",
            Self::Overhead => "Latency added at half load, 64 connections",
            Self::Workers => "Two workers against one, 64 connections",
        }
    }
}

impl Serialize for Scenario {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

/// Something measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// CPU time of the proxy per request, in microseconds.
    CpuUs,
    /// How much more it is in user space than without the feature, in the same round.
    MoreUs,
    /// The part of it in user space.
    CpuUserUs,
    /// The part of it in the kernel.
    CpuSystemUs,
    /// Requests per second.
    Throughput,
    /// Mebibytes per second.
    Mebibytes,
    /// Requests that failed.
    Errors,
    /// Bytes of memory (PSS) per idle connection.
    IdleBytes,
    /// The constant rate, in requests per second.
    Rate,
    /// Median latency through the proxy less that of the origin alone, in microseconds.
    AddedP50Us,
    /// The same for the 95th percentile.
    AddedP95Us,
    /// The same for the 99th percentile.
    AddedP99Us,
    /// 99th percentile of the origin alone, in microseconds.
    DirectP99Us,
    /// How many times the requests of one worker.
    SpeedUp,
}

impl Metric {
    /// Heading of its column.
    pub fn label(self) -> &'static str {
        match self {
            Self::CpuUs => "CPU us/request",
            Self::MoreUs => "more in user space",
            Self::CpuUserUs => "user",
            Self::CpuSystemUs => "system",
            Self::Throughput => "requests/s",
            Self::Mebibytes => "MiB/s",
            Self::Errors => "errors",
            Self::IdleBytes => "bytes/connection",
            Self::Rate => "rate, requests/s",
            Self::AddedP50Us => "added p50 us",
            Self::AddedP95Us => "added p95 us",
            Self::AddedP99Us => "added p99 us",
            Self::DirectP99Us => "origin alone p99 us",
            Self::SpeedUp => "times one worker",
        }
    }

    /// `value` as it stands in a table.
    pub fn format(self, value: f64) -> String {
        match self {
            Self::CpuUs | Self::CpuUserUs | Self::CpuSystemUs if value < 100.0 => format!("{value:.2}"),
            Self::SpeedUp | Self::MoreUs => format!("{value:.2}"),
            _ => grouped(value),
        }
    }
}

/// One round's measurements.
pub type Sample = BTreeMap<Metric, f64>;

/// A proxy's rounds in a scenario.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The proxy, with what sets this row apart from its others.
    pub name: String,
    /// Whose row it is.
    pub proxy: Proxy,
    /// In the order in which they were measured; the same index is the same round in every row.
    pub rounds: Vec<Sample>,
}

impl Row {
    /// A row without rounds yet.
    pub fn new(proxy: Proxy) -> Self {
        Self { name: proxy.name().into(), proxy, rounds: Vec::new() }
    }

    /// All rounds' values of `metric`.
    pub fn values(&self, metric: Metric) -> Vec<f64> {
        self.rounds.iter().filter_map(|sample| sample.get(&metric).copied()).collect()
    }

    /// The median over the rounds; `None` when it was not measured.
    pub fn median(&self, metric: Metric) -> Option<f64> {
        median(&self.values(metric))
    }
}

/// A scenario's results.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Which one.
    pub scenario: Scenario,
    /// In the order of the command line.
    pub rows: Vec<Row>,
    /// What the reader must know to judge the numbers.
    pub notes: Vec<String>,
    /// How it compares to the budget; `None` when it has none or evenkeel did not take part.
    pub verdict: Option<Verdict>,
}

/// All of a run.
#[derive(Debug, Serialize)]
pub struct Results {
    /// Where.
    pub machine: Machine,
    /// How Evenkeel was built.
    pub build: &'static str,
    /// Rounds per scenario.
    pub rounds: usize,
    /// Seconds per round.
    pub seconds: u64,
    /// What.
    pub scenarios: Vec<Outcome>,
}

/// The middle value, or the mean of the two in the middle; `None` of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    Some((lower + upper) / 2.0)
}

/// A whole number with its thousands set apart.
pub fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    let sign = if value < 0.0 && digits != "0" { "-" } else { "" };
    format!("{sign}{}", groups.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(Metric::Throughput.format(1_234_567.8), "1,234,568");
        assert_eq!(Metric::AddedP99Us.format(-45.6), "-46");
        assert_eq!(Metric::CpuUs.format(7.239), "7.24");
        assert_eq!(Metric::CpuUs.format(412.5), "412");
    }
}
