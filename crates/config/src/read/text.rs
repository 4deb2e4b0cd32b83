//! The forms of texts: addresses, networks, hosts, paths, header fields. Each says what is wrong, and what to write.

use std::net::{IpAddr, Ipv6Addr};

use evenkeel_types::AddressError;
use ipnet::IpNet;

/// Why a text does not have its form: the message, and what to do (or nothing).
pub(crate) struct Refused(pub(crate) String, pub(crate) String);

/// What a text is, or why it is not.
pub(crate) type Read<T> = Result<T, Refused>;

pub(super) fn refused<T>(message: impl Into<String>, help: impl Into<String>) -> Read<T> {
    Err(Refused(message.into(), help.into()))
}

/// What is wrong with an address, and what was probably meant.
pub(super) fn address_refused(text: &str, fault: &AddressError) -> Refused {
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

/// An IP address.
pub(crate) fn ip_address(text: &str) -> Read<IpAddr> {
    match text.parse() {
        Ok(address) => Ok(address),
        Err(_) => refused(format!("`{}` is no IP address", clip(text)), "write `10.0.0.7` or `fd00::7`"),
    }
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

/// What a database calls a role or itself: PostgreSQL cuts longer names (`NAMEDATALEN`).
pub(crate) fn database_name(text: &str) -> Read<String> {
    if text.len() <= 63 && !text.bytes().any(|b| b.is_ascii_control()) {
        return Ok(text.into());
    }
    refused("a name in a database has at most 63 bytes, and no control characters", "write its name as it is")
}

/// A text without a form of its own.
pub(crate) fn any(text: &str) -> Read<String> {
    Ok(text.into())
}

/// RFC 9110, 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Text from the file within a message: not more of it than a person wants to see.
pub(crate) fn clip(text: &str) -> String {
    const SHOWN_MAX: usize = 60;
    let mut out: String = text.chars().take(SHOWN_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_MAX).is_some() {
        out.push('…');
    }
    out
}
