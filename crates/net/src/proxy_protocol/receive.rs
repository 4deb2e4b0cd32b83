//! Reading a header from a connection, and not one byte of what follows: TLS or a request, which others read.

use std::fmt;
use std::future::poll_fn;
use std::io;

use super::codec::{HEADER_MAX, Reader};
use super::header::{Header, HeaderError};
use crate::io::Io;

/// Why no header came.
#[derive(Debug)]
pub enum ReceiveError {
    /// The peer sent something else.
    Header(HeaderError),
    /// The peer closed the connection within the header.
    Cut,
    /// The peer closed the connection without a byte, as a check of the port does.
    Closed,
    /// The connection failed.
    Io(io::Error),
}

impl fmt::Display for ReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(error) => error.fmt(f),
            Self::Cut => f.write_str("the peer closed the connection within the PROXY header"),
            Self::Closed => f.write_str("the peer closed the connection without a PROXY header"),
            Self::Io(error) => write!(f, "the connection failed before the PROXY header: {error}"),
        }
    }
}

impl Io {
    /// Reads the PROXY header that the connection must begin with. There is no timeout here.
    ///
    /// # Errors
    /// No header came, or a malformed one.
    pub async fn read_proxy_header(&self) -> Result<Header, ReceiveError> {
        let mut reader = Reader::default();
        let mut bytes = vec![0; HEADER_MAX];
        loop {
            // Looks before it takes, because only the bytes tell where the header ends.
            let come = poll_fn(|cx| self.poll_look(cx, &mut bytes)).await.map_err(ReceiveError::Io)?;
            if come == 0 {
                return Err(if reader.is_empty() { ReceiveError::Closed } else { ReceiveError::Cut });
            }
            let (taken, header) = reader.take(&bytes[..come]).map_err(ReceiveError::Header)?;
            self.take_peeked(&mut bytes[..taken]).map_err(ReceiveError::Io)?;
            if let Some(header) = header {
                return Ok(header);
            }
        }
    }
}
