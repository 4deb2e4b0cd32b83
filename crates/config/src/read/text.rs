//! The forms of texts: addresses, networks, hosts, paths, header fields. Each says what is wrong, and what to write.

use std::net::{IpAddr, Ipv6Addr};

use evenkeel_types::{Address, AddressError};
use ipnet::IpNet;

use super::table::clip;
use super::value::Value;
use crate::keys::Kind;
use crate::model::HostMatch;

/// Why a text does not have its form: the message, and what to do (or nothing).
pub(crate) struct Refused(pub(crate) String, pub(crate) String);

/// What a text is, or why it is not.
pub(crate) type Read<T> = Result<T, Refused>;

fn refused<T>(message: impl Into<String>, help: impl Into<String>) -> Read<T> {
    Err(Refused(message.into(), help.into()))
}

impl Value<'_> {
    /// Reads the text by `form`, and notes the fault if it does not have it.
    pub(crate) fn read<T>(&self, form: impl FnOnce(&str) -> Read<T>) -> Option<T> {
        let text = self.text()?;
        form(text).map_or_else(|Refused(message, help)| self.refuse(message, help), Some)
    }

    /// Reads an address by the declared form; it may be a port written as an integer.
    pub(crate) fn address(&self) -> Option<Address> {
        let (Kind::Address(_, form) | Kind::AddressOrOff(_, form)) = self.kind else { return None };
        let text = self.address_text()?;
        form(&text).map_or_else(
            |fault| {
                let Refused(message, help) = address_refused(&text, &fault);
                self.refuse(message, help)
            },
            Some,
        )
    }
}

/// What is wrong with an address, and what was probably meant.
fn address_refused(text: &str, fault: &AddressError) -> Refused {
    let text = clip(text);
    if let Some((scheme, rest)) = text.split_once("://") {
        let meant = rest.split('/').next().unwrap_or_default();
        return Refused("an address has no scheme".into(), format!("leave `{scheme}://` out: `{meant}`"));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        let message = "an IPv6 address needs brackets and a port";
        return Refused(message.into(), format!("write `[{text}]:80`"));
    }
    match fault {
        AddressError::NoPort(host) => {
            Refused(format!("`{text}` has no port"), format!("write `{}:80`", clip(host)))
        }
        fault => Refused(fault.to_string().escape_debug().to_string(), String::new()),
    }
}

/// A network, or an address alone, which is a network of one.
pub(crate) fn network(text: &str) -> Read<IpNet> {
    if let Ok(net) = text.parse::<IpNet>() {
        return Ok(net.trunc());
    }
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(address.into()),
        Err(_) => refused(
            format!("`{}` is neither a network nor an IP address", clip(text)),
            "write `10.0.0.0/8`, `fd00::/8` or an address alone",
        ),
    }
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

/// A path in normal form (RFC 3986, 6.2.2), as requests are brought into before they are matched. A `*` is left to
/// the caller.
pub(crate) fn path(text: &str) -> Read<()> {
    if !text.starts_with('/') {
        return refused("a path begins with `/`", format!("write `/{}`", clip(text)));
    }
    if let Some(at) = text.find(['?', '#']) {
        let help = format!("write `{}`; for conditions on the query there is `query`", clip(&text[..at]));
        return refused("a path has neither query nor fragment", help);
    }
    if text.contains('\\') || text.to_ascii_uppercase().contains("%5C") || text.contains("%00") {
        return refused("a path holds neither a backslash nor a NUL: such requests are refused", "");
    }
    let normal = normal_path(text);
    match normal {
        Some(normal) if normal == text => Ok(()),
        Some(normal) => {
            refused("the path is not in normal form", format!("did you mean `{}`?", clip(&normal)))
        }
        None => {
            refused("the path has a `%` that does not begin an encoded character", "write `%25` for a `%`")
        }
    }
}

