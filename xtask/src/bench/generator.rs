//! The closed-loop load generators: the command line of each, and what it reports.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::connection::Wire;
use crate::exchanges::Kind;
use crate::origin::{LARGE_BODY, http2};
use crate::tls::{KeyExchange, SERVER_NAME};

/// The programs that make load.
pub struct Generators {
    /// HTTP/1.1 on connections that stay open.
    pub wrk: PathBuf,
    /// HTTP/2.
    pub h2load: PathBuf,
    /// This program, optimised: handshakes, small exchanges, the load generator with an open loop, and origin servers.
    pub xtask: PathBuf,
}

/// What is sent, as fast as answers come.
#[derive(Debug, Clone, Copy)]
pub enum Load {
    /// Requests for `path` on `connections` that stay open.
    KeepAlive {
        /// The target.
        path: &'static str,
        /// How many at a time.
        connections: u16,
        /// The encoding of the answer that the client accepts.
        encoding: Option<&'static str>,
        /// What they bring.
        body: Body,
    },
    /// Requests for `path` on streams of HTTP/2.
    Streams {
        /// The target.
        path: &'static str,
        /// How many that stay open.
        connections: u16,
        /// Requests in flight on each.
        streams: u16,
        /// What they bring.
        body: Body,
    },
    /// Small messages, each with an answer.
    Exchanges {
        /// What they go over.
        kind: Kind,
        /// How many at a time.
        connections: u16,
    },
    /// A connection and a full TLS handshake for each request.
    Handshakes {
        /// How many at a time.
        connections: u16,
        /// The one that is offered.
        key_exchange: KeyExchange,
    },
}

/// What each request brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// Nothing: it is a GET.
    None,
    /// 1 MiB.
    Large,
    /// A message of gRPC.
    Message,
}

/// Files in the directory of the [prepared](prepare).
const SCRIPT: &str = "done.lua";
const UPLOAD_SCRIPT: &str = "upload.lua";
const LARGE_FILE: &str = "large-body";
const MESSAGE_FILE: &str = "grpc-message";

/// What a generator saw.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Requests answered.
    pub requests: u64,
    /// From the first request to the last.
    pub duration_us: u64,
    /// Received, as the generator counts them.
    pub bytes: u64,
    /// Of the sockets, of time and of status.
    pub errors: u64,
}

impl Report {
    /// `count` by the second.
    pub fn per_second(&self, count: u64) -> f64 {
        count as f64 * 1e6 / self.duration_us as f64
    }
}

/// Writes what generators need to `dir`: scripts for wrk, bodies, and the settings of TLS that h2load has flags for.
///
/// # Errors
/// `dir` is not writable.
pub fn prepare(dir: &Path) -> std::io::Result<()> {
    let report = include_str!("done.lua");
    let upload = format!("wrk.method = 'POST'\nwrk.body = string.rep('x', {LARGE_BODY})\n{report}");
    fs::write(dir.join(SCRIPT), report)?;
    fs::write(dir.join(UPLOAD_SCRIPT), upload)?;
    fs::write(dir.join(LARGE_FILE), vec![b'x'; LARGE_BODY])?;
    fs::write(dir.join(MESSAGE_FILE), http2::MESSAGE)?;
    fs::write(dir.join("openssl.cnf"), include_str!("openssl.cnf"))
}

impl Load {
    /// The generator's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::KeepAlive { .. } => "wrk",
            Self::Streams { .. } => "h2load",
            Self::Exchanges { .. } => "exchanges",
            Self::Handshakes { .. } => "handshakes",
        }
    }

    /// The command that sends it to `to` on `threads` for `seconds`; `dir` was [prepared](prepare).
    pub fn command(
        self,
        generators: &Generators,
        dir: &Path,
        to: (SocketAddr, Wire),
        threads: usize,
        seconds: u64,
    ) -> Command {
        let (address, wire) = to;
        let scheme = if wire.tls() { "https" } else { "http" };
        // By name over TLS: an address is no server name (RFC 6066 section 3).
        let host = if wire.tls() { SERVER_NAME.into() } else { address.ip().to_string() };
        let base = format!("{scheme}://{host}:{}", address.port());
        let [threads, seconds] = [threads.to_string(), seconds.to_string()];
        match self {
            Self::KeepAlive { path, connections, encoding, body } => {
                let script = if body == Body::None { SCRIPT } else { UPLOAD_SCRIPT };
                let mut command = Command::new(&generators.wrk);
                command.args(["--threads", &threads, "--connections", &connections.to_string()]);
                command.args(["--duration", &seconds, "--script"]).arg(dir.join(script));
                if let Some(encoding) = encoding {
                    command.args(["--header", &format!("accept-encoding: {encoding}")]);
                }
                command.arg(base + path).env("OPENSSL_CONF", dir.join("openssl.cnf"));
                command
            }
            Self::Streams { path, connections, streams, body } => {
                let mut command = Command::new(&generators.h2load);
                command.args(["--threads", &threads, "--clients", &connections.to_string()]);
                command.args(["--max-concurrent-streams", &streams.to_string(), "--duration", &seconds]);
                command.args(["--groups", "X25519", "--tls13-ciphers", "TLS_AES_128_GCM_SHA256"]);
                match body {
                    Body::None => {}
                    Body::Large => _ = command.arg("--data").arg(dir.join(LARGE_FILE)),
                    Body::Message => {
                        command.arg("--data").arg(dir.join(MESSAGE_FILE));
                        command.args([
                            "--header",
                            "content-type: application/grpc",
                            "--header",
                            "te: trailers",
                        ]);
                    }
                }
                command.args(["--npn-list", "h2", "--connect-to", &address.to_string(), &(base + path)]);
                command
            }
            Self::Exchanges { kind, connections } => {
                let mut command = Command::new(&generators.xtask);
                command.args(["exchanges", "--address", &address.to_string(), "--seconds", &seconds]);
                command.args(["--connections", &connections.to_string()]);
                if let Some(value) = kind.to_possible_value() {
                    command.args(["--kind", value.get_name()]);
                }
                command
            }
            Self::Handshakes { connections, key_exchange } => {
                let mut command = Command::new(&generators.xtask);
                command.args(["handshakes", "--address", &address.to_string(), "--seconds", &seconds]);
                command.args(["--connections", &connections.to_string()]);
                if let Some(value) = key_exchange.to_possible_value() {
                    command.args(["--key-exchange", value.get_name()]);
                }
                command
            }
        }
    }

    /// What the generator printed, understood.
    ///
    /// # Errors
    /// It is no report, or tells of another protocol than `wire`.
    pub fn report(self, printed: &str, wire: Wire) -> anyhow::Result<Report> {
        if matches!(self, Self::Streams { .. }) {
            return h2load(printed, wire);
        }
        let json = printed.lines().rfind(|line| line.starts_with('{'));
        let json = json.with_context(|| format!("{} reported nothing", self.name()))?;
        serde_json::from_str(json).context(self.name())
    }
}

