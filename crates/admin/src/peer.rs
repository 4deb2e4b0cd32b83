//! Who is at the other end of a connection to the API, as far as the kernel says.

use std::fmt;
use std::net::SocketAddr;

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A client of TCP.
    Tcp(SocketAddr),
    /// A process that uses a unix socket of `[admin] bind`; its user, if the kernel names it.
    Unix(Option<u32>),
    /// A process that uses the control socket, and its user.
    Control {
        /// The user.
        uid: u32,
        /// The user of this process.
        ours: u32,
    },
}

impl Peer {
    /// Whether the connection is over a unix socket. Browsers cannot open one, so the check of `Host` is not needed.
    pub(crate) fn is_unix(self) -> bool {
        !matches!(self, Self::Tcp(_))
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{}", address.ip().to_canonical()),
            Self::Unix(None) => f.write_str("a unix socket"),
            Self::Unix(Some(uid)) | Self::Control { uid, .. } => write!(f, "uid {uid}"),
        }
    }
}
