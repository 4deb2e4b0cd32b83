//! Which program servers and workers run: a link in the state directory that each start of a process follows. Changing the link deploys
//! another version while the system goes on.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// The folder of versions in the state directory.
const FOLDER: &str = "bin";
/// The link, by which each process is called.
const LINK: &str = "minigram";

/// Has servers and workers run `program` from their next start on. Returns the link, by which they start.
///
/// # Errors
/// The link cannot be made.
pub fn set(state: &Path, program: &Path) -> anyhow::Result<PathBuf> {
    let (folder, new) = (state.join(FOLDER), state.join(FOLDER).join("new"));
    let link = folder.join(LINK);
    let made = fs::create_dir_all(&folder).and_then(|()| {
        if new.is_symlink() {
            fs::remove_file(&new)?;
        }
        symlink(program, &new)?;
        // In one step: a process that starts meanwhile finds the old program or the new one.
        fs::rename(&new, &link)
    });
    made.with_context(|| format!("{} cannot be made", link.display()))?;
    Ok(link)
}

/// Puts a program beside the one that runs, under a name that no other version has. Returns the absolute path.
///
/// # Errors
/// It cannot be copied.
pub fn install(state: &Path, program: &Path) -> anyhow::Result<PathBuf> {
    let folder = state.join(FOLDER);
    let mut number = 1;
    let file = loop {
        let file = folder.join(format!("{LINK}-{number}"));
        if !file.exists() {
            break file;
        }
        number += 1;
    };
    // The state directory may be on another file system.
    fs::hard_link(program, &file)
        .or_else(|_| fs::copy(program, &file).map(drop))
        .and_then(|()| file.canonicalize())
        .with_context(|| format!("{} cannot be copied to {}", program.display(), file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_leads_to_the_version_that_was_set_last() {
        let state = tempfile::tempdir().unwrap();
        let program = state.path().join("program");
        fs::write(&program, "one").unwrap();
        let link = set(state.path(), &program).unwrap();
        assert_eq!(fs::read(&link).unwrap(), b"one");
        let versions = [(); 2].map(|()| install(state.path(), &program).unwrap());
        assert_ne!(versions[0], versions[1]);
        for version in versions {
            assert_eq!(set(state.path(), &version).unwrap(), link);
            assert_eq!(fs::canonicalize(&link).unwrap(), fs::canonicalize(&version).unwrap());
        }
    }
}
