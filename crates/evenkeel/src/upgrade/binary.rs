//! Which binary an upgrade starts: by default the one that this process was started from, as its file is now.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Everyone may write.
const OTHERS_WRITE: u32 = 0o002;
/// The group may write.
const GROUP_WRITES: u32 = 0o020;
/// In such a directory, only the owner of a file may replace it.
const STICKY: u32 = 0o1000;

static OWN: OnceLock<Option<PathBuf>> = OnceLock::new();

/// Notes by which path this process was started, which cannot be determined once that file has been replaced. Call it first.
pub fn note_own() {
    OWN.get_or_init(own);
}

/// The path by which this process was started; links in it are not followed, because an upgrade may turn them.
fn own() -> Option<PathBuf> {
    let running = std::env::current_exe().ok();
    let named = std::env::args_os().next().and_then(|name| find(&name));
    match (named, running) {
        (Some(named), Some(running)) if fs::canonicalize(&named).ok() == Some(running.clone()) => Some(named),
        (_, running) => running,
    }
}

/// Where a command of this name is, as a shell looks for it.
fn find(name: &OsStr) -> Option<PathBuf> {
    let name = Path::new(name);
    if name.components().count() > 1 {
        return std::path::absolute(name).ok();
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// The binary to start. `wanted` is the one that the request names.
///
/// # Errors
/// It does not exist; or it is not the one that this process was started from, and users other than root and the user of this
/// process could have put it there: access to the admin API must not allow to run any program as the user of this process.
pub fn choose(wanted: Option<&Path>) -> Result<PathBuf, String> {
    let own = OWN.get_or_init(own).clone();
    let Some(binary) = wanted.map(Path::to_owned).or_else(|| own.clone()) else {
        return Err("this process does not know from which file it was started: name the file with `binary` (`--binary FILE`)".into());
    };
    let shown = binary.display();
    if !binary.is_absolute() {
        return Err(format!("`{shown}` is not an absolute path"));
    }
    let file = fs::metadata(&binary).map_err(|error| format!("cannot read {shown}: {error}"))?;
    if !file.is_file() {
        return Err(format!("{shown} is not a file"));
    }
    if own.as_ref() != Some(&binary) {
        let real = fs::canonicalize(&binary).map_err(|error| format!("cannot read {shown}: {error}"))?;
        for path in real.ancestors() {
            let found =
                fs::metadata(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            if let Some(why) = why_not_trusted(&found) {
                return Err(format!(
                    "{shown} is not started, because {} {why}: another user could have put a program there",
                    path.display()
                ));
            }
        }
    }
    Ok(binary)
}

/// Why others than root and the user of this process could have put something there, if they could.
fn why_not_trusted(found: &Metadata) -> Option<String> {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    if found.uid() != 0 && found.uid() != user {
        return Some(format!("belongs to user {}", found.uid()));
    }
    let mode = found.permissions().mode();
    if found.is_dir() && mode & STICKY != 0 {
        return None;
    }
    if mode & OTHERS_WRITE != 0 {
        return Some("can be written by everyone".into());
    }
    (mode & GROUP_WRITES != 0 && found.gid() != group && found.gid() != 0)
        .then(|| format!("can be written by group {}", found.gid()))
}
