//! Hosts as routes match them.

use std::net::Ipv6Addr;

use super::text::{Read, clip, refused};

/// One pattern of a route's `host`; in lower case, without a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostMatch {
    /// `shop.example.com`
    Exact(String),
    /// `*.example.com`, held as `.example.com`; matches one label and more, never `example.com` itself.
    Wildcard(String),
}

/// A host pattern, in lower case.
pub(crate) fn host(text: &str) -> Read<HostMatch> {
    let lower = text.to_ascii_lowercase();
    if let Some(address) = lower.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'))
        && let Ok(address) = address.parse::<Ipv6Addr>()
    {
        return Ok(HostMatch::Exact(format!("[{address}]")));
    }
    if lower.parse::<Ipv6Addr>().is_ok() {
        return refused("an IPv6 address needs brackets here", format!("write `[{lower}]`"));
    }
    if let Some((_, rest)) = lower.split_once("://") {
        let meant = rest.split(['/', ':']).next().unwrap_or_default();
        return refused("a host has no scheme", format!("did you mean `{}`?", clip(meant)));
    }
    if let Some((name, port)) = lower.rsplit_once(':')
        && port.bytes().all(|b| b.is_ascii_digit())
    {
        return refused(
            "a host is matched without its port",
            format!(
                "write `{}`; to tell ports apart, give each a listener and name it in the route",
                clip(name)
            ),
        );
    }
    let (name, wildcard) = match lower.strip_prefix("*.") {
        Some(rest) => (rest, true),
        None => (&*lower, false),
    };
    if lower == "*" {
        return refused("`*` is every host", "leave `host` out to match every host");
    }
    if name.contains('*') {
        return refused(
            format!("`{}` has a `*` where none is possible", clip(text)),
            "only the first label may be one: `*.example.com`",
        );
    }
    if let Some(without) = name.strip_suffix('.') {
        return refused("a host is matched without the dot at its end", format!("write `{}`", clip(without)));
    }
    if !name.is_ascii() {
        return refused("a host is ASCII", "write its punycode form, which begins with `xn--`");
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if !name.split('.').all(label) {
        return refused(format!("`{}` is not a host", clip(text)), "");
    }
    Ok(if wildcard { HostMatch::Wildcard(format!(".{name}")) } else { HostMatch::Exact(lower) })
}
