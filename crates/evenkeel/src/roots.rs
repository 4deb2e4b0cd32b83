//! The directories that routes with `files` serve and that the disk cache is in: whether they are there.

use std::path::Path;
use std::sync::Arc;

use evenkeel_config::{Action, Config, FileFault, FileOwner, Files, Severity};

/// What is wrong with the directories that a configuration names.
pub fn check(config: &Config) -> Vec<FileFault> {
    let served = config.routes.iter().filter_map(|route| match &route.action {
        Action::Files(files) => Some(files),
        _ => None,
    });
    let disk = config.cache.disk.as_ref().and_then(|disk| fault_of_disk(&disk.path));
    served.filter_map(fault_of).chain(disk).collect()
}

/// The directory of the disk cache is made when the process starts, the one above it is not.
fn fault_of_disk(path: &Path) -> Option<FileFault> {
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    let (message, help) = match above.and_then(wrong_with) {
        Some(why) => (why, "make the directory above that of the disk cache, or name another one"),
        None if path.exists() => (wrong_with(path)?, ""),
        None => return None,
    };
    Some(FileFault {
        owner: FileOwner::Process,
        key: "path",
        path: path.to_path_buf(),
        severity: Severity::Error,
        message,
        expected: "expected a directory for the disk cache".into(),
        help: help.into(),
    })
}

fn fault_of(files: &Arc<Files>) -> Option<FileFault> {
    let message = wrong_with(&files.root)?;
    Some(FileFault {
        owner: FileOwner::Process,
        key: "root",
        path: files.root.clone(),
        severity: Severity::Error,
        message,
        expected: "expected a directory that this user may enter".into(),
        help: String::new(),
    })
}

/// Why the directory cannot be served; `None` if it can.
pub fn wrong_with(root: &Path) -> Option<String> {
    match std::fs::metadata(root) {
        Ok(found) if found.is_dir() => None,
        Ok(_) => Some(format!("{} is no directory", root.display())),
        Err(error) => Some(format!("cannot enter {}: {error}", root.display())),
    }
}
