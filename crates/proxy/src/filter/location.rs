//! `Location` of a server behind a route that takes a prefix off the path: the client must ask with the prefix again.

use crate::response::Head;

/// Puts `prefix` in front of the path that `Location` names, if it is on the host that the client asked, and if the server
/// has not done so itself, as `X-Forwarded-Prefix` lets it (RFC 9110, 10.2.2).
pub fn restore_prefix(head: &mut Head, prefix: &str, authority: &str) {
    if !matches!(head.status, 201 | 300..=399) {
        return;
    }
    let Some(location) = head.value("location").and_then(|value| restored(value, prefix, authority)) else {
        return;
    };
    head.remove(|name| name.eq_ignore_ascii_case(b"location"));
    head.field("location", &location);
}

fn restored(location: &[u8], prefix: &str, authority: &str) -> Option<Vec<u8>> {
    let (origin, path) = location.split_at(origin_len(location, authority)?);
    if !origin.is_empty() && !matches!(path, [] | [b'/' | b'?' | b'#', ..]) {
        return None;
    }
    let is_there = path
        .strip_prefix(prefix.as_bytes())
        .is_some_and(|rest| matches!(rest, [] | [b'/' | b'?' | b'#', ..]));
    (!is_there).then(|| [origin, prefix.as_bytes(), path].concat())
}

/// How long the part in front of the path is; `None` if the path is none of this host's, or is relative.
fn origin_len(location: &[u8], authority: &str) -> Option<usize> {
    match location {
        [b'/', b'/', ..] => None,
        [b'/', ..] => Some(0),
        _ => {
            let scheme = [&b"http://"[..], b"https://"]
                .into_iter()
                .find(|s| location.get(..s.len()).is_some_and(|start| start.eq_ignore_ascii_case(s)))?;
            let len = scheme.len() + authority.len();
            let named = location.get(scheme.len()..len)?;
            named.eq_ignore_ascii_case(authority.as_bytes()).then_some(len)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_on_this_host_without_the_prefix_is_changed() {
        let restored = |location: &str| {
            restored(location.as_bytes(), "/api", "shop:8080").map(|to| String::from_utf8(to).unwrap())
        };
        for (theirs, ours) in [
            ("/", "/api/"),
            ("/apix?/api", "/api/apix?/api"),
            ("HTTPS://Shop:8080/x", "HTTPS://Shop:8080/api/x"),
            ("http://shop:8080", "http://shop:8080/api"),
        ] {
            assert_eq!(restored(theirs).as_deref(), Some(ours));
        }
        for theirs in [
            "",
            "x",
            "?x",
            "//shop:8080/x",
            "http://shop/x",
            "http://shop:80800/x",
            "/api#x",
            "ftp://shop:8080/",
        ] {
            assert_eq!(restored(theirs), None, "{theirs}");
        }
    }
}
