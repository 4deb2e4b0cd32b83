//! Trailers on their way through: read strictly, and rid of what must never stand in one (RFC 9110, 6.5.1).

use super::field::{Field, Known};
use super::head::{HeadError, HeadLimits, parse_trailers};
use super::write::copy_fields;

/// Fields, beyond those that we know anyway, that decide what a message is or who may send it.
const REFUSED: [&str; 14] = [
    "authorization",
    "cache-control",
    "content-encoding",
    "content-range",
    "content-type",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "retry-after",
    "trailer",
    "vary",
    "via",
    "www-authenticate",
];

/// The section to pass on, with its empty line; nothing if no field is left. `is_ours` says of which names the balancer
/// disposes.
///
/// # Errors
/// It breaks the grammar, or has more fields than allowed.
pub fn pass(
    section: &[u8],
    limits: HeadLimits,
    is_ours: impl Fn(&[u8]) -> bool,
) -> Result<Vec<u8>, HeadError> {
    let mut out = Vec::new();
    if section.is_empty() {
        return Ok(out);
    }
    let mut fields = Vec::new();
    parse_trailers(section, limits, &mut fields)?;
    copy_fields(&mut out, section, section.len(), &fields, |field| {
        may_trail(section, field) && !is_ours(field.name.of_bytes(section))
    });
    if !out.is_empty() {
        out.extend_from_slice(b"\r\n");
    }
    Ok(out)
}

/// What we know by name, but for `Date`, frames a message, routes it, or says who speaks: none of it may come late.
fn may_trail(section: &[u8], field: &Field) -> bool {
    let name = field.name.of_bytes(section);
    matches!(field.known, Known::Other | Known::Date)
        && !REFUSED.iter().any(|refused| name.eq_ignore_ascii_case(refused.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { bytes: 1024, fields: 10, uri: 0 };

    #[test]
    fn what_may_trail_passes_and_the_rest_does_not() {
        let is_ours = |name: &[u8]| name == b"x-ours";
        let pass =
            |text: &str| pass(text.as_bytes(), LIMITS, is_ours).map(|out| String::from_utf8(out).unwrap());
        assert_eq!(pass("").unwrap(), "");
        assert_eq!(pass("Digest: x\r\n\r\n").unwrap(), "Digest: x\r\n\r\n");
        assert_eq!(
            pass("A: 1\r\nContent-Length: 3\r\nx-ours: 4\r\nB: 2\r\n\r\n").unwrap(),
            "A: 1\r\nB: 2\r\n\r\n"
        );
        for refused in
            ["Transfer-Encoding: chunked", "host: x", "Connection: close", "Trailer: a", "x-forwarded-for: 1"]
        {
            assert_eq!(pass(&format!("{refused}\r\n\r\n")).unwrap(), "", "{refused}");
        }
        for bad in ["no colon\r\n\r\n", "x y: z\r\n\r\n", "a: b\r\n c\r\n\r\n"] {
            assert!(pass(bad).is_err(), "{bad:?}");
        }
    }
}
