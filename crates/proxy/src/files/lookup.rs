//! From a path below a root to what is served there. It may block, and runs on a thread where it may.

use std::sync::Arc;

use bytes::Bytes;
use evenkeel_config::{Encoding, Files};

use super::disk::{DiskError, Place, Root};
use super::listing;
use super::version::Version;

/// What is served at a path.
#[derive(Debug, Clone)]
pub enum Found {
    /// A file.
    File(Arc<Variants>),
    /// Nothing, but there is a directory at the path with a `/` behind it.
    Directory,
    /// A page that shows what is in a directory.
    Listing(Bytes),
    /// Nothing.
    Nothing(DiskError),
}

/// A file, and what is beside it in other codings.
#[derive(Debug)]
pub struct Variants {
    /// Its path, relative to the root.
    pub path: String,
    /// The file itself.
    pub plain: Arc<Version>,
    /// By [`Encoding`].
    pub encoded: [Option<Arc<Version>>; Encoding::ALL.len()],
}

impl Variants {
    /// All of its versions.
    pub fn versions(&self) -> impl Iterator<Item = &Arc<Version>> {
        std::iter::once(&self.plain).chain(self.encoded.iter().flatten())
    }

    fn encoded(&self, coding: Encoding) -> Option<&Arc<Version>> {
        self.encoded[coding as usize].as_ref()
    }
}

/// What a file is called in a coding, behind its own name.
fn suffix(coding: Encoding) -> &'static str {
    match coding {
        Encoding::Zstd => ".zst",
        Encoding::Br => ".br",
        Encoding::Gzip => ".gz",
    }
}

/// Looks at the disk. `old` is what was at the path before.
pub fn look_up(files: &Files, path: &str, is_directory: bool, old: Option<&Arc<Variants>>) -> Found {
    let found = Root::open(&files.root).and_then(|root| found(&root, files, path, is_directory, old));
    found.unwrap_or_else(Found::Nothing)
}

fn found(
    root: &Root,
    files: &Files,
    path: &str,
    is_directory: bool,
    old: Option<&Arc<Variants>>,
) -> Result<Found, DiskError> {
    if !is_directory {
        return match root.look(path)? {
            Place::File(_) => file(root, files, path.to_owned(), old),
            Place::Directory if files.listing => Ok(Found::Directory),
            Place::Directory => index(root, files, path, None).map(|_| Found::Directory),
        };
    }
    match index(root, files, path, old) {
        Err(DiskError::Missing) if files.listing => {
            let directory = root.open_directory(path)?;
            Ok(Found::Listing(listing::page(path, directory)?.into()))
        }
        found => found,
    }
}

/// The first index file that is in a directory.
fn index(
    root: &Root,
    files: &Files,
    directory: &str,
    old: Option<&Arc<Variants>>,
) -> Result<Found, DiskError> {
    for name in &files.index {
        let path = if directory.is_empty() { name.clone() } else { format!("{directory}/{name}") };
        match root.look(&path) {
            Ok(Place::File(_)) => return file(root, files, path, old),
            Ok(Place::Directory) | Err(DiskError::Missing) => {}
            Err(error) => return Err(error),
        }
    }
    Err(DiskError::Missing)
}

fn file(root: &Root, files: &Files, path: String, old: Option<&Arc<Variants>>) -> Result<Found, DiskError> {
    let old = old.filter(|old| old.path == path);
    let plain = Version::read(root, &path, (&path, None), old.map(|old| &old.plain))?;
    let mut encoded = [const { None }; Encoding::ALL.len()];
    if files.precompressed {
        for coding in Encoding::ALL {
            let sibling = format!("{path}{}", suffix(coding));
            let old = old.and_then(|old| old.encoded(coding));
            // One that cannot be read is as good as none: the file itself is there.
            encoded[coding as usize] = Version::read(root, &sibling, (&path, Some(coding)), old).ok();
        }
    }
    Ok(Found::File(Arc::new(Variants { path, plain, encoded })))
}
