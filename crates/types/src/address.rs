//! Addresses as people write them: `PORT`, `:PORT`, `HOST:PORT`, `[v6]:PORT`, `[v6%zone]:PORT` or `unix:/path`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::PathBuf;

use rustix::net::{AddressFamily, SocketType, netdevice, socket};

/// Where to listen, or where a server is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// A host name to resolve, and a port. Only for servers, never for listeners.
    Name(String, u16),
    /// A unix stream socket.
    Unix(PathBuf),
}

/// Why a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressError {
    /// Nothing was written.
    Empty,
    /// The port is no number, zero or above 65535.
    Port(String),
    /// There is no port behind this host.
    NoPort(String),
    /// The host is neither an IP address nor a valid name.
    Host(String),
    /// There is no network interface of this name, which a link-local address names as its zone (RFC 4007, 11).
    Zone(String),
    /// `unix:` without an absolute path, or with control characters in it.
    UnixPath,
    /// A host name where only an IP address is possible.
    NameForListener(String),
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "the address is empty"),
            Self::Port(p) => write!(f, "`{p}` is not a port (1 to 65535)"),
            Self::NoPort(h) => write!(f, "`{h}` has no port, as in `{h}:80`"),
            Self::Host(h) => write!(f, "`{h}` is neither an IP address nor a host name"),
            Self::Zone(zone) => write!(f, "this machine has no network interface `{zone}`"),
            Self::UnixPath => {
                write!(
                    f,
                    "`unix:` takes an absolute path of at most 107 bytes without control characters, as in `unix:/run/app.sock`"
                )
            }
            Self::NameForListener(h) => write!(f, "a listener binds to an IP address, and `{h}` is a name"),
        }
    }
}

impl std::error::Error for AddressError {}

impl Address {
    /// The same host at another port; a unix socket, which has none, stays as it is.
    #[must_use]
    pub fn with_port(&self, port: u16) -> Self {
        match self.clone() {
            Self::Ip(mut ip) => {
                ip.set_port(port);
                Self::Ip(ip)
            }
            Self::Name(name, _) => Self::Name(name, port),
            Self::Unix(path) => Self::Unix(path),
        }
    }

    /// Reads the address of a listener; a bare port means all addresses (`[::]`, which takes IPv4 as well).
    /// Port 0 lets the kernel choose a free one.
    pub fn listener(text: &str) -> Result<Self, AddressError> {
        match Self::parse(text, IpAddr::V6(Ipv6Addr::UNSPECIFIED))? {
            Self::Name(host, port) if host.eq_ignore_ascii_case("localhost") => {
                Ok(Self::Ip(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)))
            }
            Self::Name(host, _) => Err(AddressError::NameForListener(host)),
            other => Ok(other),
        }
    }

    /// Reads the address of a server; a bare port means 127.0.0.1.
    pub fn backend(text: &str) -> Result<Self, AddressError> {
        match Self::parse(text, IpAddr::V4(Ipv4Addr::LOCALHOST))? {
            Self::Ip(a) if a.port() == 0 => Err(AddressError::Port("0".into())),
            Self::Name(_, 0) => Err(AddressError::Port("0".into())),
            other => Ok(other),
        }
    }

    fn parse(text: &str, any: IpAddr) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            // 107 bytes: sun_path of unix(7), less its final NUL.
            // A path with a line end could forge lines in the log.
            return if path.starts_with('/') && path.len() <= 107 && !path.contains(char::is_control) {
                Ok(Self::Unix(path.into()))
            } else {
                Err(AddressError::UnixPath)
            };
        }
        let bare = text.strip_prefix(':').unwrap_or(text);
        if !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(Self::Ip(SocketAddr::new(any, port(bare)?)));
        }
        let (host, port_text) = text
            .rsplit_once(':')
            .filter(|(_, port)| !port.is_empty())
            .ok_or_else(|| AddressError::NoPort(text.trim_end_matches(':').into()))?;
        let port = port(port_text)?;
        if let Some(v6) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            let (ip, zone) = v6.split_once('%').map_or((v6, None), |(ip, zone)| (ip, Some(zone)));
            let ip: Ipv6Addr = ip.parse().map_err(|_| AddressError::Host(host.into()))?;
            let scope = zone.map_or(Ok(0), scope_id)?;
            return Ok(Self::Ip(SocketAddrV6::new(ip, port, 0, scope).into()));
        }
        if let Ok(ip) = host.parse::<Ipv4Addr>() {
            return Ok(Self::Ip(SocketAddr::new(ip.into(), port)));
        }
        if is_host_name(host) {
            Ok(Self::Name(host.into(), port))
        } else {
            Err(AddressError::Host(host.into()))
        }
    }

    /// The host as it stands in a `Host` header: no port; `localhost` for a unix socket.
    pub fn host(&self) -> String {
        match self {
            Self::Ip(SocketAddr::V6(a)) => format!("[{}]", a.ip()),
            Self::Ip(a) => a.ip().to_string(),
            Self::Name(host, _) => host.clone(),
            Self::Unix(_) => "localhost".into(),
        }
    }
}

