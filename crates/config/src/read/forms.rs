//! The forms of texts that only one key has: locations, prefixes, the address of a Redis.

use super::fields::{Side, untouchable};
use super::host::{HostMatch, host};
use super::text::{self, Read, Refused, clip};

/// Whole segments, without a slash at the end.
pub(crate) fn stripped(prefix: &str) -> Read<String> {
    text::path(prefix)?;
    let bare = prefix.trim_end_matches('*').trim_end_matches('/');
    if bare != prefix || prefix.contains('*') {
        let help = if bare.is_empty() { String::new() } else { format!("write `{}`", clip(bare)) };
        return Err(Refused("a prefix has neither `*` nor a `/` at its end".into(), help));
    }
    Ok(prefix.into())
}

/// One segment of a path.
pub(crate) fn file_name(name: &str) -> Read<String> {
    if name.contains(['/', '\0']) || matches!(name, "." | "..") {
        return Err(Refused(format!("`{}` is not a file name", clip(name)), "write it without `/`".into()));
    }
    Ok(name.into())
}

/// A file below a root, as it is named there.
pub(crate) fn path_below(path: &str) -> Read<String> {
    let Some(rest) = path.strip_prefix('/') else {
        return Err(Refused(
            "a path below the root begins with `/`".into(),
            format!("write `/{}`", clip(path)),
        ));
    };
    if rest.split('/').any(|segment| matches!(segment, "" | "." | "..")) || rest.contains('\0') {
        let help = "write the names of directories and of the file, with one `/` between them";
        return Err(Refused(format!("`{}` is not a path of a file below the root", clip(path)), help.into()));
    }
    Ok(path.into())
}

/// A pattern of file names, or of paths.
pub(crate) fn file_pattern(pattern: &str) -> Read<String> {
    if pattern.contains('/') && !pattern.starts_with('/') {
        let help = format!("write `/{}` for a path below the root, or a name alone", clip(pattern));
        return Err(Refused("a pattern of names holds no `/`".into(), help));
    }
    Ok(pattern.into())
}

/// What a location may be made of.
const PLACEHOLDERS: [&str; 4] = ["{scheme}", "{host}", "{path}", "{query}"];

pub(crate) fn location(to: &str) -> Read<String> {
    let refuse = |message: String, help: &str| Err(Refused(message, help.into()));
    if !to.bytes().all(|b| b.is_ascii_graphic()) {
        return refuse("a location has visible ASCII alone".into(), "percent-encode what is not");
    }
    let mut rest = to;
    while let Some(at) = rest.find(['{', '}']) {
        let Some(found) = PLACEHOLDERS.iter().find(|placeholder| rest[at..].starts_with(**placeholder))
        else {
            let end = rest[at..].find('}').map_or(rest.len(), |end| at + end + 1);
            let message = format!("`{}` is no placeholder", clip(&rest[at..end]));
            return refuse(
                message,
                "there are {scheme}, {host}, {path} and {query}; write %7B for `{` and %7D for `}`",
            );
        };
        rest = &rest[at + found.len()..];
    }
    let authority = ["https://", "http://", "{scheme}://"].iter().find_map(|scheme| to.strip_prefix(scheme));
    match authority {
        None if to.starts_with("//") => refuse(
            "a location that begins with `//` leads to another host".into(),
            "write `https://` in front, or one `/`",
        ),
        None if to.starts_with('/') => Ok(to.into()),
        None => refuse(
            format!("`{}` is neither a URL nor an absolute path", clip(to)),
            "begin it with `https://`, `http://` or `/`",
        ),
        // The client chooses its path and query: it must not choose the host by them.
        Some(rest)
            if rest.is_empty()
                || rest.starts_with(['/', '?', '#', ':'])
                || rest.starts_with("{path}")
                || rest.starts_with("{query}") =>
        {
            refuse("the location has no host".into(), "write `{host}` for the request's own")
        }
        Some(_) => Ok(to.into()),
    }
}

/// Visible ASCII.
pub(crate) fn redis_prefix(text: &str) -> Read<String> {
    if text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(text.into());
    }
    Err(Refused("a prefix has visible ASCII alone".into(), "write `evenkeel:`, for example".into()))
}

