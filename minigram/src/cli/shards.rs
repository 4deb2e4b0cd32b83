//! `minigram shards`: shows which database has which shard, and moves one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use minigram::ids::Shard;
use minigram::real::postgres::PostgresSettings;
use minigram::real::postgres::shards::{MoveBounds, move_shard, show};
use minigram::settings::Settings;

/// Shows which database has which shard, or moves a shard to another database while servers go on.
#[derive(Debug, clap::Args)]
pub struct Shards {
    /// The settings file of the servers; its table [postgres] lists the databases.
    #[arg(long, global = true, value_name = "FILE", default_value = "minigram.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Shows the shards of each database.
    Show,
    /// Moves a shard. A move that broke off is finished by the same command.
    Move {
        /// The number of the shard, 0 to 63.
        shard: u8,
        /// The number of the database, as the settings list them, from 0.
        #[arg(long, value_name = "DATABASE")]
        to: u16,
        /// How long the writers of the shard may have to wait. If the rest of the rows cannot be copied and compared
        /// within this time, the shard stays where it is.
        #[arg(long, value_name = "SECONDS", default_value_t = 4)]
        fence: u64,
    },
}

impl Shards {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let settings = Settings::read(&self.config)?.postgres()?;
        match self.command {
            Command::Show => print_shards(&settings).await?,
            Command::Move { shard, to, fence } => {
                let shard = Shard::of_number(shard).context("shards have the numbers 0 to 63")?;
                let bounds = MoveBounds { fence: Duration::from_secs(fence), ..MoveBounds::default() };
                move_and_print(&settings, shard, to, bounds).await?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn print_shards(settings: &PostgresSettings) -> anyhow::Result<()> {
    let mut shards: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for placement in show(settings).await? {
        shards.entry(placement.database).or_default().push(placement.shard.number().to_string());
    }
    for (database, shards) in shards {
        println!("database {database}: {} shards: {}", shards.len(), shards.join(" "));
    }
    Ok(())
}

async fn move_and_print(
    settings: &PostgresSettings,
    shard: Shard,
    to: u16,
    bounds: MoveBounds,
) -> anyhow::Result<()> {
    let moved = move_shard(settings, shard, to, bounds).await?;
    println!(
        "shard {} is in database {to}: {} rows copied, {} changes after that, {} old rows deleted; its writers waited \
         {} ms at most",
        shard.number(),
        moved.copied,
        moved.caught_up,
        moved.deleted,
        moved.fenced.as_millis()
    );
    if !moved.replicas_knew {
        println!("a replica lagged: for some seconds it may have answered with rows from before the move");
    }
    Ok(())
}
