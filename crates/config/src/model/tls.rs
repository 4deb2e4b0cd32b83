//! `tls` of listeners and pools, and the files that it names.

use std::fmt;
use std::path::PathBuf;

use evenkeel_types::{ListenerName, PoolName};

/// `tls` of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTls {
    /// At least one; the first is for clients that ask for no name, or for an unknown one.
    pub certificates: Vec<CertificateFiles>,
    /// Default intermediate.
    pub profile: TlsProfile,
    /// `client_ca` and what belongs to it; `None` asks clients for nothing.
    pub client_auth: Option<ClientAuth>,
}

/// A certificate and its key, as files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// PEM: the certificate and those that lead to its root.
    pub cert: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
    /// DER: an OCSP response to staple.
    pub ocsp: Option<PathBuf>,
}

/// Which versions and suites of TLS are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsProfile {
    /// TLS 1.3 alone.
    Modern,
    /// TLS 1.2 and 1.3, with Mozilla's intermediate suites.
    Intermediate,
}

/// How clients show who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAuth {
    /// `client_ca`: PEM, the certificates of those who may have signed a client's.
    pub ca: PathBuf,
    /// False lets a client without a certificate in. Default true.
    pub required: bool,
    /// The field that carries the subject, in lower case. Default `x-client-cert-subject`.
    pub subject_header: String,
}

/// `tls` of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolTls {
    /// The host that a server's certificate must be for, in lower case, an IPv6 address in brackets. `None` is the
    /// host of each server's address.
    pub server_name: Option<String>,
    /// Whom to believe.
    pub trust: Trust,
    /// `cert` and `key`: the balancer's own certificate, without `ocsp`.
    pub identity: Option<CertificateFiles>,
}

/// Who may have signed a server's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Those whom the system trusts. The default.
    System,
    /// `ca`: those in this PEM file.
    Ca(PathBuf),
    /// `insecure_skip_verify`: anybody.
    Anybody,
}

/// Whose settings name a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FileOwner {
    /// `[listener.NAME]`
    Listener(ListenerName),
    /// `[pool.NAME]`
    Pool(PoolName),
    /// `[server]`, `[admin]` or `[redis]`
    Process,
}

impl fmt::Display for FileOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listener(name) => write!(f, "listener `{name}`"),
            Self::Pool(name) => write!(f, "pool `{name}`"),
            Self::Process => f.write_str("the process"),
        }
    }
}
