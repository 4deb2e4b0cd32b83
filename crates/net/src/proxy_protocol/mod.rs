//! The PROXY protocol, versions 1 and 2: the header by which a proxy names the client whose connection it passes on.
//!
//! The specification is `proxy-protocol.txt` of HAProxy. Reading and writing are pure;
//! [`Io::read_proxy_header`](crate::Io::read_proxy_header) alone touches a socket.

mod codec;
mod crc32c;
mod header;
mod receive;
mod tlv;
mod v1;
mod v2;

pub use codec::{HEADER_MAX, Reader};
pub use header::{Carried, Header, HeaderError, Tls, Tlvs, Version};
pub use receive::ReceiveError;

#[cfg(test)]
mod tests;
