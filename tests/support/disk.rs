//! A cache on disk that outlives the processes that use it, and bodies that say themselves what they should be.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use super::cache::config;
use super::{Evenkeel, Folder, Origin, Port, eventually};

/// The directory of a cache.
pub struct DiskCache {
    folder: Folder,
    size: &'static str,
    memory: &'static str,
    /// Where clients connect. Of another port, the responses would be others.
    port: Port,
}

impl DiskCache {
    /// One of 64 MiB, behind a memory of 16 MiB.
    pub fn new() -> Self {
        Self::of_size("16MiB", "64MiB")
    }

    /// One of this size, behind so much memory.
    pub fn of_size(memory: &'static str, size: &'static str) -> Self {
        Self { folder: Folder::new(), size, memory, port: Port::reserve() }
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.folder.path("store").into()
    }

    /// A configuration with it, whose only route has a cache with these rules.
    pub fn text(&self, origin: &Origin, rules: &str) -> String {
        let (Self { memory, size, .. }, address) = (self, self.port.address());
        let disk = format!("disk = {{ path = \"{}\", size = \"{size}\" }}", self.path().display());
        let listener = format!("[listener.web]\nbind = \"{address}\"");
        format!("[cache]\nmemory = \"{memory}\"\n{disk}\n{listener}\n{}", config(&[origin], rules))
    }

    /// Another size, in the next text.
    pub fn resize(&mut self, size: &'static str) {
        self.size = size;
    }

    /// Starts a process with it.
    pub fn start(&self, origin: &Origin, rules: &str) -> Evenkeel {
        Evenkeel::start(&self.text(origin, rules))
    }

    /// The files of responses.
    pub fn files(&self) -> Vec<PathBuf> {
        let is_dir = |path: &PathBuf| path.is_dir() && path.file_name().is_some_and(|name| name != "tmp");
        let directories = below(&self.path()).into_iter().filter(is_dir);
        directories.flat_map(|directory| below(&directory)).filter(|path| path.is_file()).collect()
    }

    /// What the directory occupies on the disk, in bytes.
    pub fn used(&self) -> u64 {
        used(&self.path())
    }
}

fn below(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn used(path: &Path) -> u64 {
    // It may be gone by now.
    let own = fs::symlink_metadata(path).map_or(0, |found| found.blocks() * 512);
    own + if path.is_dir() { below(path).iter().map(|path| used(path)).sum() } else { 0 }
}

/// Waits until so many responses are on the disk.
#[track_caller]
pub fn wait_on_disk(evenkeel: &Evenkeel, count: u64) {
    eventually("the responses are on the disk", || {
        evenkeel.metric("evenkeel_cache_disk_objects", &[]) == count as f64
    });
}

/// Ends the process in good order.
pub fn end(mut evenkeel: Evenkeel) {
    evenkeel.signal(Signal::TERM);
    assert_eq!(evenkeel.wait_exit().code(), Some(0));
}

/// Kills the process.
pub fn kill(mut evenkeel: Evenkeel) {
    evenkeel.signal(Signal::KILL);
    evenkeel.wait_exit();
}

/// A body of this length, which differs from that of any other target or version at any place.
pub fn content(target: &str, version: usize, len: usize) -> String {
    let mut text = format!("{target} {version} {len};");
    text.reserve(len + 2_000);
    let filler = format!(" {target} {version}").repeat(1 + 900 / (target.len() + 2));
    let mut line = 0;
    while text.len() < len {
        line += 1;
        let _ = writeln!(text, "{line}{filler}");
    }
    text.truncate(len);
    text
}
