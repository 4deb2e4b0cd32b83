//! The loads whose instructions are counted, with a number of requests that is exact: h2load sends those of HTTP.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use clap::ValueEnum;

use crate::bench::connection::Wire;
use crate::bench::feature::{self, Feature};
use crate::bench::generator::{Generators, Report};
use crate::bench::proxy::Proxy;

/// Bytes of a request's body, where it has one.
pub const BODY: usize = 128;
/// The file that holds such a body, in the rig's directory.
pub const BODY_FILE: &str = "body";

/// Bytes of the file that is asked for.
pub const FILE: usize = 1024;
/// The file, in the rig's directory.
pub const FILE_NAME: &str = "file";

/// A kind of load. All but that of a file have 128-byte answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Load {
    /// HTTP/1.1, 64 keep-alive connections.
    H1,
    /// The same with requests that have a body of 128 bytes.
    H1Post,
    /// The same as `h1` with retries, a circuit breaker, outlier ejection and a rate limit, evenkeel alone.
    H1Guarded,
    /// The same as `h1` with a tenth of the requests traced, their export included; evenkeel alone.
    H1Traced,
    /// The same as `h1` without the flight recorder, evenkeel alone.
    H1Unrecorded,
    /// The same as `h1`, answered from the cache.
    H1Hit,
    /// The same as `h1-hit` with `compress`, by clients that take gzip; evenkeel alone.
    H1HitGzip,
    /// The same as `h1` with a file of 1 KiB; not HAProxy, which has no files.
    H1File,
    /// HTTP/2 in clear, 16 connections of 32 streams.
    H2,
    /// TCP, 64 connections, messages of 128 bytes.
    Tcp,
}

impl Load {
    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Its name in a table.
    pub fn title(self) -> &'static str {
        match self {
            Self::H1 => "HTTP/1.1, 64 connections",
            Self::H1Post => "HTTP/1.1, 64 connections, POST with a body of 128 bytes",
            Self::H1Guarded => "HTTP/1.1, 64 connections; retries, breaker, outliers and a rate limit",
            Self::H1Traced => "HTTP/1.1, 64 connections; 10 % of the requests traced",
            Self::H1Unrecorded => "HTTP/1.1, 64 connections; no flight recorder",
            Self::H1Hit => "HTTP/1.1, 64 connections, answered from the cache",
            Self::H1HitGzip => "HTTP/1.1, 64 connections, answered from the cache with gzip",
            Self::H1File => "HTTP/1.1, 64 connections, a file of 1 KiB",
            Self::H2 => "HTTP/2 in clear, 16 connections of 32 streams",
            Self::Tcp => "TCP, 64 connections, messages of 128 bytes",
        }
    }

    /// What clients speak.
    pub fn wire(self) -> Wire {
        match self {
            Self::H2 => Wire::Http2,
            Self::Tcp => Wire::Tcp,
            _ => Wire::Http1,
        }
    }

    /// What evenkeel does beyond its defaults.
    pub fn feature(self) -> Feature {
        match self {
            Self::H1Guarded => feature::GUARDED,
            Self::H1Traced => feature::TRACED,
            Self::H1Unrecorded => feature::UNRECORDED,
            Self::H1Hit => feature::CACHED,
            Self::H1HitGzip => feature::COMPRESSED,
            Self::H1File => feature::FILES,
            Self::H1 | Self::H1Post | Self::H2 | Self::Tcp => feature::NONE,
        }
    }

    /// True of the proxies that know what the load is about.
    pub fn is_for(self, proxy: Proxy) -> bool {
        // Varnish's threads belong to a child process, which callgrind's counter does not see.
        let is_counted = proxy != Proxy::Varnish;
        is_counted
            && match self {
                Self::H1Guarded | Self::H1Traced | Self::H1Unrecorded | Self::H1HitGzip => {
                    proxy == Proxy::Evenkeel
                }
                Self::H1File => proxy != Proxy::Haproxy,
                Self::H1 | Self::H1Post | Self::H1Hit | Self::H2 | Self::Tcp => true,
            }
    }

    /// The command that sends `requests` to `address`; the body is in `dir`.
    pub fn command(self, generators: &Generators, dir: &Path, address: SocketAddr, requests: u64) -> Command {
        if self == Self::Tcp {
            let mut command = Command::new(&generators.xtask);
            command.args(["exchanges", "--kind", "messages", "--address", &address.to_string()]);
            command.args(["--requests", &requests.to_string(), "--seconds", "3600"]);
            return command;
        }
        let mut command = Command::new(&generators.h2load);
        command.args(["--requests", &requests.to_string(), "--threads", "1"]);
        match self.wire().http2() {
            true => command.args(["--clients", "16", "--max-concurrent-streams", "32"]),
            false => command.args(["--h1", "--clients", "64"]),
        };
        if self == Self::H1Post {
            command.arg("--data").arg(dir.join(BODY_FILE));
        }
        if self == Self::H1HitGzip {
            command.args(["--header", "accept-encoding: gzip"]);
        }
        let path =
            if self == Self::H1File { format!("{}{FILE_NAME}", feature::FILES_PATH) } else { "/".into() };
        command.arg(format!("http://{address}{path}"));
        command
    }

    /// Checks in what the generator `printed` that all `requests` were answered well, in the right version of HTTP.
    ///
    /// # Errors
    /// They were not.
    pub fn check(self, printed: &str, requests: u64) -> anyhow::Result<()> {
        if self == Self::Tcp {
            let report: Report = serde_json::from_str(printed).context("exchanges")?;
            ensure!((report.requests, report.errors) == (requests, 0), "of {requests} messages: {report:?}");
            return Ok(());
        }
        let protocol = if self.wire().http2() { "h2c" } else { "http/1.1" };
        let line = |start: &str| {
            let found = printed.lines().find_map(|line| line.strip_prefix(start));
            found.with_context(|| format!("no `{start}` in h2load's report:\n{printed}"))
        };
        let spoken = line("Application protocol: ")?;
        ensure!(spoken == protocol, "{spoken} was spoken, not {protocol}");
        let statuses = line("status codes: ")?;
        ensure!(statuses.starts_with(&format!("{requests} 2xx, ")), "of {requests} requests: {statuses}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As h2load 1.52 prints it, shortened.
    const PRINTED: &str = "\
Application protocol: http/1.1
requests: 100 total, 100 started, 100 done, 100 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 100 2xx, 0 3xx, 0 4xx, 0 5xx
";

    #[test]
    fn a_load_that_was_not_answered_whole_or_in_another_version_is_an_error() {
        assert!(Load::H1.check(PRINTED, 100).is_ok());
        assert!(Load::H1.check(PRINTED, 101).is_err());
        assert!(Load::H2.check(PRINTED, 100).is_err());
        assert!(Load::H1.check("", 100).is_err());
        let printed = r#"{"requests":100,"duration_us":5,"bytes":12800,"errors":0}"#;
        assert!(Load::Tcp.check(printed, 100).is_ok());
        assert!(Load::Tcp.check(printed, 101).is_err());
    }
}