/// The number of a network interface, which is also its name where it has no other.
fn scope_id(zone: &str) -> Result<u32, AddressError> {
    let unknown = || AddressError::Zone(zone.into());
    if !zone.is_empty() && zone.bytes().all(|b| b.is_ascii_digit()) {
        return zone.parse().map_err(|_| unknown());
    }
    let any = socket(AddressFamily::INET, SocketType::DGRAM, None).map_err(|_| unknown())?;
    netdevice::name_to_index(any, zone).map_err(|_| unknown())
}

fn port(text: &str) -> Result<u16, AddressError> {
    match text.parse::<u16>() {
        Ok(port) if text.bytes().all(|b| b.is_ascii_digit()) => Ok(port),
        _ => Err(AddressError::Port(text.into())),
    }
}

/// RFC 1123 names, with the underscore that container networks use; never all digits and dots.
fn is_host_name(host: &str) -> bool {
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    host.len() <= 253 && host.split('.').all(label) && host.bytes().any(|b| b.is_ascii_alphabetic())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(a) => write!(f, "{a}"),
            Self::Name(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(text: &str) -> String {
        Address::backend(text).map_or_else(|e| format!("error: {e}"), |a| a.to_string())
    }

    #[test]
    fn every_documented_form_is_read() {
        assert_eq!(backend("5001"), "127.0.0.1:5001");
        assert_eq!(backend(":5001"), "127.0.0.1:5001");
        assert_eq!(backend("10.0.0.1:80"), "10.0.0.1:80");
        assert_eq!(backend("[::1]:80"), "[::1]:80");
        assert_eq!(backend("[fe80::1%7]:80"), "[fe80::1%7]:80");
        assert_eq!(backend("[fe80::1%lo]:80"), "[fe80::1%1]:80");
        assert_eq!(Address::backend("[fe80::1%7]:80").unwrap().host(), "[fe80::1]");
        assert_eq!(backend("[fe80::1%eth99]:80"), "error: this machine has no network interface `eth99`");
        assert_eq!(backend("app_1.internal:80"), "app_1.internal:80");
        assert_eq!(backend("unix:/run/a.sock"), "unix:/run/a.sock");
        assert_eq!(Address::listener("8080").unwrap().to_string(), "[::]:8080");
        assert_eq!(Address::listener("127.0.0.1:0").unwrap().to_string(), "127.0.0.1:0");
        assert_eq!(Address::listener("localhost:80").unwrap().to_string(), "127.0.0.1:80");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "0",
            "65536",
            "host",
            "host:",
            "host:x",
            "1.2.3:80",
            "[::1:80",
            "[fe80::1%]:80",
            "::1:80",
            "a b:1",
            "unix:x",
            "unix:/a\nb",
            "unix:/a\u{1b}[31mb",
            "unix:/a\u{85}b",
            "+80:1",
        ] {
            assert!(backend(bad).starts_with("error"), "{bad} was taken for {}", backend(bad));
        }
        assert!(Address::listener("example.com:80").is_err());
    }
}
