//! Runs `evenkeel bench`, the generator of the load, and reads its result.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::process::Command;

/// How late the generator may be. Latencies count from the intended start, so a request that starts late takes longer by that. The
/// generator is late whenever the machine is busy, which it shares with everything that it tests.
const LATE_MAX: &str = "100ms";

/// How the load is put on.
#[derive(Debug, Clone)]
pub enum Pace {
    /// So many requests a second, whatever the servers do.
    Rate(u32),
    /// From one rate to the other, steadily.
    Ramp(u32, u32),
    /// Each connection sends its next request when it has its response.
    Closed,
}

/// One run.
#[derive(Debug)]
pub struct Run<'a> {
    /// The binary of Evenkeel.
    pub evenkeel: &'a Path,
    /// `http://ADDRESS`.
    pub url: &'a str,
    /// The mix of requests.
    pub scenario: &'a Path,
    /// How the load is put on.
    pub pace: Pace,
    /// Connections, as many as browsers would have open.
    pub connections: u32,
    /// For how long requests count.
    pub duration: Duration,
    /// For how long requests do not count before.
    pub warmup: Duration,
    /// Where to write the result as JSON.
    pub json: PathBuf,
    /// Where to draw it.
    pub plot: Option<PathBuf>,
    /// The process whose CPU time counts as the target's, with that of all that it has started.
    pub system: u32,
}

/// What a run found, as far as it is judged; `docs/load-testing.md` describes the fields.
#[derive(Debug, Clone, Deserialize)]
pub struct Outcome {
    /// Whether the generator kept up.
    pub valid: bool,
    /// Why not.
    pub invalid_because: Vec<String>,
    /// For how long requests started that count.
    pub duration_s: f64,
    /// All requests.
    pub totals: Figures,
    /// By request of the scenario.
    pub requests: Vec<Part>,
    /// By server.
    #[serde(default)]
    pub split: Vec<Part>,
    /// Of an open loop, requests whose turn never came.
    #[serde(default)]
    pub never_started: u64,
    /// CPU of the generator.
    pub generator: Cpu,
    /// CPU of the target's processes.
    pub target: Cpu,
    /// Stretches of the run.
    pub timeline: Vec<Stretch>,
}

/// Figures of some requests.
#[derive(Debug, Clone, Deserialize)]
pub struct Figures {
    /// Requests with an end.
    pub requests: u64,
    /// The same a second.
    pub per_second: f64,
    /// Requests without a whole response of status 1xx to 3xx.
    pub errors: u64,
    /// Their share, 0 to 1.
    pub error_share: f64,
    /// Latencies; `None` if no request had a response.
    pub latency_ms: Option<Latency>,
}

/// Figures of a part of the requests.
#[derive(Debug, Clone, Deserialize)]
pub struct Part {
    /// Which part.
    pub name: String,
    /// Its figures.
    #[serde(flatten)]
    pub figures: Figures,
}

/// Latencies in milliseconds.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Latency {
    /// Half of the requests took at most this.
    pub p50: f64,
    /// 95 of 100.
    pub p95: f64,
    /// 99 of 100.
    pub p99: f64,
    /// All.
    pub max: f64,
}

/// CPU time in cores.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Cpu {
    /// `None` if it is not known.
    pub cpu_cores: Option<f64>,
}

/// A stretch of the run.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Stretch {
    /// When it began.
    pub at_s: f64,
    /// Responses a second.
    pub per_second: f64,
    /// Requests that failed.
    pub errors: u64,
    /// Latency of half of the requests.
    pub p50_ms: f64,
    /// Latency of 99 of 100.
    pub p99_ms: f64,
}

impl Run<'_> {
    /// Runs it to its end.
    ///
    /// # Errors
    /// The generator cannot be started, or got no response at all.
    pub async fn run(&self) -> anyhow::Result<Outcome> {
        let mut command = Command::new(self.evenkeel);
        command.args(["bench", "--split-by", "x-server", "--timeout", "5s"]);
        command.arg("--scenario").arg(self.scenario).arg("--json").arg(&self.json);
        command.args(["--connections", &self.connections.to_string()]);
        command.args(["--duration", &format!("{}ms", self.duration.as_millis())]);
        command.args(["--warmup", &format!("{}ms", self.warmup.as_millis())]);
        command.args(["--target-pid", &self.system.to_string()]);
        match self.pace {
            Pace::Rate(rate) => command.args(["--rate", &rate.to_string()]),
            Pace::Ramp(from, to) => command.args(["--ramp", &format!("{from}..{to}")]),
            Pace::Closed => &mut command,
        };
        if !matches!(self.pace, Pace::Closed) {
            command.args(["--late-max", LATE_MAX]);
        }
        if let Some(plot) = &self.plot {
            command.arg("--plot").arg(plot);
        }
        command
            .arg(self.url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let output = command.output().await.context("evenkeel bench cannot be started")?;
        // 3 says that the result is INVALID, which the JSON says as well.
        if !matches!(output.status.code(), Some(0 | 3)) {
            bail!(
                "evenkeel bench failed ({}): {}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let text = tokio::fs::read(&self.json).await.context("evenkeel bench wrote no result")?;
        serde_json::from_slice(&text).context("the result of evenkeel bench is not as expected")
    }
}
