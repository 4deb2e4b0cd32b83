//! Version 2: binary, with TLVs.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::header::{Carried, Header, HeaderError, same_family};
use super::tlv;

/// How every header begins.
pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of what every header has: the signature, version and command, family, and the length of what follows.
pub(super) const FIXED: usize = 16;
/// Bytes of the longest addresses: two paths of unix sockets.
pub(super) const ADDRESSES_MAX: usize = 216;
/// Bytes of TLVs that are read.
pub(super) const TLVS_MAX: usize = 4096;

/// Version and command.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
/// Address family and transport.
const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const UDP4: u8 = 0x12;
const TCP6: u8 = 0x21;
const UDP6: u8 = 0x22;
const UNIX_STREAM: u8 = 0x31;
const UNIX_DATAGRAM: u8 = 0x32;

/// The length of the header; `None` until it is said.
pub(super) fn measure(bytes: &[u8]) -> Result<Option<usize>, HeaderError> {
    let Some([command, _, high, low]) = bytes.get(SIGNATURE.len()..FIXED) else { return Ok(None) };
    if !matches!(*command, LOCAL | PROXY) {
        return Err(HeaderError::Malformed("another version than 2, or an unknown command"));
    }
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if length > ADDRESSES_MAX + TLVS_MAX {
        return Err(HeaderError::Malformed("more than 4312 bytes of addresses and TLVs"));
    }
    Ok(Some(FIXED + length))
}

/// Reads a whole header.
pub(super) fn read(bytes: &[u8]) -> Result<Header, HeaderError> {
    let (fixed, block) = bytes.split_at(FIXED);
    // What follows the command of a sender's own connection is to be ignored, whatever it is.
    if fixed[12] == LOCAL {
        return Ok(Header::local());
    }
    let (carried, length) = match fixed[13] {
        // Nothing says where the TLVs of an unknown family begin.
        UNSPECIFIED => return Ok(Header::local()),
        TCP4 | UDP4 => (ipv4(block), 12),
        TCP6 | UDP6 => (ipv6(block), 36),
        UNIX_STREAM | UNIX_DATAGRAM => {
            ((block.len() >= ADDRESSES_MAX).then_some(Carried::Unix), ADDRESSES_MAX)
        }
        _ => return Err(HeaderError::Malformed("an unknown address family or transport")),
    };
    let carried = carried.ok_or(HeaderError::Malformed("fewer bytes than its addresses have"))?;
    let tlvs = tlv::read(bytes, FIXED + length)?;
    Ok(Header { carried, tlvs })
}

fn ipv4(block: &[u8]) -> Option<Carried> {
    let bytes: &[u8; 12] = block.first_chunk()?;
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *bytes;
    let (source, destination) = (Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, f, g, h));
    let (from, to) = (u16::from_be_bytes([i, j]), u16::from_be_bytes([k, l]));
    Some(Carried::between((source, from).into(), (destination, to).into()))
}

fn ipv6(block: &[u8]) -> Option<Carried> {
    let (source, rest) = block.split_first_chunk::<16>()?;
    let (destination, rest) = rest.split_first_chunk::<16>()?;
    let [a, b, c, d] = *rest.first_chunk()?;
    let (from, to) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    Some(Carried::between((Ipv6Addr::from(*source), from).into(), (Ipv6Addr::from(*destination), to).into()))
}

/// Reads the header that a datagram begins with, and tells how many bytes that is.
pub(super) fn read_datagram(datagram: &[u8]) -> Result<(Header, usize), HeaderError> {
    if !datagram.starts_with(SIGNATURE) {
        return Err(HeaderError::Missing);
    }
    const CUT: HeaderError = HeaderError::Malformed("the datagram ends within it");
    let length = measure(datagram)?.ok_or(CUT)?;
    let header = read(datagram.get(..length).ok_or(CUT)?)?;
    Ok((header, length))
}

/// Appends the header of a datagram.
pub(super) fn write_datagram(header: &Header, out: &mut Vec<u8>) {
    let start = out.len();
    write(header, out);
    let family = &mut out[start + SIGNATURE.len() + 1];
    // Of each family, the transport for datagrams is the next number.
    *family += u8::from(*family != UNSPECIFIED);
}

/// Appends the header.
pub(super) fn write(header: &Header, out: &mut Vec<u8>) {
    out.extend_from_slice(SIGNATURE);
    let start = out.len();
    match header.carried {
        Carried::Peer => out.extend_from_slice(&[LOCAL, UNSPECIFIED, 0, 0]),
        Carried::Unix => {
            out.extend_from_slice(&[PROXY, UNIX_STREAM, 0, 0]);
            // Without paths: a client over a unix socket seldom has one.
            out.resize(out.len() + ADDRESSES_MAX, 0);
        }
        Carried::Ip { source, destination } => addresses(same_family(source, destination), out),
    }
    tlv::write(&header.tlvs, out);
    let length = out.len() - start - (FIXED - SIGNATURE.len());
    // The TLVs are short: `tlv::write` sees to it.
    let [high, low] = u16::try_from(length).unwrap_or_default().to_be_bytes();
    (out[start + 2], out[start + 3]) = (high, low);
}

fn addresses(pair: (SocketAddr, SocketAddr), out: &mut Vec<u8>) {
    let (from, to) = (pair.0.port(), pair.1.port());
    match pair {
        (SocketAddr::V4(source), SocketAddr::V4(destination)) => {
            out.extend_from_slice(&[PROXY, TCP4, 0, 0]);
            out.extend_from_slice(&source.ip().octets());
            out.extend_from_slice(&destination.ip().octets());
        }
        (source, destination) => {
            out.extend_from_slice(&[PROXY, TCP6, 0, 0]);
            for address in [source, destination] {
                let octets = match address {
                    SocketAddr::V4(address) => address.ip().to_ipv6_mapped().octets(),
                    SocketAddr::V6(address) => address.ip().octets(),
                };
                out.extend_from_slice(&octets);
            }
        }
    }
    out.extend_from_slice(&from.to_be_bytes());
    out.extend_from_slice(&to.to_be_bytes());
}
