//! Removes old backups, and what of the archive only they need.

use std::fs;

use anyhow::Context;

use super::folder::Folder;
use super::segments::segment_of;

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Base backups.
    pub bases: usize,
    /// Pieces of the archive.
    pub segments: usize,
}

/// Keeps the newest `keep` backups, at least one, and the archive from the oldest of these on.
pub fn keep(folder: &Folder, keep: usize) -> anyhow::Result<Removed> {
    let mut removed = Removed::default();
    let bases = folder.bases()?;
    let old = bases.len().saturating_sub(keep.max(1));
    for base in &bases[..old] {
        // It is no backup any more from here on, whatever is left of it.
        let hidden = folder.bases_folder().join(format!(".old-{}", base.name));
        fs::rename(&base.path, &hidden)
            .and_then(|()| fs::remove_dir_all(&hidden))
            .with_context(|| format!("{} cannot be removed", base.path.display()))?;
        removed.bases += 1;
    }
    let Some(first) = bases[old..].iter().map(|base| base.note.first_segment()).min() else {
        return Ok(removed);
    };
    for entry in fs::read_dir(folder.wal())? {
        let entry = entry?;
        let name = entry.file_name();
        // Histories stay: they are small, and later ones refer to them.
        let is_old = name.to_str().and_then(segment_of).is_some_and(|(_, number)| number < first);
        if is_old {
            fs::remove_file(entry.path()).with_context(|| entry.path().display().to_string())?;
            removed.segments += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::super::base::Note;
    use super::*;

    #[test]
    fn the_archive_before_the_oldest_kept_backup_goes() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("wal")).unwrap();
        let folder = Folder::open(directory.path()).unwrap();
        for number in 1..=9_u64 {
            fs::write(folder.wal().join(format!("0000000100000000{number:08X}")), "").unwrap();
        }
        fs::write(folder.wal().join("00000002.history"), "").unwrap();
        for number in [2, 5, 8] {
            let path = folder.bases_folder().join(number.to_string());
            fs::create_dir_all(&path).unwrap();
            let start = number << 24;
            let note = Note {
                ended_ms: number,
                timeline: 1,
                start,
                end: start,
                node: String::new(),
                bytes: 0,
                pictures: 0,
            };
            note.write(&path).unwrap();
        }
        assert_eq!(keep(&folder, 3).unwrap(), Removed { bases: 0, segments: 1 });
        assert_eq!(keep(&folder, 2).unwrap(), Removed { bases: 1, segments: 3 });
        assert_eq!(keep(&folder, 0).unwrap(), Removed { bases: 1, segments: 3 });
        assert_eq!(folder.bases().unwrap().len(), 1);
        assert!(folder.wal().join("00000002.history").exists());
        assert!(folder.wal().join("000000010000000000000008").exists());
    }
}
