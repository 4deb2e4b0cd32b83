//! Where the logs of a state directory are.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::line::Line;
use super::when::time_in;

/// How deep below the state directory logs may be.
const DEPTH_MAX: usize = 3;
/// Files at most.
const FILES_MAX: usize = 1000;
/// How much of a file's end is searched, in bytes.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Folders of engines with files of other kinds.
const ENGINES: [&str; 4] = ["data", "secrets", "lost", "pg_wal"];

/// The log of one service.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    /// The name of the file without its end.
    pub service: String,
}

/// All logs: files that end in `.log` or `.json` below a folder `logs`, and `.log` beside it.
pub fn find(state: &Path) -> anyhow::Result<Vec<LogFile>> {
    let mut found = Vec::new();
    walk(state, DEPTH_MAX, false, &mut found)
        .with_context(|| format!("the state directory {} cannot be read", state.display()))?;
    ensure!(!found.is_empty(), "there are no logs in {}", state.display());
    Ok(found)
}

fn walk(folder: &Path, depth: usize, is_logs: bool, found: &mut Vec<LogFile>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if entry.file_type()?.is_dir() {
            if depth > 1 && !ENGINES.contains(&name.as_str()) {
                // What belongs to another user has no logs for this one.
                let _ = walk(&path, depth - 1, is_logs || name == "logs", found);
            }
            continue;
        }
        let service = name.strip_suffix(".log").or_else(|| name.strip_suffix(".log.old"));
        let service = service.or_else(|| name.strip_suffix(".json").filter(|_| is_logs));
        if let Some(service) = service.filter(|_| found.len() < FILES_MAX) {
            found.push(LogFile { path, service: service_name(folder, service) });
        }
    }
    Ok(())
}

/// PostgreSQL has a folder for its logs, and numbers them.
fn service_name(folder: &Path, file: &str) -> String {
    let folder = folder.file_name().unwrap_or_default().to_string_lossy();
    if folder.starts_with("postgres-") { folder.into_owned() } else { file.to_owned() }
}

impl LogFile {
    /// Reads each line of its last 64 MiB.
    pub fn each_line(&self, mut take: impl FnMut(Line)) -> anyhow::Result<()> {
        let what = || format!("{} cannot be read", self.path.display());
        let mut file = File::open(&self.path).with_context(what)?;
        let length = file.metadata().with_context(what)?.len();
        let start = length.saturating_sub(BYTES_MAX);
        file.seek(SeekFrom::Start(start)).with_context(what)?;
        let mut reader = BufReader::new(file.take(BYTES_MAX));
        let (mut bytes, mut ms) = (Vec::new(), 0);
        if start > 0 {
            reader.read_until(b'\n', &mut bytes).with_context(what)?;
        }
        loop {
            bytes.clear();
            if reader.read_until(b'\n', &mut bytes).with_context(what)? == 0 {
                return Ok(());
            }
            let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            if text.is_empty() {
                continue;
            }
            let line = Line::new(&self.service, text, ms, time_in);
            ms = line.ms;
            take(line);
        }
    }
}
