//! The state directory of a running system: owned by one process at a time, which a lock shows.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

/// The file that the owner has locked, and in which it says its process id.
const LOCK: &str = "minigram.lock";

/// How often to look whether the owner has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a killed process may take until the kernel has released its lock.
const KILL_TIME_MAX: Duration = Duration::from_secs(5);

/// A state directory that this process owns, until the value is dropped.
#[derive(Debug)]
pub struct State {
    directory: PathBuf,
    _lock: File,
}

/// What became of the owner of a state directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// There was none.
    NotRunning,
    /// This process ended when it was asked to.
    InOrder(i32),
    /// This process did not, and was killed.
    Killed(i32),
}

/// Where state is kept if the command line does not say it: `target/minigram` of the workspace from which this program
/// was built, or `minigram-state` in the current directory if that is gone.
#[must_use]
pub fn default_directory() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    match workspace {
        Some(workspace) if workspace.join("Cargo.toml").is_file() => workspace.join("target/minigram"),
        _ => PathBuf::from("minigram-state"),
    }
}

impl State {
    /// Takes `directory`, which is made if need be.
    ///
    /// # Errors
    /// Another process owns it, or it cannot be made.
    pub fn take(directory: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(directory)
            .with_context(|| format!("the state directory {} cannot be made", directory.display()))?;
        let directory = directory
            .canonicalize()
            .with_context(|| format!("the state directory {} cannot be used", directory.display()))?;
        let mut lock = open_lock(&directory)?;
        if !try_lock(&lock)? {
            let owner = read_owner(&mut lock).map_or_else(String::new, |pid| {
                format!(" (process {}); end it with `minigram down`", pid.as_raw_nonzero())
            });
            bail!("MiniGram already runs in {}{owner}, or choose another --state", directory.display());
        }
        lock.set_len(0)?;
        write!(lock, "{}", std::process::id())?;
        Ok(Self { directory, _lock: lock })
    }

    /// The directory, as an absolute path.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The path of a file in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Asks the owner of `directory` to end, and kills it if it does not within `time_max`.
    ///
    /// # Errors
    /// The directory cannot be read, or its owner cannot be signalled.
    pub fn end(directory: &Path, time_max: Duration) -> anyhow::Result<Ended> {
        if !directory.join(LOCK).is_file() {
            return Ok(Ended::NotRunning);
        }
        let mut lock = open_lock(directory)?;
        if try_lock(&lock)? {
            return Ok(Ended::NotRunning);
        }
        let owner = read_owner(&mut lock).context("the lock file names no process")?;
        let process = owner.as_raw_nonzero().get();
        signal(owner, Signal::TERM)?;
        if is_free_within(&lock, time_max)? {
            return Ok(Ended::InOrder(process));
        }
        signal(owner, Signal::KILL)?;
        if is_free_within(&lock, KILL_TIME_MAX)? {
            return Ok(Ended::Killed(process));
        }
        bail!("process {process} was killed, but still owns {}", directory.display())
    }
}

fn open_lock(directory: &Path) -> anyhow::Result<File> {
    let path = directory.join(LOCK);
    let options = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    options.with_context(|| format!("{} cannot be opened", path.display()))
}

/// The lock ends with the process that has it, however that ends. Its children do not inherit it.
fn try_lock(lock: &File) -> anyhow::Result<bool> {
    match flock(lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error).context("the state directory cannot be locked"),
    }
}

fn read_owner(lock: &mut File) -> Option<Pid> {
    let mut text = String::new();
    lock.rewind().ok()?;
    lock.take(20).read_to_string(&mut text).ok()?;
    Pid::from_raw(text.trim().parse().ok()?)
}

fn signal(process: Pid, signal: Signal) -> anyhow::Result<()> {
    match kill_process(process, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => {
            Err(error).with_context(|| format!("process {} cannot be signalled", process.as_raw_nonzero()))
        }
    }
}

fn is_free_within(lock: &File, time_max: Duration) -> anyhow::Result<bool> {
    let begun = Instant::now();
    while !try_lock(lock)? {
        if begun.elapsed() > time_max {
            return Ok(false);
        }
        sleep(LOOK_EVERY);
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_owner_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let state = State::take(&directory.path().join("state")).unwrap();
        let refused = State::take(state.directory()).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        let directory = state.directory().to_owned();
        drop(state);
        assert_eq!(State::end(&directory, Duration::ZERO).unwrap(), Ended::NotRunning);
        State::take(&directory).unwrap();
    }

    #[test]
    fn there_is_nothing_to_end_where_nothing_was_started() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(State::end(directory.path(), Duration::ZERO).unwrap(), Ended::NotRunning);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
