//! A subject as text (RFC 4514), in visible ASCII, so that it fits a header field whatever the certificate says.

use std::fmt::Write;

use x509_parser::asn1_rs::ToDer;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The short names of RFC 4514, 3, and a few that people use beside them.
const SHORT_NAMES: [(&str, &str); 14] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.42", "givenName"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// `CN=alice,OU=Shop+L=Bern,O=Example`: the last part of the name first.
pub(crate) fn show(subject: &X509Name<'_>) -> String {
    let parts: Vec<String> =
        subject.iter().map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+")).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    let short = SHORT_NAMES.iter().find(|(known, _)| *known == oid).map(|(_, short)| *short);
    match (short, attribute.as_str()) {
        (Some(short), Ok(text)) => format!("{short}={}", escape(text)),
        (short, _) => {
            let der = attribute.attr_value().to_der_vec().unwrap_or_default();
            let hex: String = der.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{}=#{hex}", short.unwrap_or(&oid))
        }
    }
}

/// RFC 4514, 2.4. What is no visible ASCII is written in hexadecimal, which it allows for every byte.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.len().saturating_sub(1);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' => out.extend(['\\', char::from(byte)]),
            // Not `\ `: a field's value loses the spaces at its ends.
            b' ' if at == 0 || at == last => out.push_str("\\20"),
            b'#' if at == 0 => out.push_str("\\#"),
            b' '..=b'~' => out.push(char::from(byte)),
            // Writing to a String cannot fail.
            _ => drop(write!(out, "\\{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_means_something_in_a_name_is_escaped() {
        let check = |text: &str, expected: &str| assert_eq!(escape(text), expected, "{text:?}");
        check("alice", "alice");
        check("", "");
        check("Smith, John", "Smith\\, John");
        check(" #a ", "\\20#a\\20");
        check(" ", "\\20");
        check("#a#", "\\#a#");
        check("a=b+c\"d\\e;f<g>h", "a=b\\+c\\\"d\\\\e\\;f\\<g\\>h");
        check("Zo\u{eb}\r\nx", "Zo\\C3\\AB\\0D\\0Ax");
    }

    /// What RFC 4514, 3 says of reading it back.
    fn unescape(text: &str) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'\\' => match bytes.next()? {
                    first if first.is_ascii_hexdigit() => {
                        let pair = [first, bytes.next()?];
                        out.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
                    }
                    escaped => out.push(escaped),
                },
                byte => out.push(byte),
            }
        }
        Some(out)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_text_becomes_visible_and_can_be_read_back(text in any::<String>()) {
            let shown = escape(&text);
            prop_assert!(shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(shown.trim(), &*shown);
            prop_assert_eq!(unescape(&shown), Some(text.into_bytes()));
        }
    }
}
