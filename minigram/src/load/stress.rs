//! Stress: the rate rises until the system breaks; the bottleneck; and how soon it recovers.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use super::bench::{Outcome, Pace, Run, Stretch};
use super::cpu::{Snapshot, Usage};
use super::prepare::prepare;
use super::run::{LoadSettings, write_scenario};
use super::scenario;
use crate::up::running::Running;

/// A stretch is bad if 99 of 100 requests took longer than this, in milliseconds.
const P99_MS_MAX: f64 = 1000.0;

/// Or if more than this share failed.
const ERRORS_MAX: f64 = 0.01;

/// Or if fewer than this share of the requests that were to start got a response.
const ANSWERED_MIN: f64 = 0.8;

/// Bad stretches in a row that mean that the system broke at the first of them.
const BAD_IN_A_ROW: usize = 3;

/// The share of the rate at which the system broke, by which its recovery is watched.
const RECOVERY_SHARE: f64 = 0.3;

/// For how long.
const RECOVERY: Duration = Duration::from_secs(20);

/// The share of all cores above which they count as the bottleneck.
const MACHINE_FULL: f64 = 0.9;

/// What a stress run found.
#[derive(Debug, Clone, Serialize)]
pub struct Stress {
    /// The rates of the ramp, in requests a second.
    pub from: u32,
    /// Its end.
    pub to: u32,
    /// The rate at which the system broke; `None` if it did not.
    pub broke_at: Option<f64>,
    /// The most responses in a second.
    pub peak_per_second: f64,
    /// What the bottleneck was.
    pub bottleneck: String,
    /// Cores that each part used over the second half of the ramp.
    pub usage: Usage,
    /// Seconds from the end of the ramp until the system had recovered; `None` if it was not within 20 s.
    pub recovered_s: Option<f64>,
    /// Requests of the recovery that failed, 0 to 1.
    pub recovery_error_share: f64,
    /// Stretches of the ramp.
    pub timeline: Vec<(f64, f64, f64)>,
}

/// Raises the rate over `settings.duration` from a tenth of `to`, then watches the recovery. Writes `stress.json` and
/// `stress.svg`.
///
/// # Errors
/// The system does not answer before the ramp, the generator fails, or a result cannot be written.
pub async fn stress(running: &Running, settings: &LoadSettings, to: u32) -> anyhow::Result<Stress> {
    let prepared = prepare(running, settings.users).await?;
    let plan = scenario::plan(&prepared, to / 2, settings.duration);
    let folder = tempfile::tempdir().context("a folder for the scenario")?;
    let scenario = write_scenario(folder.path(), &prepared, &plan)?;
    std::fs::create_dir_all(&settings.results)
        .with_context(|| format!("{} cannot be made", settings.results.display()))?;
    let (from, url) = ((to / 10).max(1), format!("http://{}", running.address));
    let run = |pace, duration, name: &str, plot| Run {
        evenkeel: &settings.evenkeel,
        url: &url,
        scenario: &scenario,
        pace,
        connections: settings.connections,
        duration,
        warmup: Duration::ZERO,
        json: folder.path().join(name),
        plot,
        system: running.minigram,
    };
    let plot = Some(settings.results.join("stress.svg"));
    let ramp = run(Pace::Ramp(from, to), settings.duration, "ramp.json", plot);
    let (outcome, usage) = tokio::join!(ramp.run(), second_half(running, settings.duration));
    let outcome: Outcome = outcome?;
    let broke = broke_at(&outcome.timeline, from, to, outcome.duration_s);
    let calm = (broke.unwrap_or(f64::from(to)) * RECOVERY_SHARE).max(1.0) as u32;
    let after = run(Pace::Rate(calm), RECOVERY, "after.json", None).run().await?;
    let stress = Stress {
        from,
        to,
        broke_at: broke,
        peak_per_second: outcome.timeline.iter().map(|stretch| stretch.per_second).fold(0.0, f64::max),
        bottleneck: bottleneck(&usage, outcome.generator.cpu_cores),
        usage,
        recovered_s: recovered(&after.timeline),
        recovery_error_share: after.totals.error_share,
        timeline: outcome.timeline.iter().map(|it| (it.at_s, it.per_second, it.p99_ms)).collect(),
    };
    let file = settings.results.join("stress.json");
    std::fs::write(&file, serde_json::to_string_pretty(&stress)? + "\n")
        .with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(stress)
}

