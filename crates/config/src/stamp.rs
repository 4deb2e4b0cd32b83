//! What tells two versions of a file that a configuration names apart, for those that follow it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What tells two versions of a file apart. A symbolic link is followed, so that one that is turned to another file
/// counts as a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileStamp {
    /// That of the file as it is now; `None` if there is none that can be looked at. May take as long as the disk.
    pub fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}
