//! `minigram stuck-photos`: shows photos that stay without their sizes, and puts their jobs into the queue again.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use minigram::clock::{Clock, Time};
use minigram::domain::jobs::{Requeued, requeue, stuck};
use minigram::settings::{Settings, Span};

/// Photos of one call, at most.
const LIMIT: usize = 10_000;

/// Photos that stay without their sizes, because their job was lost or is a dead letter.
#[derive(Debug, clap::Args)]
pub struct StuckPhotos {
    #[command(subcommand)]
    what: What,
    /// Only photos that were posted so long ago. The queue remembers for ten minutes what it has done.
    #[arg(long, global = true, value_name = "TIME", default_value = "15m")]
    older_than: Span,
    /// The settings of a server or worker, which say where the engines are.
    #[arg(long, global = true, value_name = "FILE", default_value = "minigram.toml")]
    config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Shows them, oldest first.
    List,
    /// Puts their jobs into the queue again, for workers to do.
    Requeue,
}

impl StuckPhotos {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let engines = Settings::read(&self.config)?.connect().await?;
        let now = Clock::System.now();
        let Span(older_than) = self.older_than;
        let photos = stuck(&*engines.store, before(now, older_than), LIMIT).await?;
        match self.what {
            What::List => {
                for photo in &photos {
                    let minutes = now.since(photo.created).as_secs() / 60;
                    println!("{}  by {}  posted {minutes} min ago", photo.id, photo.author);
                }
                if photos.is_empty() {
                    println!("every photo that is old enough has its sizes");
                }
            }
            What::Requeue => {
                let [mut lost, mut dead, mut there] = [0; 3];
                for photo in &photos {
                    match requeue(&*engines.queue, photo).await? {
                        Requeued::Lost => lost += 1,
                        Requeued::Dead => dead += 1,
                        Requeued::There => there += 1,
                    }
                }
                println!(
                    "{} photos are in the queue again: the jobs of {lost} were lost, of {dead} dead letters",
                    lost + dead
                );
                if there > 0 {
                    println!("{there} are in the queue already, or were done minutes ago");
                }
            }
        }
        if photos.len() == LIMIT {
            println!("there may be more: these are the oldest {LIMIT}");
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn before(now: Time, span: Duration) -> Time {
    Time(now.0.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
}
