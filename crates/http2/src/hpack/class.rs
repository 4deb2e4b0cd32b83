//! What a field's name means to HTTP/2 itself, and which bytes names and values may have (RFC 9113, 8.2 and 8.3).

use super::parts;

/// What the machine has to know of a field. It is found once for each entry of a table, not once for each use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Nothing.
    Plain,
    Method,
    Scheme,
    Authority,
    Path,
    Protocol,
    Status,
    UnknownPseudo,
    ContentLength,
    Cookie,
    Host,
    Te,
    Priority,
    /// Belongs to a connection of HTTP/1.1.
    OfConnection,
    InvalidName,
    InvalidValue,
    InvalidMethod,
    InvalidScheme,
    InvalidAuthority,
    InvalidPath,
}

impl Class {
    /// That of a name, as it came.
    pub(crate) const fn of_name(name: &[u8]) -> Self {
        match name {
            [b':', ..] => Self::of_pseudo(name),
            b"content-length" => Self::ContentLength,
            b"cookie" => Self::Cookie,
            b"host" => Self::Host,
            b"te" => Self::Te,
            b"priority" => Self::Priority,
            b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => {
                Self::OfConnection
            }
            _ if is_name(name) => Self::Plain,
            _ => Self::InvalidName,
        }
    }

    const fn of_pseudo(name: &[u8]) -> Self {
        match name {
            b":method" => Self::Method,
            b":scheme" => Self::Scheme,
            b":authority" => Self::Authority,
            b":path" => Self::Path,
            b":protocol" => Self::Protocol,
            b":status" => Self::Status,
            _ => Self::UnknownPseudo,
        }
    }

    /// The same, once its value is known.
    #[inline]
    pub(crate) fn with_value(self, value: &[u8]) -> Self {
        match self {
            _ if !is_value(value) => Self::InvalidValue,
            Self::Method if !is_token(value) => Self::InvalidMethod,
            Self::Scheme if !parts::is_scheme(value) => Self::InvalidScheme,
            Self::Authority if !parts::is_authority(value) => Self::InvalidAuthority,
            Self::Path if !parts::is_path(value) => Self::InvalidPath,
            _ => self,
        }
    }

    /// True if another value of that name may be valid.
    pub(crate) fn is_of_the_value(self) -> bool {
        use Class::{InvalidAuthority, InvalidMethod, InvalidPath, InvalidScheme, InvalidValue};
        matches!(self, InvalidValue | InvalidMethod | InvalidScheme | InvalidAuthority | InvalidPath)
    }
}

/// True for the characters of a token (RFC 9110, 5.6.2) in lower case.
const NAME: [bool; 256] = {
    let mut table = [false; 256];
    let allowed = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz";
    let mut at = 0;
    while at < allowed.len() {
        table[allowed[at] as usize] = true;
        at += 1;
    }
    table
};

const fn is_name(name: &[u8]) -> bool {
    let mut at = 0;
    while at < name.len() {
        if !NAME[name[at] as usize] {
            return false;
        }
        at += 1;
    }
    !name.is_empty()
}

/// True for a token, whose letters may have either case.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| NAME[usize::from(byte.to_ascii_lowercase())])
}

/// True for what may be a field's value: no controls but the tab, and no white space at its ends.
#[inline]
pub(crate) fn is_value(value: &[u8]) -> bool {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if is_blank(value.first()) || is_blank(value.last()) {
        return false;
    }
    let (words, rest) = value.as_chunks::<8>();
    words.iter().all(|word| is_clean(u64::from_ne_bytes(*word)) || word.iter().all(is_of_value))
        && rest.iter().all(is_of_value)
}

fn is_of_value(byte: &u8) -> bool {
    *byte >= b' ' && *byte != 0x7f || *byte == b'\t'
}

/// True if all eight bytes are ASCII above the controls, or beyond ASCII; false may be wrong, true never is.
#[inline]
fn is_clean(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 255;
    const TOPS: u64 = ONES << 7;
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    let is_del = word ^ (ONES * 0x7f);
    let del = is_del.wrapping_sub(ONES) & !is_del;
    (below_space | del) & TOPS == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_wherever_the_wrong_byte_stands() {
        for byte in 0..=255u8 {
            let allowed = byte == b'\t' || (b' '..=b'~').contains(&byte) || byte >= 0x80;
            for at in 1..20 {
                let mut value = [b'x'; 21];
                value[at] = byte;
                assert_eq!(is_value(&value), allowed, "{byte:#x} at {at}");
            }
        }
        for wrong in [b" a".as_slice(), b"a ", b"\ta", b"a\t", b" "] {
            assert!(!is_value(wrong));
        }
        assert!(is_value(b"") && is_value(b"a b") && is_value(b"a\tb"));
    }

    #[test]
    fn names_have_a_class() {
        assert_eq!(Class::of_name(b"x-test"), Class::Plain);
        assert_eq!(Class::of_name(b":test"), Class::UnknownPseudo);
        assert_eq!(Class::of_name(b"upgrade"), Class::OfConnection);
        for wrong in ["", "X-Test", "x y", "x:y", "x\0", "x\u{e9}", "x\"", "x\r\ny"] {
            assert_eq!(Class::of_name(wrong.as_bytes()), Class::InvalidName, "{wrong:?}");
        }
    }
}
