//! Pictures are files that never change: a copy of those that are new, and another name for those that the last backup has.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use anyhow::Context;

/// What was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// All files.
    pub files: u64,
    /// Those that were copied; the others have got a name.
    pub new: u64,
    /// Bytes that were copied.
    pub bytes: u64,
}

/// Copies `from` into `to`, which has no files yet. Files that `last` has too take no more space. A missing `from` has no pictures.
pub fn save(from: &Path, to: &Path, last: Option<&Path>) -> anyhow::Result<Copied> {
    let mut copied = Copied::default();
    walk(from, &mut |file, inside| {
        let to = to.join(inside);
        folder_of(&to)?;
        let has_linked = last.is_some_and(|last| link(&last.join(inside), file, &to));
        if !has_linked {
            copied.bytes += match copy(file, &to) {
                // It was deleted meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                bytes => bytes?,
            };
            copied.new += 1;
        }
        copied.files += 1;
        Ok(())
    })?;
    Ok(copied)
}

/// Copies those pictures back that `to` lacks. Nothing is removed or replaced.
pub fn bring_back(from: &Path, to: &Path) -> anyhow::Result<Copied> {
    let mut copied = Copied::default();
    walk(from, &mut |file, inside| {
        let to = to.join(inside);
        copied.files += 1;
        if !to.exists() {
            folder_of(&to)?;
            let mut new = to.clone().into_os_string();
            // Such a name is of no blob, should this process end here.
            new.push("#restore");
            copied.bytes += copy(file, new.as_ref())?;
            fs::rename(&new, &to)?;
            copied.new += 1;
        }
        Ok(())
    })?;
    Ok(copied)
}

/// Calls `each` with every file below `root`, and its path from there.
fn walk(root: &Path, each: &mut impl FnMut(&Path, &Path) -> io::Result<()>) -> anyhow::Result<()> {
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries.with_context(|| format!("{} cannot be read", folder.display()))?,
        };
        for entry in entries {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            // The store of blobs writes to such names first.
            let is_unfinished = entry.file_name().to_string_lossy().contains('#');
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() && !is_unfinished {
                let inside = path.strip_prefix(root).unwrap_or(&path);
                each(&path, inside).with_context(|| format!("{} cannot be copied", path.display()))?;
            }
        }
    }
    Ok(())
}

/// Gives a file another name, if it is as large as the one to be saved.
fn link(saved: &Path, file: &Path, to: &Path) -> bool {
    let length = |path: &Path| fs::metadata(path).map(|it| it.len()).ok();
    let is_same = length(saved).is_some_and(|saved| length(file) == Some(saved));
    is_same && fs::hard_link(saved, to).is_ok()
}

fn copy(from: &Path, to: &Path) -> io::Result<u64> {
    let bytes = fs::copy(from, to)?;
    File::open(to)?.sync_all()?;
    Ok(bytes)
}

fn folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| DirBuilder::new().recursive(true).mode(0o755).create(folder))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn two_backups_share_what_both_have() {
        let folder = tempfile::tempdir().unwrap();
        let [blobs, first, second] = ["blobs", "first", "second"].map(|name| folder.path().join(name));
        assert_eq!(save(&blobs, &first, None).unwrap(), Copied::default());
        fs::create_dir_all(blobs.join("photos/1")).unwrap();
        fs::write(blobs.join("photos/1/thumb"), "one").unwrap();
        fs::write(blobs.join("photos/1/large#1"), "unfinished").unwrap();
        assert_eq!(save(&blobs, &first, None).unwrap(), Copied { files: 1, new: 1, bytes: 3 });
        fs::write(blobs.join("photos/1/small"), "three").unwrap();
        assert_eq!(save(&blobs, &second, Some(&first)).unwrap(), Copied { files: 2, new: 1, bytes: 5 });
        assert_eq!(fs::metadata(first.join("photos/1/thumb")).unwrap().nlink(), 2);

        // What was lost comes back, what is there stays.
        fs::remove_file(blobs.join("photos/1/thumb")).unwrap();
        fs::write(blobs.join("photos/1/new"), "new").unwrap();
        assert_eq!(bring_back(&second, &blobs).unwrap(), Copied { files: 2, new: 1, bytes: 3 });
        assert_eq!(fs::read_to_string(blobs.join("photos/1/thumb")).unwrap(), "one");
        assert_eq!(fs::read_to_string(blobs.join("photos/1/new")).unwrap(), "new");
    }
}
