//! What a PROXY header says.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::io::Peer;

/// Which form a header has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    V1,
    /// Binary, and the only one with TLVs.
    V2,
}

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Whose connection it is.
    pub carried: Carried,
    /// What else is known of it; empty in version 1.
    pub tlvs: Tlvs,
}

/// Whose connection it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carried {
    /// A client's.
    Ip {
        /// Where the client is.
        source: SocketAddr,
        /// Where the client connected to.
        destination: SocketAddr,
    },
    /// A client's, over a unix socket.
    Unix,
    /// The sender's own, such as a health check, or one of which the sender knows nothing: it belongs to the peer.
    Peer,
}

/// Why bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderError {
    /// They do not begin as a header of either version does.
    Missing,
    /// They begin as one, and break its rules.
    Malformed(&'static str),
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the connection does not begin with a PROXY header"),
            Self::Malformed(why) => write!(f, "malformed PROXY header: {why}"),
        }
    }
}

impl Header {
    /// The header of a connection that the sender makes for itself: `LOCAL`, or `UNKNOWN` in version 1.
    pub fn local() -> Self {
        Self { carried: Carried::Peer, tlvs: Tlvs::default() }
    }

    /// The client, on a connection from `peer`.
    pub fn client(&self, peer: Peer) -> Peer {
        match self.carried {
            Carried::Ip { source, .. } => Peer::Ip(source),
            Carried::Unix => Peer::Unix,
            Carried::Peer => peer,
        }
    }
}

impl Carried {
    /// From a client to where it connected to. IPv4 addresses that are written as IPv6 become IPv4.
    pub fn between(source: SocketAddr, destination: SocketAddr) -> Self {
        let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        Self::Ip { source: plain(source), destination: plain(destination) }
    }
}

/// Both in one family, as a header has them: IPv4 becomes IPv6 beside IPv6.
pub(super) fn same_family(source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
    if source.is_ipv4() == destination.is_ipv4() {
        return (source, destination);
    }
    let mapped = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    };
    (mapped(source), mapped(destination))
}

/// What TLVs say. Those of other types are skipped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tlvs {
    /// The protocol that client and sender agreed on (RFC 7301), such as `h2`.
    pub alpn: Option<Box<[u8]>>,
    /// The name that the client asked for, mostly by SNI.
    pub authority: Option<Box<[u8]>>,
    /// What the sender calls the connection.
    pub unique_id: Option<Box<[u8]>>,
    /// The client speaks TLS with the sender.
    pub tls: Option<Tls>,
}

/// What is known of a client's TLS session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Its version, such as `TLSv1.3`.
    pub version: Option<Box<[u8]>>,
    /// Its cipher suite, by its name in the registry of IANA.
    pub cipher: Option<Box<[u8]>>,
    /// The client has shown a certificate, and it was verified.
    pub is_verified: bool,
    /// The common name in it.
    pub common_name: Option<Box<[u8]>>,
}
