//! The head of a request to a server of HTTP/2, made of its lines.

use evenkeel_http2::Request;

use crate::http::field::list;
use crate::server::error::ServerError;
use crate::server::outgoing::OutgoingHead;

/// What a byte may be part of.
const PATH: u8 = 1;
const QUERY: u8 = 2;
const AUTHORITY: u8 = 4;

/// By byte, by RFC 3986; and what clients are known to send as it is though it should be encoded.
static PARTS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0x21;
    while byte < table.len() {
        if byte != 0x7f {
            table[byte] = PATH | QUERY;
        }
        byte += 1;
    }
    let (nowhere, mut at) = (b"#<>", 0);
    while at < nowhere.len() {
        table[nowhere[at] as usize] = 0;
        at += 1;
    }
    table[b'"' as usize] = PATH;
    let (only_in_queries, mut at) = (b"?`", 0);
    while at < only_in_queries.len() {
        table[only_in_queries[at] as usize] = QUERY;
        at += 1;
    }
    let (host, mut at) = (b"-._~!$&'()*+,;=:[]%", 0);
    while at < host.len() {
        table[host[at] as usize] |= AUTHORITY;
        at += 1;
    }
    let mut byte = 0;
    while byte < 128 {
        if (byte as u8).is_ascii_alphanumeric() {
            table[byte] |= AUTHORITY;
        }
        byte += 1;
    }
    table
};

fn is_all(text: &[u8], part: u8) -> bool {
    text.iter().fold(part, |all, byte| all & PARTS[usize::from(*byte)]) != 0
}

/// A request's pseudo-header fields, of which `target` is path and query, and its field lines.
///
/// # Errors
/// What the client sent, or the route made of it, is nothing that a URI has a place for (RFC 9113, 8.3.1).
pub fn parts<'h>(
    head: &'h OutgoingHead<'_>,
    target: &'h str,
) -> Result<(Request<'h>, &'h [u8]), ServerError> {
    let lines = &head.lines;
    let start = memchr::memchr(b'\n', lines).map_or(lines.len(), |end| end + 1);
    let section = &lines[start..];
    let host = section.strip_prefix(b"host: ").and_then(|rest| rest.split(|b| *b == b'\r').next());
    let authority = host.unwrap_or(b"localhost");
    let (path, query) = match memchr::memchr(b'?', target.as_bytes()) {
        Some(at) => target.as_bytes().split_at(at),
        None => (target.as_bytes(), &b""[..]),
    };
    let has_path = path == b"*" || path.first().is_some_and(|first| *first == b'/') && is_all(path, PATH);
    if !has_path || !is_all(query, QUERY) || authority.is_empty() || !is_all(authority, AUTHORITY) {
        return Err(ServerError::Unsendable);
    }
    // Several protocols are layers (RFC 9110, 7.8), and a stream can ask for one alone: the client's favourite.
    let protocol = head.upgrade.and_then(|protocols| list(protocols).next()).unwrap_or_default();
    let request = Request {
        method: if protocol.is_empty() { head.method.as_bytes() } else { b"CONNECT" },
        scheme: if head.is_secure { b"https" } else { b"http" },
        authority,
        path: target.as_bytes(),
        protocol,
    };
    Ok((request, section))
}

/// True if a request that opens a tunnel over a connection of HTTP/1.1 has such a field, and one that opens one over a stream
/// has none (RFC 8441, 5): the stream takes its place, and has no length.
pub fn is_of_http1_tunnels(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"sec-websocket-key") || name.eq_ignore_ascii_case(b"content-length")
}

#[cfg(test)]
mod tests {
    use http::uri::PathAndQuery;

    use super::*;

    fn is_sendable(target: &str, host: &str) -> bool {
        let lines = format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n").into_bytes();
        let head =
            OutgoingHead { lines, method: "GET", target: [target, "", ""], is_secure: false, upgrade: None };
        parts(&head, target).is_ok()
    }

    #[test]
    fn paths_and_queries_are_those_that_other_implementations_take() {
        for byte in (1..128).map(char::from).filter(|byte| !matches!(byte, '#' | '?')) {
            for target in [format!("/a{byte}"), format!("/?a{byte}")] {
                let theirs = PathAndQuery::try_from(target.as_str()).is_ok();
                assert_eq!(is_sendable(&target, "a"), theirs, "{target:?}");
            }
        }
        assert!(is_sendable("/ä?ä", "a") && is_sendable("*", "a") && is_sendable("/a?b?c", "a"));
        assert!(!is_sendable("/#a", "a") && !is_sendable("", "a") && !is_sendable("a", "a"));
    }

    #[test]
    fn hosts_are_those_of_uris() {
        assert!(["a", "a:1", "[::1]:80", "a_b", "xn--a.example."].iter().all(|host| is_sendable("/", host)));
        assert!(["", "a/b", "u@a", "a b", "a\"", "ä"].iter().all(|host| !is_sendable("/", host)));
    }
}
