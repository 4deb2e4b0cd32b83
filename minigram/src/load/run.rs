//! One load run on a running system: prepared, put on, measured, judged.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::bench::{Outcome, Pace, Run};
use super::caches::{Counters, HitRatio};
use super::prepare::{Prepared, prepare};
use super::report::Report;
use super::scenario::{self, Plan};
use crate::up::running::Running;
use crate::up::seed::paint;

/// What a load is.
#[derive(Debug, Clone)]
pub struct LoadSettings {
    /// Users at once.
    pub users: usize,
    /// Requests a second that reach the network.
    pub rate: u32,
    /// For how long requests count.
    pub duration: Duration,
    /// For how long requests do not count before.
    pub warmup: Duration,
    /// Connections to Evenkeel.
    pub connections: u32,
    /// The binary of Evenkeel.
    pub evenkeel: PathBuf,
    /// Where results are written.
    pub results: PathBuf,
}

/// Puts the load on, and writes `NAME.json` and `NAME.svg` into the folder of the results.
///
/// # Errors
/// The system does not answer, the generator fails, or a result cannot be written.
pub async fn load(running: &Running, settings: &LoadSettings, name: &str) -> anyhow::Result<Report> {
    let prepared = prepare(running, settings.users).await?;
    let length = settings.warmup + settings.duration;
    let plan = scenario::plan(&prepared, settings.rate, length);
    let folder = tempfile::tempdir().context("a folder for the scenario")?;
    let scenario = write_scenario(folder.path(), &prepared, &plan)?;
    std::fs::create_dir_all(&settings.results)
        .with_context(|| format!("{} cannot be made", settings.results.display()))?;
    let before = Counters::read(running).await?;
    let run = Run {
        evenkeel: &settings.evenkeel,
        url: &format!("http://{}", running.address),
        scenario: &scenario,
        pace: Pace::Rate(settings.rate),
        connections: settings.connections,
        duration: settings.duration,
        warmup: settings.warmup,
        json: folder.path().join("bench.json"),
        plot: Some(settings.results.join(format!("{name}.svg"))),
        system: running.minigram,
    };
    let outcome: Outcome = run.run().await?;
    let after = Counters::read(running).await?;
    let network = &plan.network;
    let browser = HitRatio {
        cache: "browsers (model)".to_owned(),
        requests: network.browser_hits + network.browser_misses,
        ratio: network.browser_hit_ratio(),
    };
    let savings = after.savings(&before, &browser, visitors(&outcome));
    let servers = running.servers.len();
    let report = Report::new(&outcome, &plan, savings, settings.users, servers, settings.rate);
    write_json(&settings.results.join(format!("{name}.json")), &report)?;
    Ok(report)
}

/// The share of the requests for photos and comments that came from visitors.
fn visitors(outcome: &Outcome) -> f64 {
    let requests = |names: [&str; 2]| -> u64 {
        let parts = outcome.requests.iter().filter(|part| names.contains(&&*part.name));
        parts.map(|part| part.figures.requests).sum()
    };
    let (visitors, users) = (requests(scenario::BY_VISITORS), requests(scenario::BY_USERS));
    visitors as f64 / (visitors + users).max(1) as f64
}

/// Writes the scenario into a folder, and returns its file.
///
/// # Errors
/// A file cannot be written.
pub fn write_scenario(folder: &Path, prepared: &Prepared, plan: &Plan) -> anyhow::Result<PathBuf> {
    let file = folder.join("scenario.toml");
    let picture = paint(UPLOAD).context("the picture that is uploaded")?;
    scenario::write(&file, &picture.jpeg, prepared, plan)?;
    Ok(file)
}

/// The sample picture that is uploaded.
const UPLOAD: usize = 3;

fn write_json(file: &Path, report: &Report) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(report)? + "\n";
    std::fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))
}
