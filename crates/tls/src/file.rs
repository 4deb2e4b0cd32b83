//! Files: reading them with a limit, and noticing when they change.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use evenkeel_config::FileStamp;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::{Reason, TlsError};

/// Bytes of a file at most: a bundle of all public roots has about 250 KiB.
const FILE_MAX: u64 = 8 << 20;

/// What following the files led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The files that belong to this one were read again; new connections use them.
    Replaced(PathBuf),
    /// What was read before stays in use.
    Kept(TlsError),
    /// The OCSP response of a certificate in use is not sent, or not any more.
    NotStapled(TlsError),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replaced(path) => write!(f, "{}: read again, and in use", path.display()),
            Self::Kept(error) => write!(f, "{error}; what was read before stays in use"),
            Self::NotStapled(error) => write!(f, "{error}; the certificate is in use without it"),
        }
    }
}

/// Files that cannot be used as they are now; what was read before serves in their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// Why they cannot.
    pub error: TlsError,
    /// Since when, as far as the process has seen.
    pub since: SystemTime,
}

/// All of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut bytes))
        .map_err(|fault| TlsError::file(path, Reason::Unreadable(fault.to_string())))?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(TlsError::file(path, Reason::TooLarge(FILE_MAX)));
    }
    Ok(bytes)
}

/// The certificates in a PEM file, at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let certificates = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|fault| not_pem(path, &fault))?;
    if certificates.is_empty() {
        return Err(TlsError::file(path, Reason::NoCertificate));
    }
    Ok(certificates)
}

/// The first private key in a PEM file.
pub(crate) fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(path)?;
    let holds = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
    // PKCS #8 and the older form of OpenSSL.
    if holds(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || holds(b"Proc-Type: 4,ENCRYPTED") {
        return Err(TlsError::file(path, Reason::EncryptedKey));
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|fault| match fault {
        pem::Error::NoItemsFound => TlsError::file(path, Reason::NoKey),
        fault => not_pem(path, &fault),
    })
}

fn not_pem(path: &Path, fault: &pem::Error) -> TlsError {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let why = match fault {
        pem::Error::MissingSectionEnd { end_marker } => {
            let end = text(end_marker);
            return TlsError::file(path, Reason::CutOff(end));
        }
        pem::Error::IllegalSectionStart { line } => {
            format!("it holds the line `{}`, which does not begin a section", text(line).escape_debug())
        }
        pem::Error::Base64Decode(_) => "what stands between two of its lines `-----` is not base64".into(),
        pem::Error::NoItemsFound => "it holds no section".into(),
        pem::Error::SectionTooLarge => "one of its sections is too large".into(),
        other => other.to_string(),
    };
    TlsError::file(path, Reason::NotPem(why))
}

/// A few files that are read together, and what they looked like when they last were.
#[derive(Debug)]
pub(crate) struct Watch {
    files: Vec<PathBuf>,
    seen: Vec<Option<FileStamp>>,
    /// The last attempt failed, which is not logged yet: the files may be half written.
    is_suspect: bool,
    /// What was logged last, until an attempt succeeds.
    stale: Option<Stale>,
}

impl Watch {
    /// Begins to watch. To be called before the files are read: a change in between is then noticed.
    pub(crate) fn new(files: Vec<PathBuf>) -> Self {
        let seen = stamps(&files);
        Self { files, seen, is_suspect: false, stale: None }
    }

    /// Calls `load` if the files have changed, or the last attempt failed. A failure is reported only when a second look
    /// at unchanged files fails as well, because a renewal writes the key a moment after the certificate; and once, for as
    /// long as the files and the reason stay the same.
    pub(crate) fn refresh<T>(
        &mut self,
        load: impl FnOnce() -> Result<T, TlsError>,
    ) -> Option<Result<T, TlsError>> {
        let now = stamps(&self.files);
        let has_changed = now != self.seen;
        if !has_changed && !self.is_suspect && self.stale.is_none() {
            return None;
        }
        self.seen = now;
        let error = match load() {
            Ok(loaded) => {
                (self.is_suspect, self.stale) = (false, None);
                return Some(Ok(loaded));
            }
            Err(error) => error,
        };
        let was_suspect = std::mem::replace(&mut self.is_suspect, has_changed);
        let is_known = self.stale.as_ref().is_some_and(|stale| stale.error == error);
        if has_changed || is_known && !was_suspect {
            return None;
        }
        let since = self.stale.as_ref().map_or_else(SystemTime::now, |stale| stale.since);
        self.stale = Some(Stale { error: error.clone(), since });
        Some(Err(error))
    }

    /// Why the files cannot be used as they are now, if so.
    pub(crate) fn stale(&self) -> Option<&Stale> {
        self.stale.as_ref()
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<FileStamp>> {
    files.iter().map(|file| FileStamp::of(file)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_failure_is_reported_at_the_second_look_and_known_until_a_look_succeeds() {
        let path = std::env::temp_dir().join(format!("evenkeel-watch-{}", std::process::id()));
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        let fails = |reason: &Reason| Err::<(), _>(TlsError::file(&path, reason.clone()));
        let why = |watch: &Watch| watch.stale().map(|stale| stale.error.clone());
        write("good");
        let mut watch = Watch::new(vec![path.clone()]);
        assert_eq!(watch.refresh(|| fails(&Reason::NoKey)), None, "nothing has changed");
        write("broken, and longer");
        assert_eq!(watch.refresh(|| fails(&Reason::NoKey)), None, "it may be half written");
        assert_eq!(why(&watch), None);
        assert_eq!(watch.refresh(|| fails(&Reason::NoKey)), Some(fails(&Reason::NoKey)));
        let first = watch.stale().unwrap().clone();
        assert_eq!(first.error, TlsError::file(&path, Reason::NoKey));
        assert_eq!(watch.refresh(|| fails(&Reason::NoKey)), None, "it is reported once");
        assert_eq!(watch.refresh(|| fails(&Reason::BadKey)), Some(fails(&Reason::BadKey)), "another reason");
        write("broken again, and longer than that");
        assert_eq!(watch.refresh(|| fails(&Reason::BadKey)), None);
        assert_eq!(why(&watch), Some(TlsError::file(&path, Reason::BadKey)));
        assert_eq!(watch.refresh(|| fails(&Reason::BadKey)), Some(fails(&Reason::BadKey)), "another file");
        assert_eq!(watch.stale().unwrap().since, first.since);
        // Without a change of the file, as when the process had no descriptor left to read it.
        assert_eq!(watch.refresh(|| Ok(())), Some(Ok(())));
        assert_eq!(why(&watch), None);
        assert_eq!(watch.refresh(|| Ok(())), None);
        std::fs::remove_file(&path).unwrap();
    }
}
