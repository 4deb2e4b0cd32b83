//! Fields of HTTP/2 made of lines, so that seeds can be read: `name: value`, pseudo-header fields first.
#![allow(dead_code)]

use evenkeel_proxy::http::field::Field;
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Names, colon included, and values.
type Pseudo<'a> = Vec<(&'a [u8], &'a [u8])>;

/// Pseudo-header fields and fields; `None` for what `h2` refuses by itself (RFC 9113, 8.2).
pub fn fields(input: &[u8]) -> Option<(Pseudo<'_>, HeaderMap)> {
    let (mut pseudo, mut headers) = (Vec::new(), HeaderMap::new());
    for line in input.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        let start = usize::from(line[0] == b':');
        let colon = start + line[start..].iter().position(|b| *b == b':')?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if start == 1 {
            pseudo.push((name, value));
            continue;
        }
        let name = HeaderName::from_lowercase(name).ok()?;
        let of_connection = ["connection", "transfer-encoding", "upgrade", "keep-alive", "proxy-connection"]
            .contains(&name.as_str());
        if of_connection || name == "te" && value != b"trailers" {
            return None;
        }
        headers.append(name, HeaderValue::from_bytes(value).ok()?);
    }
    Some((pseudo, headers))
}

/// Names and values of the fields of a head.
pub fn texts<'a>(head: &'a [u8], fields: &[Field]) -> Vec<(&'a [u8], &'a [u8])> {
    fields.iter().map(|field| (field.name.of_bytes(head), field.value.of_bytes(head))).collect()
}
