//! TLVs of version 2: what else is known of a connection, each a type, a length and a value.

use super::crc32c;
use super::header::{HeaderError, Tls, Tlvs};

const ALPN: u8 = 0x01;
const AUTHORITY: u8 = 0x02;
const CRC32C: u8 = 0x03;
const UNIQUE_ID: u8 = 0x05;
const TLS: u8 = 0x20;
const TLS_VERSION: u8 = 0x21;
const TLS_CN: u8 = 0x22;
const TLS_CIPHER: u8 = 0x23;

/// Bits of the first byte of `TLS`.
const OVER_TLS: u8 = 0x01;
const CERTIFICATE_NOW: u8 = 0x02;
const CERTIFICATE_OF_SESSION: u8 = 0x04;

/// Bytes of one value that is sent, so that all of them together stay within what receivers take.
const VALUE_MAX: usize = 255;

/// Reads the TLVs that begin at `start` of a whole header, and compares its checksum if there is one.
pub(super) fn read(header: &[u8], start: usize) -> Result<Tlvs, HeaderError> {
    let mut tlvs = Tlvs::default();
    let mut at = start;
    while at < header.len() {
        let (kind, value) = next(&header[at..])?;
        let value_at = at + 3;
        match kind {
            ALPN => tlvs.alpn = Some(value.into()),
            AUTHORITY => tlvs.authority = Some(value.into()),
            UNIQUE_ID => tlvs.unique_id = Some(value.into()),
            TLS => tlvs.tls = Some(read_tls(value)?),
            CRC32C => compare(header, value_at, value)?,
            _ => {}
        }
        at = value_at + value.len();
    }
    Ok(tlvs)
}

fn next(bytes: &[u8]) -> Result<(u8, &[u8]), HeaderError> {
    const CUT: HeaderError = HeaderError::Malformed("a TLV that ends behind the header");
    let ([kind, high, low], rest) = bytes.split_first_chunk::<3>().ok_or(CUT)?;
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    rest.get(..length).map(|value| (*kind, value)).ok_or(CUT)
}

/// The checksum of the header with zeros in place of the checksum.
fn compare(header: &[u8], at: usize, value: &[u8]) -> Result<(), HeaderError> {
    let said: [u8; 4] =
        value.try_into().map_err(|_| HeaderError::Malformed("a checksum that has not 4 bytes"))?;
    let sum = crc32c::of([&header[..at], &[0; 4], &header[at + 4..]]);
    if sum == u32::from_be_bytes(said) { Ok(()) } else { Err(HeaderError::Malformed("a wrong checksum")) }
}

fn read_tls(value: &[u8]) -> Result<Tls, HeaderError> {
    let ([client, verify @ ..], mut rest) =
        value.split_first_chunk::<5>().ok_or(HeaderError::Malformed("a TLS TLV of less than 5 bytes"))?;
    let has_certificate = client & (CERTIFICATE_NOW | CERTIFICATE_OF_SESSION) != 0;
    let mut tls = Tls { is_verified: has_certificate && *verify == [0; 4], ..Tls::default() };
    while !rest.is_empty() {
        let (kind, value) = next(rest)?;
        match kind {
            TLS_VERSION => tls.version = Some(value.into()),
            TLS_CN => tls.common_name = Some(value.into()),
            TLS_CIPHER => tls.cipher = Some(value.into()),
            _ => {}
        }
        rest = &rest[3 + value.len()..];
    }
    Ok(tls)
}

/// Appends them. A value that is too long is left out.
pub(super) fn write(tlvs: &Tlvs, out: &mut Vec<u8>) {
    one(ALPN, tlvs.alpn.as_deref(), out);
    one(AUTHORITY, tlvs.authority.as_deref(), out);
    one(UNIQUE_ID, tlvs.unique_id.as_deref(), out);
    let Some(tls) = &tlvs.tls else { return };
    let certificate = if tls.is_verified { CERTIFICATE_NOW | CERTIFICATE_OF_SESSION } else { 0 };
    let start = out.len();
    out.extend_from_slice(&[TLS, 0, 0, OVER_TLS | certificate]);
    // Zero is: verified.
    out.extend_from_slice(&u32::from(!tls.is_verified).to_be_bytes());
    one(TLS_VERSION, tls.version.as_deref(), out);
    one(TLS_CN, tls.common_name.as_deref(), out);
    one(TLS_CIPHER, tls.cipher.as_deref(), out);
    let length = u16::try_from(out.len() - start - 3).unwrap_or_default();
    out[start + 1..start + 3].copy_from_slice(&length.to_be_bytes());
}

fn one(kind: u8, value: Option<&[u8]>, out: &mut Vec<u8>) {
    let Some(value) = value.filter(|value| value.len() <= VALUE_MAX) else { return };
    let length = u16::try_from(value.len()).unwrap_or_default();
    out.push(kind);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
}