/// Reads h2load's report, which is for people.
fn h2load(printed: &str, wire: Wire) -> anyhow::Result<Report> {
    let line = |start: &str| {
        let found = printed.lines().find_map(|line| line.strip_prefix(start));
        found.with_context(|| format!("no `{start}` in h2load's report:\n{printed}"))
    };
    let protocol = line("Application protocol: ")?;
    ensure!(protocol == if wire.tls() { "h2" } else { "h2c" }, "{protocol} was spoken, not HTTP/2");
    if wire.tls() {
        let (version, group) = (line("TLS Protocol: ")?, line("Server Temp Key: ")?);
        ensure!(version == "TLSv1.3" && group.starts_with("X25519 "), "{version} with {group} was spoken");
    }
    let statuses = line("status codes: ")?;
    Ok(Report {
        requests: count(statuses, " 2xx")?,
        duration_us: duration_us(line("finished in ")?)?,
        bytes: count(line("traffic: ")?, ") total")?,
        // `failed` counts statuses of 400 and more, and what had no answer.
        errors: count(line("requests: ")?, " failed")? + count(statuses, " 3xx")?,
    })
}

/// The number right before `word`.
fn count(line: &str, word: &str) -> anyhow::Result<u64> {
    let number = line.split(word).next().unwrap_or_default().rsplit([' ', '(']).next();
    number.and_then(|n| n.parse().ok()).with_context(|| format!("no number before `{word}` in `{line}`"))
}

/// The time that `line` begins with, such as `1.25s` or `980.50ms`.
fn duration_us(line: &str) -> anyhow::Result<u64> {
    let time = line.split(',').next().unwrap_or_default();
    let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6)];
    let parsed = units.iter().find_map(|(unit, us)| Some(time.strip_suffix(unit)?.parse::<f64>().ok()? * us));
    parsed.map(|us| us as u64).with_context(|| format!("`{time}` is no time"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// As h2load 1.52 prints it, shortened.
    const H2LOAD: &str = "\
TLS Protocol: TLSv1.3
Cipher: TLS_AES_128_GCM_SHA256
Server Temp Key: X25519 253 bits
Application protocol: h2
Main benchmark duration is over for thread #0. Stopping all clients.

finished in 1.25s, 78899.00 req/s, 14.75MB/s
requests: 98623 total, 98631 started, 98623 done, 98619 succeeded, 4 failed, 1 errored, 0 timeout
status codes: 98610 2xx, 9 3xx, 3 4xx, 0 5xx
traffic: 14.75MB (15464302) total, 3.76MB (3944950) headers (space savings 50.00%), 9.63MB (10099072) data
";

    #[test]
    fn what_h2load_reports_is_read() {
        let report = h2load(H2LOAD, Wire::Http2Tls).unwrap();
        let expected = Report { requests: 98_610, duration_us: 1_250_000, bytes: 15_464_302, errors: 13 };
        assert_eq!(report, expected);
        assert_eq!(duration_us("980.50ms, 1.00 req/s").unwrap(), 980_500);
        assert!(duration_us("soon").is_err());
    }

    #[test]
    fn another_protocol_than_the_one_to_measure_is_an_error() {
        let told = |from: &str, to: &str, wire| h2load(&H2LOAD.replace(from, to), wire);
        assert!(told("protocol: h2", "protocol: http/1.1", Wire::Http2Tls).is_err());
        assert!(told("protocol: h2", "protocol: h2c", Wire::Http2).is_ok());
        assert!(told("", "", Wire::Http2).is_err(), "over TLS, not in clear");
        assert!(told("TLSv1.3", "TLSv1.2", Wire::Http2Tls).is_err());
        assert!(told("X25519 253 bits", "ECDH prime256v1 256 bits", Wire::Http2Tls).is_err());
        assert!(told("requests: ", "", Wire::Http2Tls).is_err());
    }
}
