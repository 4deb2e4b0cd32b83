//! Headers as bytes, of whichever version: read from any pieces, and written.

use super::header::{Header, HeaderError, Version};
use super::{v1, v2};

/// Bytes of the longest header: one of version 2 with its addresses, which are those of unix sockets at most, and 4 KiB of
/// TLVs. What proxies send is a tenth of that.
pub const HEADER_MAX: usize = v2::FIXED + v2::ADDRESSES_MAX + v2::TLVS_MAX;

impl Header {
    /// Appends it. Version 1 has no TLVs, and no addresses of unix sockets: it says `UNKNOWN` of those.
    pub fn write(&self, version: Version, out: &mut Vec<u8>) {
        match version {
            Version::V1 => v1::write(&self.carried, out),
            Version::V2 => v2::write(self, out),
        }
    }

    /// Appends it in version 2, as it stands at the start of a datagram.
    pub fn write_datagram(&self, out: &mut Vec<u8>) {
        v2::write_datagram(self, out);
    }

    /// Reads the header of version 2 that a datagram begins with, and tells how many bytes that is. Version 1 knows no datagrams.
    ///
    /// # Errors
    /// The datagram does not begin with one.
    pub fn read_datagram(datagram: &[u8]) -> Result<(Self, usize), HeaderError> {
        v2::read_datagram(datagram)
    }
}

/// Reads one header from bytes that come in any pieces, and takes none that follows it.
#[derive(Debug, Default)]
pub struct Reader {
    bytes: Vec<u8>,
}

impl Reader {
    /// Takes what belongs to the header from the start of `bytes`, and tells how many bytes that were. With the last of them
    /// comes the header; until then all of `bytes` are taken.
    ///
    /// # Errors
    /// They are no header.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(usize, Option<Header>), HeaderError> {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(HEADER_MAX - before)]);
        let length = measure(&self.bytes)?;
        match length.filter(|length| *length <= self.bytes.len()) {
            None => Ok((self.bytes.len() - before, None)),
            Some(length) => {
                self.bytes.truncate(length);
                let header = if self.bytes.starts_with(v1::PREFIX) { v1::read } else { v2::read };
                Ok((length - before, Some(header(&self.bytes)?)))
            }
        }
    }

    /// True if nothing has come.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// How long a header is that begins so; `None` if more must come before that is known.
fn measure(bytes: &[u8]) -> Result<Option<usize>, HeaderError> {
    if begins(bytes, v1::PREFIX) {
        return v1::measure(bytes);
    }
    if begins(bytes, v2::SIGNATURE) {
        return v2::measure(bytes);
    }
    Err(HeaderError::Missing)
}

/// True if `bytes` are the start of `whole`, or the other way round.
fn begins(bytes: &[u8], whole: &[u8]) -> bool {
    let common = bytes.len().min(whole.len());
    bytes[..common] == whole[..common]
}
