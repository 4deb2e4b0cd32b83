//! The id of a request, as `X-Request-Id` has it.

use std::borrow::Cow;
use std::fmt;

/// The id of a request. One of our own needs no check before it is written anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestIdText<'a> {
    /// 32 hexadecimal digits that this process has drawn.
    Own(&'a [u8; 32]),
    /// What a trusted peer has given it.
    Given(Cow<'a, str>),
}

impl RequestIdText<'_> {
    /// Its bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Own(digits) => *digits,
            Self::Given(text) => text.as_bytes(),
        }
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Own(digits) => std::str::from_utf8(*digits).unwrap_or_default(),
            Self::Given(text) => text,
        }
    }
}

impl fmt::Display for RequestIdText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
