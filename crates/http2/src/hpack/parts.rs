//! Which bytes the pseudo-header fields of a request may have (RFC 9113, 8.3.1).

/// What a byte may be part of.
const PATH: u8 = 1;
const AUTHORITY: u8 = 2;

/// By byte: paths have neither controls nor spaces nor fragments; authorities host and port at most, since user information
/// must not occur and all else would end the authority of a URI.
static PARTS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = b' ' as usize + 1;
    while byte < table.len() {
        table[byte] = PATH | AUTHORITY;
        byte += 1;
    }
    table[0x7f] = 0;
    table[b'#' as usize] = 0;
    let (ends, mut at) = (b"/?@\\\"<>^`{|}", 0);
    while at < ends.len() {
        table[ends[at] as usize] = PATH;
        at += 1;
    }
    table
};

fn is_all(text: &[u8], part: u8) -> bool {
    text.iter().fold(part, |all, byte| all & PARTS[usize::from(*byte)]) != 0
}

/// True for what may be `:authority`.
pub(super) fn is_authority(text: &[u8]) -> bool {
    !text.is_empty() && is_all(text, AUTHORITY)
}

/// True for a `:path` without what no path may have.
pub(super) fn is_path(text: &[u8]) -> bool {
    is_all(text, PATH)
}

/// True for what may be `:scheme`.
pub(super) fn is_scheme(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_alphabetic)
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
}
