//! Port: the bytes of pictures.
//!
//! Guarantees of every engine:
//! - A blob is whole or absent: one whose upload breaks off, or exceeds its limit, leaves what was there before.
//! - A blob is handed on as it arrives; memory does not grow with its size.
//! - The content type is part of the key, and so is never lost or guessed.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::{Retriable, Retry, Source};
use crate::media::MediaType;
use crate::text::Malformed;

const NAME_BYTES_MAX: usize = 200;

/// Names a blob: words of `a` to `z`, digits, `_` and `-`, separated by `/`, and the type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BlobKey {
    name: String,
    media: MediaType,
}

impl BlobKey {
    /// A key.
    ///
    /// # Errors
    /// A name with other characters, with an empty word, or longer than 200 bytes.
    pub fn new(name: &str, media: MediaType) -> Result<Self, Malformed> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        let word = |word: &str| !word.is_empty() && word.bytes().all(allowed);
        if name.len() > NAME_BYTES_MAX || !name.split('/').all(word) {
            let what = "a blob's name has words of a to z, 0 to 9, _ and -, separated by /".to_owned();
            return Err(Malformed { what });
        }
        Ok(Self { name: name.to_owned(), media })
    }

    /// The type.
    #[must_use]
    pub fn media(&self) -> MediaType {
        self.media
    }
}

/// As a path: the name, a dot, and the extension of the type.
impl fmt::Display for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.name, self.media.extension())
    }
}

impl FromStr for BlobKey {
    type Err = Malformed;

    fn from_str(path: &str) -> Result<Self, Malformed> {
        let split = path.rsplit_once('.').and_then(|(n, e)| Some((n, MediaType::of_extension(e)?)));
        let (name, media) =
            split.ok_or_else(|| Malformed { what: "a blob's path ends in its type".to_owned() })?;
        Self::new(name, media)
    }
}

/// Bytes as they arrive.
pub type Body = BoxStream<'static, Result<Bytes, Source>>;

/// Which bytes of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All.
    Whole,
    /// From this one on, counted from 0.
    From(u64),
    /// From the first to the second, both included; the end of the blob if that comes first.
    Between(u64, u64),
    /// So many at the end, or all if there are fewer.
    Last(u64),
}

/// A blob, or a part of one.
pub struct Blob {
    /// The type.
    pub media: MediaType,
    /// Bytes of the whole blob.
    pub size: u64,
    /// Which of them `body` has.
    pub range: Range<u64>,
    /// The bytes.
    pub body: Body,
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob").field("size", &self.size).field("range", &self.range).finish_non_exhaustive()
    }
}

/// The blobs.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Keeps a blob, in place of one with the same key, and returns its size.
    ///
    /// # Errors
    /// `TooLarge`, as soon as more than `bytes_max` have arrived; `BrokenOff`, if `body` fails.
    async fn put(&self, key: &BlobKey, body: Body, bytes_max: u64) -> BlobsResult<u64>;

    /// A blob, or a part of it.
    ///
    /// # Errors
    /// `NotFound`; `OutOfRange`, if the blob has none of the bytes.
    async fn get(&self, key: &BlobKey, part: Part) -> BlobsResult<Blob>;

    /// Deletes a blob; nothing happens if it is absent.
    async fn delete(&self, key: &BlobKey) -> BlobsResult<()>;
}

/// What calls return.
pub type BlobsResult<T> = Result<T, BlobsError>;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum BlobsError {
    /// The blob is larger than allowed.
    #[error("the file has more than {0} bytes")]
    TooLarge(u64),
    /// The sender stopped before the end.
    #[error("the upload broke off: {0}")]
    BrokenOff(#[source] Source),
    /// There is no such blob.
    #[error("no such blob")]
    NotFound,
    /// The blob has none of the bytes that were asked for.
    #[error("the blob has {0} bytes, none of which was asked for")]
    OutOfRange(u64),
    /// The engine cannot be reached, or has no room.
    #[error("the blob store is unavailable: {0}")]
    Unavailable(#[source] Source),
}

impl Retriable for BlobsError {
    fn retry(&self) -> Retry {
        match self {
            Self::Unavailable(_) => Retry::Soon,
            Self::TooLarge(_) | Self::BrokenOff(_) | Self::NotFound | Self::OutOfRange(_) => Retry::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written_and_leads_nowhere_else() {
        let key = BlobKey::new("photos/12/original", MediaType::Jpeg).unwrap();
        assert_eq!(key.to_string(), "photos/12/original.jpg");
        assert_eq!("photos/12/original.jpg".parse::<BlobKey>().unwrap(), key);
        for wrong in ["", "/a", "a/", "a//b", "../a", "a/../b", "a.b", "A", "a b", "a\\b", "ä"] {
            assert!(BlobKey::new(wrong, MediaType::Png).is_err(), "{wrong}");
        }
        for wrong in ["a", "a.svg", ".jpg", "../a.jpg"] {
            assert!(wrong.parse::<BlobKey>().is_err(), "{wrong}");
        }
    }
}