/// `redis://[USER@]HOST[:PORT][/DATABASE]`
pub(crate) fn redis_url(text: &str) -> Read<String> {
    let refuse = |message: &str, help: &str| Err(Refused(message.into(), help.into()));
    let Some(rest) = text.strip_prefix("redis://") else {
        return refuse("the URL of a Redis begins with `redis://`", "TLS to Redis is not supported");
    };
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    if user.contains(':') {
        return refuse("a password does not belong in the URL", "write it into a file: `password_file`");
    }
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (place, "6379"),
    };
    let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b);
    let fits = !host.is_empty()
        && host.bytes().all(is_host)
        && host.contains(':') == host.starts_with('[')
        && user.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        && port.parse::<u16>().is_ok_and(|port| port > 0)
        && (database.is_empty() || database.parse::<u16>().is_ok());
    if fits {
        return Ok(text.into());
    }
    let help = "write `redis://127.0.0.1:6379/0`: host, port, and the number of a database";
    Err(Refused(format!("`{}` is not the URL of a Redis", clip(text)), help.into()))
}

/// A key of a log line.
pub(crate) fn log_key(text: &str) -> Read<String> {
    let is_key = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(is_key) {
        return Ok(text.into());
    }
    let help = "write lower-case letters, digits and `_`, a letter first";
    Err(Refused(format!("`{}` is not a key of a log line", clip(text)), help.into()))
}

/// `http://HOST[:PORT][/PATH]`, or `https://`.
pub(crate) fn otlp_url(text: &str) -> Read<String> {
    let refuse = |message: &str, help: &str| Err(Refused(message.into(), help.into()));
    let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else {
        return refuse(
            "the URL of a collector begins with `http://` or `https://`",
            "write `http://127.0.0.1:4318`",
        );
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if authority.contains('@') {
        return refuse(
            "a password does not belong in the URL",
            "write a header field into a file: `headers_file`",
        );
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse::<u16>().is_ok_and(|port| port > 0)),
        _ => (authority, true),
    };
    let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b);
    let fits = port
        && !host.is_empty()
        && host.bytes().all(is_host)
        && host.contains(':') == host.starts_with('[')
        && path.bytes().all(|b| b.is_ascii_graphic() && !b"?#".contains(&b));
    if fits {
        return Ok(text.into());
    }
    refuse(&format!("`{}` is not the URL of a collector", clip(text)), "write `http://127.0.0.1:4318`")
}

/// No control characters.
pub(crate) fn service_name(text: &str) -> Read<String> {
    if text.chars().any(char::is_control) {
        return Err(Refused("the name of a service has no control characters".into(), String::new()));
    }
    Ok(text.into())
}

/// A field that the balancer may write over.
pub(crate) fn subject_header(text: &str) -> Read<String> {
    let name = text::header_name(text)?;
    match untouchable(Side::Request, "set", &name) {
        None if name != "host" => Ok(name),
        _ => Err(Refused(
            format!("`{}` cannot carry the subject of a certificate", clip(text)),
            "write a name that nothing else uses, such as `x-client-cert-subject`".into(),
        )),
    }
}

/// The method of a check, which opens no tunnel.
pub(crate) fn probe_method(text: &str) -> Read<String> {
    if text.eq_ignore_ascii_case("CONNECT") {
        return Err(Refused("a check cannot open a tunnel".into(), "write `GET`, or leave it out".into()));
    }
    text::method(text)
}

/// What stands for the host of each request.
pub(crate) const REQUEST_HOST: &str = "{host}";

/// The host that a certificate is for.
pub(crate) fn server_name(text: &str) -> Read<String> {
    if text.contains(['{', '}']) {
        return Err(Refused(
            format!("`{}` is neither a host nor `{REQUEST_HOST}`", clip(text)),
            format!("write `{REQUEST_HOST}` alone for the host of each request, or a name without braces"),
        ));
    }
    match host(text)? {
        HostMatch::Exact(host) => Ok(host),
        HostMatch::Wildcard(_) => {
            Err(Refused("a server has one name, without `*`".into(), "write it in full".into()))
        }
    }
}
