//! How long a body is (RFC 9112, section 6): the one place that decides it, for requests and responses.

use super::field::{Field, Known, KnownSet, is_token};
use crate::http::version::Version;

/// What delimits a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// This many bytes.
    Length(u64),
    /// Chunks, up to the empty one.
    Chunked,
    /// The close of the connection; only a response can be like that.
    UntilClose,
}

/// Why the body of a message cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FramingError {
    /// Its length cannot be known for certain.
    Ambiguous(&'static str),
    /// It has a coding besides chunked, which says nothing against its length (RFC 9112, 6.1).
    Coded,
}

impl FramingError {
    /// In a few words.
    pub fn why(self) -> &'static str {
        match self {
            Self::Ambiguous(why) => why,
            Self::Coded => "transfer-encoding other than chunked is not supported",
        }
    }
}

/// The framing of a request, by its fields, which have the known ones in this set.
///
/// # Errors
/// Anything that another reader could understand in another way.
pub fn of_request(
    bytes: &[u8],
    (fields, known): (&[Field], KnownSet),
    version: Version,
) -> Result<Framing, FramingError> {
    Ok(declared(bytes, (fields, known), version)?.unwrap_or(Framing::Empty))
}

/// The framing of the final response with `status` to a request, which was a HEAD or not.
///
/// # Errors
/// Anything that another reader could understand in another way.
pub fn of_response(
    bytes: &[u8],
    (fields, known): (&[Field], KnownSet),
    version: Version,
    status: u16,
    to_head: bool,
) -> Result<Framing, FramingError> {
    let declared = declared(bytes, (fields, known), version)?;
    if to_head || matches!(status, 100..=199 | 204 | 304) {
        return Ok(Framing::Empty);
    }
    Ok(declared.unwrap_or(Framing::UntilClose))
}

/// What `Transfer-Encoding` and `Content-Length` say, if there are any.
#[inline]
fn declared(
    bytes: &[u8],
    (fields, known): (&[Field], KnownSet),
    version: Version,
) -> Result<Option<Framing>, FramingError> {
    let mut framing = None;
    if !known.holds(Known::ContentLength) && !known.holds(Known::TransferEncoding) {
        return Ok(None);
    }
    for field in fields {
        let value = field.value.of_bytes(bytes);
        let this = match field.known {
            Known::ContentLength => Framing::Length(length(value)?),
            Known::TransferEncoding if version == Version::Http10 => {
                return Err(FramingError::Ambiguous("transfer-encoding in HTTP/1.0"));
            }
            Known::TransferEncoding if only_chunked(value) => Framing::Chunked,
            Known::TransferEncoding => return Err(codings(bytes, fields)),
            _ => continue,
        };
        // Even two equal lengths come from a sender that hopes to be read in two ways.
        if framing.replace(this).is_some() {
            return Err(FramingError::Ambiguous("more than one content-length or transfer-encoding"));
        }
    }
    Ok(framing)
}

/// What is wrong with codings that are not chunked alone.
#[cold]
fn codings(bytes: &[u8], fields: &[Field]) -> FramingError {
    let named = |known| fields.iter().filter(move |f| f.known == known).map(|f| f.value.of_bytes(bytes));
    let mut codings =
        named(Known::TransferEncoding).flat_map(|v| v.split(|b| *b == b',')).map(<[u8]>::trim_ascii);
    let ends_clearly = codings.next_back().is_some_and(only_chunked);
    let is_plain = |coding: &[u8]| {
        is_token(coding) && !only_chunked(coding) && !coding.eq_ignore_ascii_case(b"identity")
    };
    if ends_clearly && codings.all(is_plain) && named(Known::ContentLength).next().is_none() {
        FramingError::Coded
    } else {
        FramingError::Ambiguous("transfer-encoding other than chunked")
    }
}

/// Not even an empty list member beside it (RFC 9112, 6.1).
fn only_chunked(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"chunked")
}

/// Digits only: no sign, no list, no white space inside (RFC 9110, 8.6).
pub fn length(value: &[u8]) -> Result<u64, FramingError> {
    const REFUSED: FramingError = FramingError::Ambiguous("content-length is not a number");
    // 19 digits always fit.
    if value.is_empty() || value.len() > 19 {
        return Err(REFUSED);
    }
    value.iter().try_fold(0_u64, |sum, b| match b {
        b'0'..=b'9' => Ok(sum * 10 + u64::from(b - b'0')),
        _ => Err(REFUSED),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{HeadLimits, parse_request};

    fn framing(lines: &str) -> Result<Framing, FramingError> {
        let text = format!("POST / HTTP/1.1\r\n{lines}\r\n");
        let mut fields = Vec::new();
        let limits = HeadLimits { bytes: 4096, fields: 100, uri: 100 };
        let head = parse_request(text.as_bytes(), limits, &mut fields).unwrap().unwrap();
        of_request(text.as_bytes(), (&fields, head.known), head.version)
    }

    #[test]
    fn what_is_clear_is_taken() {
        assert_eq!(framing(""), Ok(Framing::Empty));
        assert_eq!(framing("Content-Length: 0\r\n"), Ok(Framing::Length(0)));
        assert_eq!(framing("content-length:  42  \r\n"), Ok(Framing::Length(42)));
        assert_eq!(framing("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked));
    }

    #[test]
    fn a_coding_before_chunked_is_clear_and_not_supported() {
        for coded in [
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: x-a ,gzip,Chunked\r\n",
            "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        ] {
            assert_eq!(framing(coded), Err(FramingError::Coded), "{coded:?}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for bad in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
            "Content-Length: 1\r\nContent-Length: 2\r\n",
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: 0x1\r\n",
            "Content-Length: 1 1\r\n",
            "Content-Length:\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Transfer-Encoding: gzip\r\n",
            "Transfer-Encoding: chunked, gzip\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n",
            "Transfer-Encoding: gzip, chunked\r\nContent-Length: 1\r\n",
            "Content-Length: 1\r\nTransfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: gzip,, chunked\r\n",
            "Transfer-Encoding: \"gzip\", chunked\r\n",
            "Transfer-Encoding: identity, chunked\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: ,chunked\r\n",
            "Transfer-Encoding: chunked,\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: \"chunked\"\r\n",
            "Transfer-Encoding:\r\n",
        ] {
            assert!(matches!(framing(bad), Err(FramingError::Ambiguous(_))), "{bad:?}: {:?}", framing(bad));
        }
    }
}
