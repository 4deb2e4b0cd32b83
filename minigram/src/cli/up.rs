//! `minigram up`: starts everything, and ends it again.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use minigram::up::real::{RealSettings, RealSystem};
use minigram::up::running::Running;
use minigram::up::seed::{PASSWORD, PEOPLE, Seeded};
use minigram::up::state::default_directory;
use minigram::up::{System, UpSettings};

use super::end::End;
use super::engines::ArchiveOptions;

/// Which engines a system has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Those inside the process: SQLite, and memory.
    Embedded,
    /// PostgreSQL with Patroni, Redis, NATS and Prometheus, as `minigram doctor` wants them.
    Real,
}

/// Starts everything: three application servers, workers, and Evenkeel before them, with sample users and photos. Ctrl-C ends it.
#[derive(Debug, clap::Args)]
pub struct Up {
    /// Which engines.
    #[arg(long, value_enum, default_value_t = Kind::Embedded)]
    engines: Kind,
    /// Where users, photos and logs are kept.
    #[arg(long, value_name = "DIR", default_value_os_t = default_directory())]
    state: PathBuf,
    /// Where to listen [default: 127.0.0.1:8080, or a free port if it is in use].
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where Evenkeel's dashboard and admin API listen [default: 127.0.0.1:9900, or a free port if it is in use].
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// Application servers.
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=16))]
    servers: u16,
    /// Embedded engines: how much of a core each server may use, in percent, as if its machine were smaller [default: all].
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
    core_share: Option<u8>,
    /// Sample photos of a new system.
    #[arg(long, value_name = "NUMBER", default_value_t = 60, value_parser = clap::value_parser!(u16).range(0..=2000))]
    photos: u16,
    /// Sample users of a new system that only look, like and comment, for load tests.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    crowd: u16,
    /// Evenkeel's binary [default: built from the same workspace, or found beside this program or in PATH].
    #[arg(long, value_name = "FILE")]
    evenkeel: Option<PathBuf>,
    /// A collector of the traces of all requests, as http://127.0.0.1:4318.
    #[arg(long, value_name = "URL")]
    otlp: Option<String>,
    /// Real engines: processes of workers.
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=16))]
    workers: u16,
    /// Real engines: the user that they run as if root starts them [default: postgres, else nobody].
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Real engines: where to send alerts, beside logs/alerts.log.
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    /// Real engines: where photos are [default: blobs in the state directory].
    #[arg(long, value_name = "DIR")]
    blobs: Option<PathBuf>,
    #[command(flatten)]
    archive: ArchiveOptions,
}

impl Up {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let settings = UpSettings {
            state: self.state,
            listen: self.listen,
            admin: self.admin,
            servers: self.servers.into(),
            core_share: self.core_share.map(|percent| f64::from(percent) / 100.0),
            photos: self.photos.into(),
            crowd: self.crowd.into(),
            evenkeel: self.evenkeel,
            otlp: self.otlp,
        };
        let mut end = End::new()?;
        if self.engines == Kind::Real {
            anyhow::ensure!(settings.core_share.is_none(), "--core-share is for embedded engines");
            let settings = RealSettings {
                up: settings,
                workers: self.workers.into(),
                user: self.user,
                webhook: self.webhook,
                blobs: self.blobs,
                archive_every: self.archive.every(),
                backup: self.archive.backup,
            };
            return run_real(&settings, &mut end).await;
        }
        let mut system = tokio::select! {
            system = System::start(&settings) => system?,
            () = end.requested() => return Ok(ExitCode::SUCCESS),
        };
        describe(&system.running, system.seeded, system.directory());
        let broken = tokio::select! {
            error = system.broken() => Some(error),
            () = end.requested() => None,
        };
        println!("Ending: servers, workers, Evenkeel.");
        let left = tokio::select! {
            left = system.leave() => left,
            () = end.requested() => anyhow::bail!("ended at once on a second signal; requests and jobs may have been cut off"),
        };
        match broken {
            Some(error) => Err(error),
            None => left.map(|()| ExitCode::SUCCESS),
        }
    }
}

/// Engines, servers and workers are started again when they end, so that only a request ends the system.
async fn run_real(settings: &RealSettings, end: &mut End) -> anyhow::Result<ExitCode> {
    let system = tokio::select! {
        system = RealSystem::start(settings) => system?,
        () = end.requested() => return Ok(ExitCode::SUCCESS),
    };
    describe(&system.running, system.seeded, system.directory());
    end.requested().await;
    println!("Ending: servers, workers, Evenkeel, engines.");
    tokio::select! {
        () = system.leave() => Ok(ExitCode::SUCCESS),
        () = end.requested() => anyhow::bail!("ended at once on a second signal; requests and jobs may have been cut off"),
    }
}

fn describe(running: &Running, seeded: Option<Seeded>, state: &Path) {
    if let Some(seeded) = seeded {
        println!(
            "Made {} users, {} photos, {} likes and {} comments.",
            seeded.users, seeded.photos, seeded.likes, seeded.comments
        );
    }
    println!();
    println!("  MiniGram    http://{}/", running.address);
    println!("  sign in as  {}, password {PASSWORD}", PEOPLE[0].name);
    println!(
        "  dashboard   http://{}/  (changes ask for the token in {})",
        running.admin,
        running.admin_token.display()
    );
    println!("  state       {}  (evenkeel.toml, logs, data)", state.display());
    println!();
    println!("Ctrl-C ends everything.");
}
