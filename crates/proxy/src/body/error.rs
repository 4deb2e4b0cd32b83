//! Why a body that comes in ends before its end.

use std::{fmt, io};

use crate::http::chunks::Malformed;

/// Why a body ends before its end.
#[derive(Debug)]
pub enum BodyError {
    /// Its framing is broken.
    Malformed(Malformed),
    /// The connection closed within it.
    Cut,
    /// The connection failed within it.
    Io(io::Error),
    /// Nothing came for too long, or too little.
    Timeout,
    /// The time for the whole exchange was up.
    Deadline,
    /// It has more bytes than allowed.
    TooLarge,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(m) => write!(f, "malformed body: {m}"),
            Self::Cut => f.write_str("connection closed within the body"),
            Self::Io(e) => write!(f, "connection failed within the body: {e}"),
            Self::Timeout => f.write_str("body too slow"),
            Self::Deadline => f.write_str("request timeout"),
            Self::TooLarge => f.write_str("body too large"),
        }
    }
}
