//! HTTP/1.1 fields read as simply and strictly as can be: what the real reader accepted must look the same here.

use evenkeel_proxy::http::field::{Field, Known};
use evenkeel_proxy::http::framing::Framing;

/// Every field has a token for a name and a value without control characters, and all of the head's lines are there.
pub fn check_fields(head: &[u8], fields: &[Field]) {
    for field in fields {
        let name = field.name.of_bytes(head);
        assert!(!name.is_empty() && name.iter().all(|b| is_token(*b)), "name {name:?}");
        let value = field.value.of_bytes(head);
        assert!(is_text(value), "value {value:?}");
        assert_eq!(value, value.trim_ascii(), "white space around a value");
        assert_eq!(field.known, Known::of(name));
    }
    assert!(head.ends_with(b"\r\n\r\n") || head == b"\r\n");
    assert!(!head.windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r'), "a bare line feed");
    assert!(!head.windows(2).any(|pair| pair[0] == b'\r' && pair[1] != b'\n'), "a bare carriage return");
}

/// What the fields say about the body's length, each time that they say it.
pub fn declared(head: &[u8], fields: &[Field]) -> Vec<Framing> {
    let mut declared = Vec::new();
    for field in fields {
        let name = field.name.of_bytes(head).to_ascii_lowercase();
        let value = String::from_utf8_lossy(field.value.of_bytes(head)).to_ascii_lowercase();
        match &name[..] {
            b"content-length" => {
                assert!(value.bytes().all(|b| b.is_ascii_digit()), "length {value:?}");
                declared.push(Framing::Length(value.parse().expect("a length that was accepted fits")));
            }
            b"transfer-encoding" => {
                assert_eq!(value, "chunked");
                declared.push(Framing::Chunked);
            }
            _ => {}
        }
    }
    declared
}

/// Text without control characters but for the tab (RFC 9110, 5.5).
pub fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| !b.is_ascii_control() || *b == b'\t')
}

/// A `tchar` (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
