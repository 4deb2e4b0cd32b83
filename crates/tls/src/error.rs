//! What can be wrong: one of the files, or what the machine provides.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why TLS cannot be set up as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsError {
    /// A file is not what it should be.
    File {
        /// Its path.
        path: PathBuf,
        /// Why.
        reason: Reason,
    },
    /// The system names no authority whose signatures it trusts.
    SystemRoots(String),
    /// A server's address holds a host that no certificate can be for.
    ServerName(String),
    /// The machine's source of randomness fails.
    Random,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It cannot be read.
    Unreadable(String),
    /// It has more bytes than such a file can need; the most that it may have.
    TooLarge(u64),
    /// It is not PEM (RFC 7468).
    NotPem(String),
    /// It is PEM, and its end is missing: this line, or the whole of what is between.
    CutOff(String),
    /// It is PEM, and holds no certificate.
    NoCertificate,
    /// It is PEM, and holds no private key.
    NoKey,
    /// Its private key is encrypted, and there is no terminal to ask for the passphrase.
    EncryptedKey,
    /// A certificate in it cannot be used.
    BadCertificate(String),
    /// The private key cannot be used.
    BadKey,
    /// The private key belongs to another certificate than the one in this file.
    KeyMismatch(PathBuf),
    /// It is no OCSP response that could be sent with the certificate.
    BadOcsp(&'static str),
}

impl TlsError {
    pub(crate) fn file(path: &Path, reason: Reason) -> Self {
        Self::File { path: path.to_owned(), reason }
    }

    /// What to do about it; may be empty.
    pub fn help(&self) -> &'static str {
        match self {
            Self::File { reason, .. } => reason.help(),
            Self::SystemRoots(_) | Self::ServerName(_) | Self::Random => "",
        }
    }
}

impl Reason {
    /// What to do about it; may be empty.
    pub(crate) fn help(&self) -> &'static str {
        match self {
            Self::NotPem(_) | Self::NoCertificate | Self::NoKey => {
                "PEM is text, with a line `-----BEGIN ...-----`; `openssl x509` and `openssl pkey` convert DER \
                 (`-inform DER`)"
            }
            Self::CutOff(_) => "copy the file anew: what comes after its last line has been lost",
            Self::EncryptedKey => {
                "remove the passphrase with `openssl pkey`, and let no other user read the file"
            }
            Self::KeyMismatch(_) => {
                "give each certificate its own key; in a chain its own certificate comes first"
            }
            Self::BadKey => {
                "RSA of 2048 bits and more, ECDSA on P-256, P-384 or P-521, and Ed25519 can be used"
            }
            Self::BadOcsp(_) => "ask for a new one with `openssl ocsp ... -respout FILE`",
            Self::Unreadable(_) | Self::TooLarge(_) | Self::BadCertificate(_) => "",
        }
    }

    /// What the file should be.
    pub(crate) fn expected(&self) -> &'static str {
        match self {
            Self::NoKey | Self::EncryptedKey | Self::BadKey => "expected a private key in PEM",
            Self::KeyMismatch(_) => "expected the key of that certificate",
            Self::BadOcsp(_) => "expected an OCSP response in DER",
            Self::NoCertificate | Self::BadCertificate(_) => "expected certificates in PEM",
            Self::NotPem(_) => "expected a file in PEM",
            Self::CutOff(_) => "expected a whole file in PEM",
            Self::Unreadable(_) | Self::TooLarge(_) => "expected a file that can be read",
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, reason } => write!(f, "{}: {reason}", path.display()),
            Self::SystemRoots(why) => {
                write!(f, "this system trusts no authority ({why}): name the authorities to trust with `ca`")
            }
            Self::ServerName(host) => {
                write!(f, "no certificate can be for the host `{host}`: set `server_name`")
            }
            Self::Random => f.write_str("the system's source of randomness fails"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "cannot be read: {why}"),
            Self::TooLarge(max) => write!(f, "has more than {max} bytes"),
            Self::CutOff(end) => write!(f, "is cut off: a line `-----END {end}-----` is missing"),
            Self::NotPem(why) => write!(f, "is not PEM: {why}"),
            Self::NoCertificate => f.write_str("holds no certificate"),
            Self::NoKey => f.write_str("holds no private key"),
            Self::EncryptedKey => f.write_str("the private key is encrypted"),
            Self::BadCertificate(why) => write!(f, "holds a certificate that cannot be used: {why}"),
            Self::BadKey => f.write_str("holds a private key of a kind that cannot be used"),
            Self::KeyMismatch(cert) => write!(f, "is not the key of the certificate in {}", cert.display()),
            Self::BadOcsp(why) => write!(f, "cannot be stapled: {why}"),
        }
    }
}

impl std::error::Error for TlsError {}
