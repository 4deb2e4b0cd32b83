//! The tags of a response, by which it can be purged: `Cache-Tag` and `Surrogate-Key`.

use super::fields::{Fields, members};
use super::key::hash;

/// Tags of one response at most. One with more is not kept, because it could not be purged by all of them.
pub const TAGS_MAX: usize = 64;
/// Bytes of a tag at most.
pub const TAG_BYTES_MAX: usize = 256;

/// A tag, as a hash: two tags of one hash are purged together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagId(pub u128);

impl TagId {
    /// Of this tag; upper and lower case differ.
    pub fn of(tag: &[u8]) -> Self {
        Self(hash(b't', &[tag]))
    }
}

/// The tags of one response, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags(pub Vec<TagId>);

impl Tags {
    /// Reads `Cache-Tag`, which is separated by commas, and `Surrogate-Key`, which is separated by spaces. `None` if there
    /// are too many, or one is too long.
    pub fn of(response: &(impl Fields + ?Sized)) -> Option<Self> {
        let commas = response.values("cache-tag").flat_map(members);
        let spaces = response.values("surrogate-key").flat_map(|line| line.split(u8::is_ascii_whitespace));
        let mut out = Vec::new();
        for tag in commas.chain(spaces).filter(|tag| !tag.is_empty()) {
            if tag.len() > TAG_BYTES_MAX || out.len() >= TAGS_MAX {
                return None;
            }
            let id = TagId::of(tag);
            if !out.contains(&id) {
                out.push(id);
            }
        }
        Some(Self(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_fields_are_read() {
        let head = [("cache-tag", "a, b"), ("Cache-Tag", "c"), ("surrogate-key", "b  d\te")];
        let expected = ["a", "b", "c", "d", "e"].map(|tag| TagId::of(tag.as_bytes()));
        assert_eq!(Tags::of(&head[..]), Some(Tags(expected.into())));
    }

    #[test]
    fn more_than_can_be_kept_is_none() {
        let many: Vec<String> = (0..=TAGS_MAX).map(|at| at.to_string()).collect();
        assert_eq!(Tags::of(&[("surrogate-key", many.join(" "))][..]), None);
        assert!(Tags::of(&[("surrogate-key", many[1..].join(" "))][..]).is_some());
        assert_eq!(Tags::of(&[("cache-tag", "x".repeat(TAG_BYTES_MAX + 1))][..]), None);
    }
}
