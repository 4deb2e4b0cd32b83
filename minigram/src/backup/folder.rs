//! The backup directory, used by one command at a time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::base::Base;
use super::segments::Segments;
use super::window::{self, Window};
use crate::cluster::WAL;

/// The file that a command locks while it works.
const LOCK: &str = "lock";
/// The folder of the base backups.
const BASES: &str = "bases";

/// The backup directory.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Opens it.
    ///
    /// # Errors
    /// It has no archive.
    pub fn open(root: &Path) -> anyhow::Result<Self> {
        let root = root.canonicalize().with_context(|| format!("no backups in {}", root.display()))?;
        if !root.join(WAL).is_dir() {
            bail!("{} is no backup directory: it has no folder {WAL}", root.display());
        }
        Ok(Self { root })
    }

    /// Keeps other commands out until the value is dropped.
    pub(super) fn lock(&self) -> anyhow::Result<File> {
        let path = self.root.join(LOCK);
        let file = File::options().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("{} cannot be opened", path.display()))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(file),
            Err(Errno::WOULDBLOCK) => bail!("another command works in {}", self.root.display()),
            Err(error) => Err(error).with_context(|| format!("{} cannot be locked", path.display())),
        }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The archive.
    pub fn wal(&self) -> PathBuf {
        self.root.join(WAL)
    }

    /// The folder of the base backups.
    pub fn bases_folder(&self) -> PathBuf {
        self.root.join(BASES)
    }

    /// The base backups, oldest first.
    ///
    /// # Errors
    /// The directory cannot be read, or a note in it is broken.
    pub fn bases(&self) -> anyhow::Result<Vec<Base>> {
        let folder = self.bases_folder();
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        let mut bases = Vec::new();
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            // Others begin with a dot: they are being made or removed.
            if let Some(name) = entry?.file_name().to_str().filter(|name| !name.starts_with('.')) {
                bases.push(Base::read(&folder.join(name))?);
            }
        }
        bases.sort_by_key(|base| base.note.ended_ms);
        Ok(bases)
    }

    /// The base backups, oldest first, with the times that each can be brought to on a timeline (the newest if left out);
    /// `None` if the backup does not lead to that timeline, or the archive has nothing for it.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn windows(&self, timeline: Option<u32>) -> anyhow::Result<Vec<(Base, Option<Window>)>> {
        let segments = Segments::read(&self.wal())?;
        let bases = self.bases()?;
        let newest = bases.iter().map(|base| base.note.timeline).max().unwrap_or(1);
        let timeline = timeline.unwrap_or_else(|| segments.newest_timeline().max(newest));
        let lineage = segments.lineage(timeline)?;
        let windows = bases.into_iter().map(|base| {
            let window = window::of(&base.note, &segments, &lineage)?;
            Ok((base, window))
        });
        windows.collect()
    }
}