/// The normal form, for a suggestion: nothing encoded that need not be, no empty and no dot segments.
fn normal_path(text: &str) -> Option<String> {
    let mut encoded = String::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                let digits = std::str::from_utf8(&digits).ok().filter(|d| !d.starts_with('+'))?;
                let decoded = u8::from_str_radix(digits, 16).ok()?;
                if decoded.is_ascii_alphanumeric() || b"-._~".contains(&decoded) {
                    encoded.push(char::from(decoded));
                } else {
                    encoded.push_str(&format!("%{decoded:02X}"));
                }
            }
            b'!'..=b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    let mut segments: Vec<&str> = Vec::new();
    let mut ends_open = false;
    for segment in encoded.split('/').skip(1) {
        ends_open = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    let end = if ends_open && !segments.is_empty() { "/" } else { "" };
    Some(format!("/{}{end}", segments.join("/")))
}

/// A header name (a token of RFC 9110), in lower case.
pub(crate) fn header_name(text: &str) -> Read<String> {
    if is_token(text) {
        return Ok(text.to_ascii_lowercase());
    }
    let help = if text.ends_with(':') {
        format!("leave the colon out: `{}`", clip(text.trim_end_matches(':')))
    } else {
        String::new()
    };
    refused(format!("`{}` is not a header name", clip(text)), help)
}

/// A header value: no control character, and no space at either end.
pub(crate) fn header_value(text: &str) -> Read<String> {
    if let Some(control) = text.chars().find(|c| c.is_control()) {
        return refused(
            format!("a header value cannot hold the control character {}", control.escape_default()),
            "",
        );
    }
    if text.trim_matches(' ') != text {
        return refused(
            "a header value neither begins nor ends with a space",
            format!("write \"{}\"", clip(text.trim_matches(' '))),
        );
    }
    Ok(text.into())
}

/// A method, as requests have it.
pub(crate) fn method(text: &str) -> Read<String> {
    if !is_token(text) {
        return refused(format!("`{}` is not a method", clip(text)), "");
    }
    if text.bytes().any(|b| b.is_ascii_lowercase()) {
        let help = format!("did you mean `{}`?", clip(&text.to_ascii_uppercase()));
        return refused("methods are case-sensitive, and all known ones are in upper case", help);
    }
    Ok(text.into())
}

/// A cookie name (a token of RFC 9110).
pub(crate) fn cookie_name(text: &str) -> Read<String> {
    if is_token(text) {
        Ok(text.into())
    } else {
        refused(format!("`{}` is not a cookie name", clip(text)), "")
    }
}

/// The path of a file.
pub(crate) fn file(text: &str) -> Read<String> {
    if text.contains('\0') { refused("a path of a file cannot hold a NUL", "") } else { Ok(text.into()) }
}

/// What a `Host` field may be: visible ASCII without what ends an authority.
pub(crate) fn probe_host(text: &str) -> Read<String> {
    let fits = text.bytes().all(|b| b.is_ascii_graphic() && !b"/?#@\\".contains(&b));
    if fits {
        Ok(text.into())
    } else {
        refused(format!("`{}` is not a host", clip(text)), "write a name alone, without scheme or path")
    }
}

/// What a probe asks for: a path, maybe with a query.
pub(crate) fn probe_path(text: &str) -> Read<String> {
    if !text.starts_with('/') {
        return refused("a path begins with `/`", format!("write `/{}`", clip(text)));
    }
    if text.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        return Ok(text.into());
    }
    refused("a path and query has visible ASCII alone, and no fragment", "percent-encode what is not")
}

/// The full name of a gRPC service; empty for all that a server serves.
pub(crate) fn grpc_service(text: &str) -> Read<String> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.');
    if text.len() <= 127 && text.bytes().all(is_plain) {
        return Ok(text.into());
    }
    refused(
        "a service has at most 127 letters, digits, `_` and `.`",
        "write its full name, such as `shop.Cart`",
    )
}

/// A text without a form of its own.
pub(crate) fn any(text: &str) -> Read<String> {
    Ok(text.into())
}

/// RFC 9110, 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
