//! Why a directory cannot be a disk cache.

use std::{fmt, io};

/// Why a directory cannot be a disk cache.
#[derive(Debug)]
pub enum OpenError {
    /// The directory above it does not exist.
    NoParent,
    /// It holds files that are not the cache's.
    NotOurs,
    /// Another process uses it.
    InUse,
    /// The system refuses something.
    Io {
        /// What.
        doing: &'static str,
        /// Why.
        error: io::Error,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoParent => f.write_str("the directory above it does not exist; make that"),
            Self::NotOurs => {
                f.write_str("it holds files that are not the cache's; name an empty directory, or one that does not exist yet")
            }
            Self::InUse => f.write_str("another process uses it; give each process a directory of its own"),
            Self::Io { doing, error } => write!(f, "cannot {doing}: {error}"),
        }
    }
}

impl std::error::Error for OpenError {}

/// An error of the system, with what failed.
pub fn doing(doing: &'static str) -> impl Fn(io::Error) -> OpenError {
    move |error| OpenError::Io { doing, error }
}
