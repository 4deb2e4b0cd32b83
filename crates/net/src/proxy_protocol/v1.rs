//! Version 1: one line of text.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use super::header::{Carried, Header, HeaderError, Tlvs, same_family};

/// How every header begins.
pub(super) const PREFIX: &[u8] = b"PROXY ";
/// Bytes of the longest line, with its end.
const LINE_MAX: usize = 107;

/// The length of the line; `None` until its end is there.
pub(super) fn measure(bytes: &[u8]) -> Result<Option<usize>, HeaderError> {
    let end = bytes.iter().take(LINE_MAX).position(|byte| *byte == b'\n');
    match end {
        None if bytes.len() >= LINE_MAX => Err(HeaderError::Malformed("a line of more than 107 bytes")),
        end => Ok(end.map(|end| end + 1)),
    }
}

/// Reads a whole line. Every line has exactly one meaning: no more than one space, no zero or sign before a port.
pub(super) fn read(line: &[u8]) -> Result<Header, HeaderError> {
    const MALFORMED: HeaderError =
        HeaderError::Malformed("expected PROXY TCP4 or TCP6, two addresses, two ports");
    let said = line.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(b"\r\n"));
    let said = said.ok_or(HeaderError::Malformed("a line that does not end in CR LF"))?;
    let said = std::str::from_utf8(said).map_err(|_| MALFORMED)?;
    // What follows is to be ignored.
    if said == "UNKNOWN" || said.starts_with("UNKNOWN ") {
        return Ok(Header::local());
    }
    let mut words = said.split(' ');
    let mut word = || words.next().ok_or(MALFORMED);
    let (family, source, destination) = (word()?, word()?, word()?);
    let (from, to) = (word()?, word()?);
    let address = |text: &str| -> Result<IpAddr, HeaderError> {
        match family {
            "TCP4" => text.parse().map(IpAddr::V4).map_err(|_| MALFORMED),
            "TCP6" => text.parse().map(IpAddr::V6).map_err(|_| MALFORMED),
            _ => Err(MALFORMED),
        }
    };
    let source = SocketAddr::new(address(source)?, port(from).ok_or(MALFORMED)?);
    let destination = SocketAddr::new(address(destination)?, port(to).ok_or(MALFORMED)?);
    if words.next().is_some() {
        return Err(MALFORMED);
    }
    Ok(Header { carried: Carried::between(source, destination), tlvs: Tlvs::default() })
}

fn port(text: &str) -> Option<u16> {
    let is_plain = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| is_plain)
}

/// Appends the line.
pub(super) fn write(carried: &Carried, out: &mut Vec<u8>) {
    let Carried::Ip { source, destination } = *carried else {
        return out.extend_from_slice(b"PROXY UNKNOWN\r\n");
    };
    let (source, destination) = same_family(source, destination);
    let family = if source.is_ipv4() { 4 } else { 6 };
    // Writing to a vector does not fail.
    let _ = write!(
        out,
        "PROXY TCP{family} {} {} {} {}\r\n",
        source.ip(),
        destination.ip(),
        source.port(),
        destination.port()
    );
}
