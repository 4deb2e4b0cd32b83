//! Faults of the files that a configuration names, found when those files are read, and shown where they are named.

use std::path::PathBuf;

use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::owner::FileOwner;
use crate::{Parsed, read::FileLink};

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFault {
    /// Whose settings name it.
    pub owner: FileOwner,
    /// The key that names it: `cert`, `key`, `ocsp`, `ca`, `client_ca`, or the `root` of `files`.
    pub key: &'static str,
    /// The path as the [`Config`](crate::Config) has it.
    pub path: PathBuf,
    /// An error makes the configuration unusable.
    pub severity: Severity,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What was expected; a few words.
    pub expected: String,
    /// What to do about it; may be empty.
    pub help: String,
}

impl Parsed {
    /// Adds what is wrong with the files.
    ///
    /// # Errors
    /// One of `faults` is an error; the warnings are then among the diagnostics.
    pub fn with_file_faults(mut self, faults: &[FileFault]) -> Result<Self, Diagnostics> {
        let faults = faults.iter().map(|fault| self.place(fault)).collect();
        self.warnings.add(faults);
        if self.warnings.has_errors() {
            return Err(self.warnings);
        }
        Ok(self)
    }

    fn place(&self, fault: &FileFault) -> Diagnostic {
        let named =
            |link: &&FileLink| (&link.owner, link.key, &link.path) == (&fault.owner, fault.key, &fault.path);
        let diagnostic = match fault.severity {
            Severity::Error => Diagnostic::error(&fault.message),
            Severity::Warning => Diagnostic::warning(&fault.message),
        };
        let diagnostic = diagnostic.with_expected(&fault.expected);
        let diagnostic = if fault.help.is_empty() { diagnostic } else { diagnostic.with_help(&fault.help) };
        match self.files.iter().find(named) {
            Some(link) => diagnostic.at(link.at.clone()),
            None => diagnostic,
        }
    }
}
