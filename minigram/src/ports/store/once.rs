//! Posting once: a client that repeats a post under the same key receives what its first try made.

use std::fmt::Write;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::Position;
use crate::clock::Time;
use crate::text::Malformed;

/// Characters of a key, at most.
pub const KEY_CHARS_MAX: usize = 128;

/// How long a key is remembered. Longer than a client repeats a request, and than a browser shows a form.
pub const KEPT: Duration = Duration::from_secs(24 * 3600);

/// A key that a client chose for one request (draft-ietf-httpapi-idempotency-key-header).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// From the header's value: a quoted string (RFC 9651), or its characters without the quotes, as many clients send
    /// them.
    ///
    /// # Errors
    /// A key that is empty, longer than [`KEY_CHARS_MAX`], or has other characters than visible ones of ASCII without
    /// `"` and `\`.
    pub fn new(text: &str) -> Result<Self, Malformed> {
        let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
        let allowed = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
        if bare.is_empty() || bare.len() > KEY_CHARS_MAX || !bare.bytes().all(allowed) {
            let what = format!("an idempotency key has 1 to {KEY_CHARS_MAX} visible characters of ASCII");
            return Err(Malformed { what });
        }
        Ok(Self(bare.to_owned()))
    }

    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What tells a repetition from another request. Keys belong to a user and to what the post is for: a photo to the
/// user alone, a comment to its photo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// The client's key.
    pub key: IdempotencyKey,
    /// A hash of what was sent, so that a key that is used for something else is refused.
    pub sent: String,
    /// How long the key is remembered.
    pub kept: Duration,
}

impl Once {
    /// A request with this key that sends `parts`, remembered for [`KEPT`].
    #[must_use]
    pub fn new(key: IdempotencyKey, parts: &[&[u8]]) -> Self {
        let mut sent = Sha256::new();
        for part in parts {
            // The length keeps neighbours apart.
            sent.update((part.len() as u64).to_be_bytes());
            sent.update(part);
        }
        let mut hex = String::new();
        for byte in sent.finalize() {
            // Cannot fail: a String takes everything.
            let _ = write!(hex, "{byte:02x}");
        }
        Self { key, sent: hex, kept: KEPT }
    }
}

/// What a request makes, as engines keep it with its key.
#[derive(Debug, Clone, Copy)]
pub struct Post {
    /// The id of the photo or comment.
    pub id: i64,
    /// The photo of a comment; 0 for a photo.
    pub about: i64,
    /// Who posts.
    pub user: i64,
    /// When.
    pub created: i64,
}

/// What the first try of a request has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earlier {
    /// The id of the photo or comment, as databases keep it. It may have been deleted since.
    pub id: i64,
    /// When.
    pub created: Time,
    /// Where the log is now: not before the first try's commit.
    pub position: Position,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_quoted_string_or_its_bare_characters() {
        let key = IdempotencyKey::new("\"8e03978e-40d5\"").unwrap();
        assert_eq!(key, IdempotencyKey::new("8e03978e-40d5").unwrap());
        assert!(IdempotencyKey::new(&"k".repeat(KEY_CHARS_MAX)).is_ok());
        for malformed in ["", "\"\"", "\"a", "a b", "\u{e4}", &"k".repeat(KEY_CHARS_MAX + 1)] {
            assert!(IdempotencyKey::new(malformed).is_err(), "{malformed}");
        }
    }

    #[test]
    fn what_was_sent_differs_by_every_part() {
        let sent = |parts: &[&[u8]]| Once::new(IdempotencyKey::new("k").unwrap(), parts).sent;
        assert_eq!(sent(&[b"ab", b"c"]), sent(&[b"ab", b"c"]));
        assert_ne!(sent(&[b"ab", b"c"]), sent(&[b"a", b"bc"]));
    }
}
