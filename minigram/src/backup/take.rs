//! Takes a base backup while the databases work, and checks it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::base::{Base, Note, needed_log, pictures_in, postgres_in};
use super::folder::Folder;
use super::pictures::{self, Copied};
use super::retention::{self, Removed};
use crate::cluster::doctor::postgres_programs;
use crate::cluster::{Layout, Running, Source, bytes_in, source, superuser};
use crate::logs::text_of;
use crate::process::{Process, Program, User, wait_until};

/// How long the copy may take, and the check of it.
const COPY_BOUND: Duration = Duration::from_secs(6 * 3600);
/// How long the archive may take to get what the backup needs.
const ARCHIVE_BOUND: Duration = Duration::from_secs(120);
/// The folder of a backup that is being made.
const NEW: &str = ".new";

/// How a backup is taken.
#[derive(Debug, Clone)]
pub struct Take {
    /// The state directory of the running engines.
    pub state: PathBuf,
    /// The backup directory; the one that the engines archive to if left out.
    pub directory: Option<PathBuf>,
    /// The pictures.
    pub pictures: PathBuf,
    /// How many backups to keep; all if left out.
    pub keep: Option<usize>,
    /// The user that engines run as.
    pub user: Option<String>,
}

/// A backup that was taken.
#[derive(Debug)]
pub struct Taken {
    /// The backup.
    pub base: Base,
    /// What was copied of the pictures.
    pub pictures: Copied,
    /// What was removed.
    pub removed: Removed,
}

/// Takes a base backup from a replica, checks every file of it, and returns when the archive has what it needs.
///
/// # Errors
/// No engines run, another command works in the directory, or the copy is not what its manifest says.
pub async fn take(take: &Take) -> anyhow::Result<Taken> {
    let endpoints = Running::read(&take.state)?.endpoints;
    let root = take.directory.as_ref().unwrap_or(&endpoints.backup);
    let folder = Folder::open(root)?;
    ensure!(
        folder.root() == endpoints.backup,
        "the engines archive to {}: a backup elsewhere could not be brought to a chosen time",
        endpoints.backup.display()
    );
    let _lock = folder.lock()?;
    let layout = Layout::new(&take.state, User::for_engines(take.user.as_deref())?)?;
    layout.folder_at(&folder.bases_folder())?;
    remove_unfinished(&folder)?;
    let new = folder.bases_folder().join(NEW);
    layout.folder_at(&new)?;
    let made = make(take, &folder, &layout, &new).await;
    if made.is_err() {
        // The next backup removes what this leaves.
        let _ = fs::remove_dir_all(&new);
    }
    let (base, pictures) = made?;
    let removed = match take.keep {
        Some(keep) => retention::keep(&folder, keep)?,
        None => Removed::default(),
    };
    Ok(Taken { base, pictures, removed })
}

async fn make(take: &Take, folder: &Folder, layout: &Layout, new: &Path) -> anyhow::Result<(Base, Copied)> {
    let begun = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let endpoints = Running::read(&take.state)?.endpoints;
    let Source { node, port, primary } = source(&endpoints).await?;
    copy(layout, &postgres_in(new), port).await?;
    let mut session = superuser(layout, primary).await?;
    let ended = sqlx::query_scalar("SELECT ceil(extract(epoch FROM clock_timestamp()) * 1000)::bigint");
    let ended: i64 = ended.fetch_one(&mut session).await.context("the database's clock")?;

    let bases = folder.bases()?;
    let last = bases.last().map(Base::pictures);
    let pictures = pictures::save(&take.pictures, &pictures_in(new), last.as_deref())?;
    let (timeline, start, end) = needed_log(&postgres_in(new))?;
    let note = Note {
        ended_ms: u64::try_from(ended).context("the database's clock")?,
        timeline,
        start,
        end,
        node,
        bytes: bytes_in(&postgres_in(new)).with_context(|| new.display().to_string())?,
        pictures: pictures.files,
    };
    note.write(new)?;
    archived(&mut session, &folder.wal()).await?;
    session.close().await.context("the primary does not end the session")?;

    // Only what is on disk gets a name.
    let flushed = fs::File::open(new).map(|new| rustix::fs::syncfs(&new));
    flushed.context("the backup cannot be flushed")?.context("the backup cannot be flushed")?;
    let name = name_of(u64::try_from(begun.as_millis()).unwrap_or(u64::MAX));
    let path = folder.bases_folder().join(&name);
    fs::rename(new, &path).with_context(|| format!("{} cannot be made", path.display()))?;
    fs::File::open(folder.bases_folder())?.sync_all()?;
    Ok((Base { name, path, note }, pictures))
}

/// Copies a node's data with the log that it needs to be consistent, and compares each file with its checksum.
async fn copy(layout: &Layout, to: &Path, port: u16) -> anyhow::Result<()> {
    let programs = postgres_programs()?;
    let copy = layout
        .engine("backup", programs.join("pg_basebackup"))
        .args(["--host=127.0.0.1", "--username=replicator", "--no-password", "--checkpoint=fast"])
        .args(["--wal-method=stream", "--manifest-checksums=SHA256", "--label=minigram"])
        .arg(format!("--port={port}"))
        .arg("--pgdata")
        .arg(to)
        .env("PGPASSWORD", layout.secret("replicator")?);
    run(&copy).await?;
    run(&layout.engine("backup", programs.join("pg_verifybackup")).arg("--quiet").arg(to)).await
}

async fn run(program: &Program) -> anyhow::Result<()> {
    let process = Process::start(program).with_context(|| format!("{} cannot be started", program.name()))?;
    let ended = tokio::time::timeout(COPY_BOUND, process.ended()).await;
    let status = ended.with_context(|| format!("the backup: not within {COPY_BOUND:?}"))?;
    ensure!(
        status.success(),
        "the backup failed ({status}); {}:\n{}",
        program.log().display(),
        process.log_end()
    );
    Ok(())
}

/// Ends the piece of the log that is being written, and waits until the archive has it.
async fn archived(session: &mut PgConnection, wal: &Path) -> anyhow::Result<()> {
    // A transaction later than the backup shows that the archive reaches beyond it.
    sqlx::query("SELECT pg_current_xact_id()").execute(&mut *session).await.context("a transaction")?;
    let name: String = sqlx::query_scalar("SELECT pg_walfile_name(pg_switch_wal())")
        .fetch_one(&mut *session)
        .await
        .context("the log cannot be switched")?;
    let file = wal.join(&name);
    let is_here = || async { file.exists() };
    if let Err(error) = wait_until("the archive has the backup's log", ARCHIVE_BOUND, is_here).await {
        let failing = "SELECT coalesce(last_failed_wal, 'none') FROM pg_stat_archiver";
        let failing: String = sqlx::query_scalar(failing).fetch_one(session).await.unwrap_or_default();
        return Err(error.context(format!("{name} is not archived; the last one that failed: {failing}")));
    }
    Ok(())
}

/// Removes what commands have left that did not come to their end.
fn remove_unfinished(folder: &Folder) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder.bases_folder())? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            fs::remove_dir_all(entry.path()).with_context(|| entry.path().display().to_string())?;
        }
    }
    Ok(())
}

/// A time as a name without colons, which some file systems refuse.
fn name_of(ms: u64) -> String {
    text_of(ms).chars().filter(|c| !matches!(c, '-' | ':' | '.')).collect()
}
