//! A file of servers, followed by looking at it: what tells two versions apart, and when a broken one is reported.

use std::path::{Path, PathBuf};

use evenkeel_config::{Backend, Diagnostics, FileStamp, Severity, load_servers};

/// A file, and what it looked like when it was last read.
#[derive(Debug)]
pub(crate) struct ServersFile {
    path: PathBuf,
    /// `None` until it is read for the first time.
    seen: Option<Option<FileStamp>>,
    /// The last attempt failed, which is not reported yet: the file may be half written.
    is_suspect: bool,
}

impl ServersFile {
    /// Not read yet.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, seen: None, is_suspect: false }
    }

    /// Reads the file if it has changed. A failure is reported at the first look, and later only when a second look at
    /// the same version fails as well, because it may have been written while it was read. May take as long as the disk.
    pub(crate) fn refresh(&mut self) -> Option<Result<Vec<Backend>, String>> {
        let now = FileStamp::of(&self.path);
        let is_first = self.seen.is_none();
        let has_changed = self.seen != Some(now);
        if !has_changed && !self.is_suspect {
            return None;
        }
        self.seen = Some(now);
        let read = load_servers(&self.path).map_err(|faults| in_words(&self.path, &faults));
        self.is_suspect = read.is_err() && has_changed && !is_first;
        if self.is_suspect { None } else { Some(read) }
    }
}

/// The first fault on one line with its place, then all of them as they are drawn.
fn in_words(path: &Path, faults: &Diagnostics) -> String {
    let first = faults.iter().find(|fault| fault.severity() == Severity::Error);
    let Some(first) = first.filter(|first| first.line() > 0) else {
        return first.map_or_else(|| format!("{}: no servers", path.display()), |it| it.message().to_owned());
    };
    let (line, column, message) = (first.line(), first.column(), first.message());
    format!("{}:{line}:{column}: {message}\n{}", path.display(), faults.render(false).trim_end())
}
