//! A base backup, and the note that says what it is.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::segments::{SEGMENT_BYTES, lsn_of};

/// The file with the note.
const NOTE: &str = "note.json";
/// The data directory.
const POSTGRES: &str = "postgres";
/// The pictures.
const PICTURES: &str = "pictures";

/// A base backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Its name: when it was begun.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub note: Note,
}

/// What a base backup is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When it was complete, in milliseconds since the Unix epoch: the earliest time that it can be brought to.
    pub ended_ms: u64,
    /// The history that it belongs to.
    pub timeline: u32,
    /// Where in the log it begins.
    pub start: u64,
    /// Up to where the log must be replayed.
    pub end: u64,
    /// Which node it was copied from.
    pub node: String,
    /// Bytes of the data directory.
    pub bytes: u64,
    /// How many pictures it has.
    pub pictures: u64,
}

impl Base {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let file = path.join(NOTE);
        let text = fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        let note = serde_json::from_slice(&text).with_context(|| format!("{} is broken", file.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, path: path.to_owned(), note })
    }

    /// Its data directory.
    pub fn postgres(&self) -> PathBuf {
        postgres_in(&self.path)
    }

    /// Its pictures.
    pub fn pictures(&self) -> PathBuf {
        pictures_in(&self.path)
    }
}

/// The data directory of a base backup at a path.
pub(super) fn postgres_in(path: &Path) -> PathBuf {
    path.join(POSTGRES)
}

/// The pictures of a base backup at a path.
pub(super) fn pictures_in(path: &Path) -> PathBuf {
    path.join(PICTURES)
}

impl Note {
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let file = path.join(NOTE);
        fs::write(&file, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("{} cannot be written", file.display()))
    }

    /// The first piece of the log that it needs.
    pub fn first_segment(&self) -> u64 {
        self.start / SEGMENT_BYTES
    }
}

/// The timeline, and the beginning and the end of the log that a data directory needs, as its manifest says.
pub(super) fn needed_log(postgres: &Path) -> anyhow::Result<(u32, u64, u64)> {
    let file = postgres.join("backup_manifest");
    let text = fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
    let manifest: Value =
        serde_json::from_slice(&text).with_context(|| format!("{} is broken", file.display()))?;
    let lsn = |range: &Value, key: &str| lsn_of(range[key].as_str()?);
    let read = |range: &Value| {
        let timeline = u32::try_from(range["Timeline"].as_u64()?).ok()?;
        Some((timeline, lsn(range, "Start-LSN")?, lsn(range, "End-LSN")?))
    };
    let ranges = manifest["WAL-Ranges"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ranges: Option<Vec<_>> = ranges.iter().map(read).collect();
    // A backup of a replica spans two timelines if a failover came between.
    let ranges = ranges.unwrap_or_default();
    let newest = ranges.iter().max_by_key(|(timeline, ..)| *timeline);
    let start = ranges.iter().map(|(_, start, _)| *start).min();
    match (newest, start) {
        (Some((timeline, _, end)), Some(start)) => Ok((*timeline, start, *end)),
        _ => bail!("{} names no part of the log", file.display()),
    }
}
