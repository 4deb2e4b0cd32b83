//! The directories that routes with `files` serve: whether they are there.

use std::path::Path;
use std::sync::Arc;

use evenkeel_config::{Action, Config, FileFault, FileOwner, Files, Severity};

/// What is wrong with the directories that a configuration names.
pub fn check(config: &Config) -> Vec<FileFault> {
    let served = config.routes.iter().filter_map(|route| match &route.action {
        Action::Files(files) => Some(files),
        _ => None,
    });
    served.filter_map(fault_of).collect()
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
