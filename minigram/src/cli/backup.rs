//! `minigram backup`: takes a backup of the databases and pictures, or shows those that there are.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use minigram::backup::{Folder, Take, take};
use minigram::cluster::Running;
use minigram::logs::text_of;
use minigram::settings::Settings;
use minigram::up::state::default_directory;

/// Takes a backup of the databases and pictures while they are used: checked, and with the archive that brings it to any later time.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = false)]
pub struct Backup {
    #[command(subcommand)]
    what: Option<What>,
    /// The state directory of the engines.
    #[arg(long, global = true, value_name = "DIR", default_value_os_t = default_directory())]
    state: PathBuf,
    /// The backup directory [default: the one that the engines archive to].
    #[arg(long, global = true, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// The pictures [default: where the servers keep them, or blobs in the state directory].
    #[arg(long, value_name = "DIR")]
    blobs: Option<PathBuf>,
    /// Keep this many backups, and the archive since the oldest of them [default: all].
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    keep: Option<u16>,
    /// The user that engines run as if root starts them [default: postgres, else nobody].
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Shows the backups, and the times that each can be brought to.
    List {
        /// The history to look at [default: the newest].
        #[arg(long, value_name = "NUMBER")]
        timeline: Option<u32>,
    },
}

/// The backup directory of a state directory, unless the command line says another one.
pub fn directory(directory: Option<PathBuf>, state: &Path) -> PathBuf {
    let of_engines = || Some(Running::read(state).ok()?.endpoints.backup);
    directory.or_else(of_engines).unwrap_or_else(|| state.join("backup"))
}

/// Where the pictures of a state directory are, unless the command line says another place: where its servers keep them.
pub fn pictures(blobs: Option<PathBuf>, state: &Path) -> PathBuf {
    let of_servers = || {
        let settings = Settings::read(&state.join("minigram.toml")).ok()?;
        let directory = settings.blobs.as_ref()?.directory.as_ref()?;
        Some(settings.path(directory))
    };
    blobs.or_else(of_servers).unwrap_or_else(|| state.join("blobs"))
}

impl Backup {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        if let Some(What::List { timeline }) = self.what {
            return list(&directory(self.directory, &self.state), timeline);
        }
        let pictures = pictures(self.blobs, &self.state);
        let keep = self.keep.map(usize::from);
        let taken =
            take(&Take { state: self.state, directory: self.directory, pictures, keep, user: self.user })
                .await?;
        let note = &taken.base.note;
        println!("{}  of {}, {} MB, checked", taken.base.name, note.node, note.bytes / 1_000_000);
        println!("pictures: {}, of which {} are new", taken.pictures.files, taken.pictures.new);
        println!("it can be brought to any time since {}", text_of(note.ended_ms));
        if taken.removed.bases + taken.removed.segments > 0 {
            let removed = &taken.removed;
            println!("removed: {} older backups, {} pieces of the archive", removed.bases, removed.segments);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn list(directory: &Path, timeline: Option<u32>) -> anyhow::Result<ExitCode> {
    let folder = Folder::open(directory)?;
    let windows = folder.windows(timeline)?;
    if windows.is_empty() {
        println!("no backups in {}", folder.root().display());
        return Ok(ExitCode::FAILURE);
    }
    for (base, window) in windows {
        let megabytes = base.note.bytes / 1_000_000;
        match window {
            Some(window) => println!("{}  {megabytes} MB  {window}  timeline {}", base.name, window.timeline),
            None => println!(
                "{}  {megabytes} MB  of timeline {}, which this history left before, or the archive lacks its log",
                base.name, base.note.timeline
            ),
        }
    }
    Ok(ExitCode::SUCCESS)
}
