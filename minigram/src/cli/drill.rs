//! `minigram drill`: breaks parts of a running system, and checks that nothing acknowledged is lost.

use std::path::PathBuf;
use std::process::ExitCode;

use minigram::drills::{self, Drill as Fault, DrillSettings, Row};
use minigram::up::state::default_directory;

/// Breaks a part of a running `minigram up --engines real` while users write and read, and reads everything back. Exit code 1
/// if a write that was acknowledged, a job or a thumbnail is missing, if a user did not see an own write, or if a request failed other
/// than by 503 with `Retry-After`.
#[derive(Debug, clap::Args)]
pub struct Drill {
    /// Which drills, or `all`; without one, they are listed.
    names: Vec<String>,
    /// The state directory of the running system.
    #[arg(long, value_name = "DIR", default_value_os_t = default_directory())]
    state: PathBuf,
    /// Actions a second. A write has a read after it, so requests are about 1.7 times as many.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=5000))]
    rate: u32,
    /// Users who write and read.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(2..=50))]
    users: u8,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Drill {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        if self.names.is_empty() {
            for drill in Fault::ALL {
                println!("{:14} {}", drill.name(), drill.explanation());
            }
            return Ok(ExitCode::SUCCESS);
        }
        let drills = if self.names == ["all"] {
            Fault::ALL.to_vec()
        } else {
            self.names.iter().map(|name| name.parse()).collect::<anyhow::Result<_>>()?
        };
        let settings = DrillSettings { state: self.state, rate: self.rate, users: self.users.into() };
        let rows = drills::run(&settings, &drills, progress).await?;
        if self.json {
            let rows: Vec<_> = rows.iter().map(Row::json).collect();
            println!("{}", serde_json::to_string_pretty(&rows)?);
        } else {
            println!("{}", drills::markdown(&rows));
        }
        Ok(if rows.iter().all(Row::is_met) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Losses that are shown, at most.
const LOSSES_MAX: usize = 20;

fn progress(row: &Row) {
    eprintln!("{}: {}", row.drill.name(), if row.is_met() { "met" } else { "NOT MET" });
    for (reason, count) in &row.tally.reasons {
        eprintln!("  {count} failed: {reason}");
    }
    for loss in row.failures().iter().chain(&row.losses()).take(LOSSES_MAX) {
        eprintln!("  {loss}");
    }
    // A later drill that cannot be done ends the command without its table.
    eprintln!("  {}", row.json());
}
