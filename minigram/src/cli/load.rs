//! `minigram load`, `stress` and `scaling`: load on a system, and what becomes of it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use minigram::load::scaling::{self, ScalingSettings};
use minigram::load::{self, LoadSettings, stress};
use minigram::settings::Span;
use minigram::up::build;
use minigram::up::running::Running;
use minigram::up::state::default_directory;

/// What every load has.
#[derive(Debug, clap::Args)]
struct Common {
    /// Where results are written [default: minigram/results of the workspace].
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// Evenkeel's binary, which generates the load [default: as `minigram up`].
    #[arg(long, value_name = "FILE")]
    evenkeel: Option<PathBuf>,
}

impl Common {
    async fn settings(
        &self,
        (users, connections): (u16, u32),
        rate: u32,
        duration: Span,
        warmup: Span,
    ) -> anyhow::Result<LoadSettings> {
        let results = self.results.clone().unwrap_or_else(|| {
            let package = Path::new(env!("CARGO_MANIFEST_DIR"));
            if package.is_dir() { package.join("results") } else { PathBuf::from("results") }
        });
        let evenkeel = match &self.evenkeel {
            Some(evenkeel) => evenkeel.clone(),
            None => build::evenkeel().await?,
        };
        Ok(LoadSettings {
            users: users.into(),
            rate,
            duration: duration.0,
            warmup: warmup.0,
            connections,
            evenkeel,
            results,
        })
    }
}

/// Sends the pages of many users to a running `minigram up`: feed 60 %, photo 25 %, like 10 %, upload 5 %. Exit code 1 if P95 is 300 ms or more, 0.1 % fail, or a cache misses its target.
#[derive(Debug, clap::Args)]
pub struct Load {
    #[command(flatten)]
    common: Common,
    /// The state directory of the running system.
    #[arg(long, value_name = "DIR", default_value_os_t = default_directory())]
    state: PathBuf,
    /// Users at once. The system must have been started with `--crowd` of at least as many.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    users: u16,
    /// Connections to Evenkeel.
    #[arg(long, default_value_t = 200)]
    connections: u32,
    /// Requests a second.
    #[arg(long, default_value_t = 1500)]
    rate: u32,
    /// For how long requests count.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    duration: Span,
    /// For how long requests do not count before.
    #[arg(long, value_name = "TIME", default_value = "15s")]
    warmup: Span,
}

impl Load {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self
            .common
            .settings((self.users, self.connections), self.rate, self.duration, self.warmup)
            .await?;
        let report = load::load(&Running::read(&self.state)?, &settings, "load").await?;
        println!("{}", report.table());
        Ok(if report.is_met() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Raises the rate until a running `minigram up` breaks, names what was scarce, and watches the recovery.
#[derive(Debug, clap::Args)]
pub struct Stress {
    #[command(flatten)]
    common: Common,
    /// The state directory of the running system.
    #[arg(long, value_name = "DIR", default_value_os_t = default_directory())]
    state: PathBuf,
    /// Users at once. The system must have been started with `--crowd` of at least as many.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    users: u16,
    /// Connections to Evenkeel.
    #[arg(long, default_value_t = 200)]
    connections: u32,
    /// Requests a second at the end of the ramp, which begins at a tenth of it.
    #[arg(long, default_value_t = 8000)]
    to: u32,
    /// How long the rate rises.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    duration: Span,
}

impl Stress {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self
            .common
            .settings((self.users, self.connections), self.to, self.duration, self.duration)
            .await?;
        let found = stress::stress(&Running::read(&self.state)?, &settings, self.to).await?;
        println!("{}", found.table());
        Ok(ExitCode::SUCCESS)
    }
}

/// Starts systems of 1, 2 and 4 servers one after the other, and puts the same load on each.
#[derive(Debug, clap::Args)]
pub struct Scaling {
    #[command(flatten)]
    common: Common,
    /// Users at once.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    users: u16,
    /// Connections to Evenkeel.
    #[arg(long, default_value_t = 100)]
    connections: u32,
    /// How many servers the systems have.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4])]
    servers: Vec<usize>,
    /// How much of a core each server may use, in percent. The machine has the same cores for one server as for four, so
    /// several servers are more than one only if each has less than it could use.
    #[arg(long, value_name = "PERCENT", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=100))]
    core_share: u8,
    /// Sample photos of each system.
    #[arg(long, default_value_t = 60)]
    photos: usize,
    /// For how long requests count, in each of two runs a system.
    #[arg(long, value_name = "TIME", default_value = "20s")]
    duration: Span,
    /// For how long requests do not count before.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    warmup: Span,
}

impl Scaling {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let load =
            self.common.settings((self.users, self.connections), RATE, self.duration, self.warmup).await?;
        let minigram = std::env::current_exe().context("the path of this program is not known")?;
        let settings = ScalingSettings {
            servers: self.servers,
            core_share: self.core_share,
            photos: self.photos,
            minigram,
            load,
        };
        let steps = scaling::scaling(&settings).await?;
        println!("{}", scaling::table(&steps));
        Ok(ExitCode::SUCCESS)
    }
}

/// Requests a second by which `scaling` mixes pages and pictures.
const RATE: u32 = 1500;
