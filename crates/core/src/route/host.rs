//! The host of a request: strictly read, so that no two parties can disagree on which one it is.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;

/// Why an authority is refused, which is a 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostRefused {
    /// A port without a host.
    Empty,
    /// A name with an empty label, as in `a..b` or `.a`.
    Label,
    /// A byte that no host name holds: `@` of user information included.
    Byte(u8),
    /// Longer than the 253 bytes of a domain name (RFC 1035, 3.1).
    Long,
    /// What stands in brackets is not an IPv6 address.
    Ipv6,
    /// What follows the colon is not a port.
    Port,
}

impl fmt::Display for HostRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the host is empty"),
            Self::Label => f.write_str("the host has an empty label"),
            Self::Byte(byte) => write!(f, "the host holds the byte 0x{byte:02x}"),
            Self::Long => f.write_str("the host is longer than 253 bytes"),
            Self::Ipv6 => f.write_str("the host in brackets is not an IPv6 address"),
            Self::Port => f.write_str("the port is not a number from 0 to 65535"),
        }
    }
}

impl std::error::Error for HostRefused {}

/// Splits `host[:port]` (RFC 3986, 3.2.2 and 3.2.3), as found in `Host`, `:authority` or an absolute target.
///
/// The host comes back in the form that routes are matched in: lower case, without the trailing dot of a name, an
/// IPv6 address in brackets and in the form of RFC 5952. An empty authority is an empty host. Of RFC 3986's
/// registered names only those are taken that can be names of hosts: letters, digits, `-`, `_`, `.` and `~`.
pub fn parse_host(authority: &str) -> Result<(Cow<'_, str>, Option<u16>), HostRefused> {
    if authority.is_empty() {
        return Ok((Cow::Borrowed(""), None));
    }
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or(HostRefused::Ipv6)?;
        let address: Ipv6Addr = address.parse().map_err(|_| HostRefused::Ipv6)?;
        let port = match rest.strip_prefix(':') {
            Some(digits) => port(digits)?,
            None if rest.is_empty() => None,
            None => return Err(HostRefused::Port),
        };
        return Ok((Cow::Owned(format!("[{address}]")), port));
    }
    let digits = authority.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (rest, digits) = authority.split_at(authority.len() - digits);
    match rest.strip_suffix(':') {
        Some(name) => Ok((reg_name(name)?, port(digits)?)),
        None => Ok((reg_name(authority)?, None)),
    }
}

/// The form in which requests name a host that the configuration names.
pub(super) fn of_pattern(name: &str) -> String {
    match name.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => parse_host(name).map_or_else(|_| name.to_owned(), |(host, _)| host.into_owned()),
    }
}

fn reg_name(name: &str) -> Result<Cow<'_, str>, HostRefused> {
    if name.is_empty() {
        return Err(HostRefused::Empty);
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.len() > 253 {
        return Err(HostRefused::Long);
    }
    if is_plain(name.as_bytes()) {
        return Ok(Cow::Borrowed(name));
    }
    let mut upper = false;
    let mut before = b'.';
    for byte in name.bytes() {
        match byte {
            b'.' if before == b'.' => return Err(HostRefused::Label),
            b'A'..=b'Z' => upper = true,
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {}
            b':' => return Err(HostRefused::Port),
            other => return Err(HostRefused::Byte(other)),
        }
        before = byte;
    }
    if before == b'.' {
        return Err(HostRefused::Label);
    }
    Ok(if upper { Cow::Owned(name.to_ascii_lowercase()) } else { Cow::Borrowed(name) })
}

/// Whether a name is valid and in lower case for certain. Looks at every byte, for which the compiler then uses
/// vector instructions; stopping early would be slower.
fn is_plain(name: &[u8]) -> bool {
    let plain = name.iter().fold(true, |all, &byte| {
        all & (byte.is_ascii_lowercase() | byte.is_ascii_digit() | (byte == b'-') | (byte == b'.'))
    });
    let pairs = name.iter().zip(name.get(1..).unwrap_or_default());
    let empty_label = pairs.fold(false, |any, (&a, &b)| any | ((a == b'.') & (b == b'.')));
    plain & !empty_label & name.first().is_some_and(|&first| first != b'.') & (name.last() != Some(&b'.'))
}

/// RFC 3986 allows the digits to be missing.
fn port(digits: &str) -> Result<Option<u16>, HostRefused> {
    if digits.is_empty() {
        return Ok(None);
    }
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(HostRefused::Port);
    }
    digits.parse().map(Some).map_err(|_| HostRefused::Port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(authority: &str, expected: Result<(&str, Option<u16>), HostRefused>) {
        let found = parse_host(authority);
        assert_eq!(
            found.as_ref().map(|(host, port)| (host.as_ref(), *port)).map_err(|e| *e),
            expected,
            "{authority}"
        );
    }

    #[test]
    fn hosts_are_read_in_the_form_they_are_matched_in() {
        check("", Ok(("", None)));
        check("example.com", Ok(("example.com", None)));
        check("Example.COM:8080", Ok(("example.com", Some(8080))));
        check("example.com.", Ok(("example.com", None)));
        check("example.com.:80", Ok(("example.com", Some(80))));
        check("example.com:", Ok(("example.com", None)));
        check("10.0.0.1:80", Ok(("10.0.0.1", Some(80))));
        check("[::1]", Ok(("[::1]", None)));
        check("[2001:DB8:0:0::1]:443", Ok(("[2001:db8::1]", Some(443))));
        check("my_app.internal", Ok(("my_app.internal", None)));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        check(":80", Err(HostRefused::Empty));
        check(".", Err(HostRefused::Label));
        check("a..b", Err(HostRefused::Label));
        check(".a", Err(HostRefused::Label));
        check("a..", Err(HostRefused::Label));
        check("user@example.com", Err(HostRefused::Byte(b'@')));
        check("user:pass@example.com", Err(HostRefused::Port));
        check("a b", Err(HostRefused::Byte(b' ')));
        check("a/b", Err(HostRefused::Byte(b'/')));
        check("a%41", Err(HostRefused::Byte(b'%')));
        check("b\u{fc}cher", Err(HostRefused::Byte(0xc3)));
        check("a,b", Err(HostRefused::Byte(b',')));
        check("a:b", Err(HostRefused::Port));
        check("a:+80", Err(HostRefused::Port));
        check("a:65536", Err(HostRefused::Port));
        check("a:80:80", Err(HostRefused::Port));
        check("::1", Err(HostRefused::Port));
        check("[::1", Err(HostRefused::Ipv6));
        check("[::1]80", Err(HostRefused::Port));
        check("[fe80::1%25eth0]", Err(HostRefused::Ipv6));
        check("[127.0.0.1]", Err(HostRefused::Ipv6));
        check(&"a".repeat(254), Err(HostRefused::Long));
        assert!(parse_host(&"a".repeat(253)).is_ok());
    }
}
