//! The static table of HPACK (RFC 7541, appendix A), and finding a name in it.

use super::class::Class;

/// A field that a table holds, ready to be copied: a line of HTTP/1.1 with its CRLF.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'t> {
    pub(crate) bytes: &'t [u8],
    pub(crate) name_len: usize,
    pub(crate) value_len: usize,
    pub(crate) class: Class,
    /// The first entry of the static table with that name, from 1; 0 if there is none.
    pub(crate) index: u8,
}

impl<'t> Line<'t> {
    pub(crate) fn name(&self) -> &'t [u8] {
        &self.bytes[..self.name_len]
    }

    pub(crate) fn value(&self) -> &'t [u8] {
        let start = self.name_len + 2;
        &self.bytes[start..start + self.value_len]
    }
}

/// Entries of the table.
pub(crate) const LEN: usize = 61;

const fn line(bytes: &'static [u8], index: u8) -> Line<'static> {
    // A name may begin with a colon.
    let mut name_len = 1;
    while bytes[name_len] != b':' {
        name_len += 1;
    }
    let value_len = bytes.len() - name_len - 4;
    let class = match Class::of_name(bytes.split_at(name_len).0) {
        Class::Authority if value_len == 0 => Class::InvalidAuthority,
        class => class,
    };
    Line { bytes, name_len, value_len, class, index }
}

macro_rules! lines {
    ($($index:literal $line:literal)*) => { [$(line(concat!($line, "\r\n").as_bytes(), $index)),*] };
}

/// The entries; that of index 1 is the first.
#[rustfmt::skip]
pub(crate) static LINES: [Line<'static>; LEN] = lines! {
    1 ":authority: " 2 ":method: GET" 2 ":method: POST" 4 ":path: /" 4 ":path: /index.html" 6 ":scheme: http"
    6 ":scheme: https" 8 ":status: 200" 8 ":status: 204" 8 ":status: 206" 8 ":status: 304" 8 ":status: 400"
    8 ":status: 404" 8 ":status: 500" 15 "accept-charset: " 16 "accept-encoding: gzip, deflate"
    17 "accept-language: " 18 "accept-ranges: " 19 "accept: " 20 "access-control-allow-origin: " 21 "age: "
    22 "allow: " 23 "authorization: " 24 "cache-control: " 25 "content-disposition: " 26 "content-encoding: "
    27 "content-language: " 28 "content-length: " 29 "content-location: " 30 "content-range: "
    31 "content-type: " 32 "cookie: " 33 "date: " 34 "etag: " 35 "expect: " 36 "expires: " 37 "from: "
    38 "host: " 39 "if-match: " 40 "if-modified-since: " 41 "if-none-match: " 42 "if-range: "
    43 "if-unmodified-since: " 44 "last-modified: " 45 "link: " 46 "location: " 47 "max-forwards: "
    48 "proxy-authenticate: " 49 "proxy-authorization: " 50 "range: " 51 "referer: " 52 "refresh: "
    53 "retry-after: " 54 "server: " 55 "set-cookie: " 56 "strict-transport-security: "
    57 "transfer-encoding: " 58 "user-agent: " 59 "vary: " 60 "via: " 61 "www-authenticate: "
};

/// Slots of the table of names.
const SLOTS: usize = 256;

/// By the hash of a name, where its first entry is; 0 for an empty slot. Two names never share one.
static NAMES: [u8; SLOTS] = {
    let mut slots = [0; SLOTS];
    let mut at = 0;
    while at < LEN {
        let Line { bytes, name_len, index, .. } = LINES[at];
        if index as usize == at + 1 {
            let slot = slot(hash(bytes.split_at(name_len).0));
            assert!(slots[slot] == 0, "two names share a slot: choose another factor");
            slots[slot] = index;
        }
        at += 1;
    }
    slots
};

const fn slot(hash: u32) -> usize {
    (hash >> 24) as usize
}

/// A hash of a name, by which it is found here and in the encoder's table.
#[inline]
pub(crate) const fn hash(name: &[u8]) -> u32 {
    let (first, last) = ends(name);
    let mixed = (first ^ last.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ name.len() as u64;
    (mixed.wrapping_mul(FACTOR) >> 32) as u32
}

/// Chosen so that the names of the static table have slots of their own.
const FACTOR: u64 = 0x0cbb_eab0_bc9a_0e0d;

/// The first and the last eight bytes, which overlap in short names.
const fn ends(name: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        return (u32::from_le_bytes(*first) as u64, u32::from_le_bytes(*last) as u64);
    }
    let (mut bytes, mut at) = (0, 0);
    while at < name.len() {
        bytes = bytes << 8 | name[at] as u64;
        at += 1;
    }
    (bytes, 0)
}

/// The first entry with the name of that hash, from 1; 0 if there is none.
#[inline]
pub(crate) fn find_name(name: &[u8], hash: u32) -> u8 {
    let index = NAMES[slot(hash)];
    if index > 0 && LINES[usize::from(index) - 1].name() == name { index } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_found_at_its_first_entry() {
        for (at, line) in LINES.iter().enumerate() {
            let first = LINES.iter().position(|other| other.name() == line.name()).unwrap() + 1;
            assert_eq!(usize::from(line.index), first, "entry {}", at + 1);
            assert_eq!(find_name(line.name(), hash(line.name())), line.index);
            assert_eq!([line.name(), b": ", line.value(), b"\r\n"].concat(), line.bytes);
        }
        for other in [b"".as_slice(), b"x", b"x-test", b":protocol", b"contentXlength", b"hosT"] {
            assert_eq!(find_name(other, hash(other)), 0);
        }
    }
}
