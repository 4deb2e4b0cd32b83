//! Scaling: the same load over 1, 2, 4 servers. What it brings, and where it ends.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use super::bench::{Outcome, Pace, Run};
use super::cpu::{Snapshot, Usage};
use super::prepare::prepare;
use super::run::{LoadSettings, write_scenario};
use super::scenario;
use crate::process::{Process, Program};
use crate::up::running::Running;

/// How long a new system may take until it is ready.
const START_MAX: Duration = Duration::from_secs(300);

/// How long it may take to end.
const END_MAX: Duration = Duration::from_secs(40);

/// The share of the largest throughput at which latency is measured: at more, it says how long a queue is.
const LATENCY_SHARE: f64 = 0.6;

/// How large the systems are that are compared.
#[derive(Debug, Clone)]
pub struct ScalingSettings {
    /// Numbers of servers.
    pub servers: Vec<usize>,
    /// How much of a core each server may use, in percent.
    pub core_share: u8,
    /// Sample photos of each system.
    pub photos: usize,
    /// This program.
    pub minigram: PathBuf,
    /// The load on each.
    pub load: LoadSettings,
}

/// What was found with one number of servers.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// How many.
    pub servers: usize,
    /// Requests a second that it answered at most (closed loop).
    pub per_second: f64,
    /// The share of them that failed.
    pub error_share: f64,
    /// Requests a second at which the latencies were measured (open loop): the same for all.
    pub latency_rate: u32,
    /// Latency of half of the requests at that rate, in milliseconds.
    pub p50_ms: f64,
    /// 95 of 100.
    pub p95_ms: f64,
    /// Cores that each part used at the most throughput.
    pub usage: Usage,
}

/// Starts a new system with each number of servers, and puts the same load on each. Writes `scaling.json` and `scaling.svg`.
///
/// # Errors
/// A system cannot be started, the generator fails, or a result cannot be written.
pub async fn scaling(settings: &ScalingSettings) -> anyhow::Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    for servers in &settings.servers {
        let state = tempfile::tempdir().context("a state directory")?;
        let system = start(settings, *servers, state.path())?;
        let up = || async { Running::read(state.path()).is_ok() };
        system.wait_until("the system is ready", START_MAX, up).await?;
        let running = Running::read(state.path())?;
        let first = steps.first().map(|step| step.latency_rate);
        let step = measure(&running, &settings.load, first).await;
        system.stop(END_MAX).await;
        steps.push(step?);
    }
    let results = &settings.load.results;
    std::fs::create_dir_all(results).with_context(|| format!("{} cannot be made", results.display()))?;
    let write = |name: &str, text: String| {
        let file = results.join(name);
        std::fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))
    };
    write("scaling.json", serde_json::to_string_pretty(&steps)? + "\n")?;
    write("scaling.svg", super::plot::scaling(&steps))?;
    Ok(steps)
}

fn start(settings: &ScalingSettings, servers: usize, state: &Path) -> anyhow::Result<Process> {
    let program = Program::new("minigram up", &settings.minigram, state.join("up.log"))
        .args(["up", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--state"])
        .arg(state)
        .arg("--evenkeel")
        .arg(&settings.load.evenkeel)
        .args(["--servers", &servers.to_string(), "--core-share", &settings.core_share.to_string()])
        .args(["--crowd", &settings.load.users.to_string()])
        .args(["--photos", &settings.photos.to_string()]);
    Process::start(&program).context("a system cannot be started")
}

async fn measure(running: &Running, load: &LoadSettings, rate: Option<u32>) -> anyhow::Result<Step> {
    let prepared = prepare(running, load.users).await?;
    let plan = scenario::plan(&prepared, load.rate, load.warmup + load.duration);
    let folder = tempfile::tempdir().context("a folder for the scenario")?;
    let scenario = write_scenario(folder.path(), &prepared, &plan)?;
    let url = format!("http://{}", running.address);
    let run = |pace, name: &str| Run {
        evenkeel: &load.evenkeel,
        url: &url,
        scenario: &scenario,
        pace,
        connections: load.connections,
        duration: load.duration,
        warmup: load.warmup,
        json: folder.path().join(name),
        plot: None,
        system: running.minigram,
    };
    let watched = async {
        tokio::time::sleep(load.warmup).await;
        let before = Snapshot::take(&running.named_processes());
        tokio::time::sleep(load.duration * 9 / 10).await;
        Snapshot::take(&running.named_processes()).since(&before)
    };
    let most = run(Pace::Closed, "most.json");
    let (most, usage) = tokio::join!(most.run(), watched);
    let most: Outcome = most?;
    let rate = rate.unwrap_or((most.totals.per_second * LATENCY_SHARE).max(1.0) as u32);
    let steady = run(Pace::Rate(rate), "steady.json").run().await?;
    let latency = steady.totals.latency_ms.context("no request had a response")?;
    Ok(Step {
        servers: running.servers.len(),
        per_second: most.totals.per_second,
        error_share: most.totals.error_share,
        latency_rate: rate,
        p50_ms: latency.p50,
        p95_ms: latency.p95,
        usage,
    })
}

/// For people.
#[must_use]
pub fn table(steps: &[Step]) -> String {
    let mut text = format!(
        "  {:>7} {:>11} {:>9}   {:>9} {:>9} {:>9}\n",
        "servers", "requests/s", "failed", "at rate", "p50 ms", "p95 ms"
    );
    // Writing to a string cannot fail.
    for step in steps {
        let Step { servers, per_second, error_share, latency_rate, p50_ms, p95_ms, usage } = step;
        let failed = error_share * 100.0;
        let _ = write!(
            text,
            "  {servers:>7} {per_second:>11.0} {failed:>7.2} %   {latency_rate:>9} {p50_ms:>9.1} {p95_ms:>9.1}  "
        );
        for (part, cores) in usage.parts.iter().filter(|(_, cores)| *cores >= 0.05) {
            let _ = write!(text, " {part}: {cores:.2};");
        }
        let _ = writeln!(text, " machine {:.0} % busy", usage.machine * 100.0);
    }
    text
}