/// What the parts use in the second half of a ramp.
async fn second_half(running: &Running, duration: Duration) -> Usage {
    let processes = running.named_processes();
    tokio::time::sleep(duration / 2).await;
    let before = Snapshot::take(&processes);
    // Its last moments are left out, because the generator may have ended.
    tokio::time::sleep(duration * 2 / 5).await;
    Snapshot::take(&processes).since(&before)
}

/// The rate at the first of some bad stretches in a row.
fn broke_at(timeline: &[Stretch], from: u32, to: u32, duration_s: f64) -> Option<f64> {
    let rate = |stretch: &Stretch| {
        f64::from(from) + (f64::from(to) - f64::from(from)) * (stretch.at_s / duration_s.max(1.0)).min(1.0)
    };
    let is_bad = |stretch: &Stretch| {
        let failed = stretch.errors as f64;
        stretch.p99_ms > P99_MS_MAX
            || failed > stretch.per_second * ERRORS_MAX
            || stretch.per_second < rate(stretch) * ANSWERED_MIN
    };
    timeline.windows(BAD_IN_A_ROW).find(|window| window.iter().all(is_bad)).map(|window| rate(&window[0]))
}

/// When the last bad stretch after a ramp ended.
fn recovered(timeline: &[Stretch]) -> Option<f64> {
    let is_bad = |stretch: &Stretch| stretch.p99_ms > P99_MS_MAX || stretch.errors > 0;
    match timeline.iter().rposition(is_bad) {
        None => Some(0.0),
        Some(last) => timeline.get(last + 1).map(|stretch| stretch.at_s),
    }
}

fn bottleneck(usage: &Usage, generator: Option<f64>) -> String {
    let mut parts = usage.parts.clone();
    parts.extend(generator.map(|cores| ("load generator".to_owned(), cores)));
    parts.sort_by(|one, other| other.1.total_cmp(&one.1));
    let largest = parts.first().map_or("nothing", |(name, _)| name.as_str());
    if usage.machine >= MACHINE_FULL {
        format!("the cores of the machine, {:.0} % busy; most of them in: {largest}", usage.machine * 100.0)
    } else {
        format!(
            "no cores, which are {:.0} % busy: requests wait for locks or the disk",
            usage.machine * 100.0
        )
    }
}

impl Stress {
    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!("  rate rises from {} to {} requests/s\n", self.from, self.to);
        let broke = self
            .broke_at
            .map_or("it did not break".to_owned(), |rate| format!("it broke at {rate:.0} requests/s"));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {broke}; at most {:.0} responses/s", self.peak_per_second);
        let _ = writeln!(text, "  bottleneck: {}", self.bottleneck);
        for (part, cores) in &self.usage.parts {
            let _ = writeln!(text, "    {part:28} {cores:>5.2} cores");
        }
        let recovered = self
            .recovered_s
            .map_or("not recovered within 20 s".to_owned(), |s| format!("recovered after {s:.1} s"));
        let _ = writeln!(
            text,
            "  {recovered}; {:.3} % of the requests meanwhile failed",
            self.recovery_error_share * 100.0
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(at_s: f64, per_second: f64, p99_ms: f64) -> Stretch {
        Stretch { at_s, per_second, errors: 0, p50_ms: 1.0, p99_ms }
    }

    #[test]
    fn a_system_breaks_at_the_first_of_three_bad_stretches() {
        let good = |at: u32| stretch(f64::from(at), 100.0 + 10.0 * f64::from(at), 20.0);
        let mut timeline: Vec<Stretch> = (0..10).map(good).collect();
        assert_eq!(broke_at(&timeline, 100, 200, 10.0), None);
        timeline[3].p99_ms = 5000.0;
        assert_eq!(broke_at(&timeline, 100, 200, 10.0), None);
        for late in &mut timeline[6..] {
            late.per_second = 50.0;
        }
        assert_eq!(broke_at(&timeline, 100, 200, 10.0), Some(160.0));
    }

    #[test]
    fn a_system_has_recovered_after_its_last_bad_stretch() {
        let timeline = [stretch(0.0, 1.0, 2000.0), stretch(1.0, 1.0, 10.0), stretch(2.0, 1.0, 10.0)];
        assert_eq!(recovered(&timeline), Some(1.0));
        assert_eq!(recovered(&timeline[1..]), Some(0.0));
        assert_eq!(recovered(&timeline[..1]), None);
    }
}
