//! How a 304 and the answer to a HEAD freshen what is kept (RFC 9111, 3.2, 4.3.4 and 4.3.5).

use super::fields::{Fields, NotKept};
use crate::conditional::{EntityTag, same_weak};

/// Fields that say what the kept body is, and so stay as they are: the 304 has no body of its own.
const OF_THE_BODY: [&str; 5] = ["content-encoding", "content-length", "content-md5", "content-range", "etag"];

/// A field line.
pub type Line<'a> = (&'a [u8], &'a [u8]);

/// The head of a kept response after a 304, or after the answer to a HEAD: every field of `new` takes the place of those
/// with its name, but for those that describe the body, and those that are not kept. `Age` comes from `new` alone, so that
/// [`storable`](super::storable::storable) can judge the result; it is not to be kept. So does `Date`, because without
/// one the response is of now.
pub fn merge<'a>(old: &[Line<'a>], new: &[Line<'a>], without: &NotKept) -> Vec<Line<'a>> {
    let is = |name: &[u8], other: &[u8]| name.eq_ignore_ascii_case(other);
    let replaces = |name: &[u8]| {
        !OF_THE_BODY.iter().any(|kept| is(name, kept.as_bytes()))
            && (!without.holds(name) || is(name, b"age"))
    };
    let stays = |name: &[u8]| {
        let is_dated = is(name, b"date") || is(name, b"age");
        let is_renewed = || replaces(name) && new.iter().any(|(other, _)| is(name, other));
        !is_dated && !is_renewed()
    };
    let kept = old.iter().filter(|(name, _)| stays(name));
    let fresh = new.iter().filter(|(name, _)| replaces(name));
    kept.chain(fresh).copied().collect()
}

/// The validators that a conditional request for a kept response carries, as field name and value.
pub fn validators(stored: &(impl Fields + ?Sized)) -> impl Iterator<Item = (&'static str, &[u8])> {
    let etag = stored.first("etag").map(|tag| ("if-none-match", tag));
    let modified = stored.first("last-modified").map(|date| ("if-modified-since", date));
    etag.into_iter().chain(modified)
}

/// Entity tags of kept responses that one request carries at most.
const TAGS_SENT_MAX: usize = 8;

/// The `If-None-Match` of a request that selects none of the kept responses of its key, by `Vary`: the server may say that one
/// of them would answer it as well (RFC 9111, 4.3.1). `stored`: newest first, without those whose `Vary` tells users apart.
/// `None` if none has an entity tag.
pub fn entity_tags<'a, F>(stored: impl Iterator<Item = &'a F>) -> Option<Vec<u8>>
where
    F: Fields + ?Sized + 'a,
{
    let tags = stored.filter_map(|stored| stored.first("etag")).filter(|tag| EntityTag::parse(tag).is_some());
    let mut sent: Vec<&[u8]> = Vec::new();
    for tag in tags {
        if !sent.contains(&tag) && sent.len() < TAGS_SENT_MAX {
            sent.push(tag);
        }
    }
    (!sent.is_empty()).then(|| sent.join(&b", "[..]))
}

/// Which of the kept responses whose validators were sent a 304 speaks of: its position. If only one was sent, it is meant,
/// whatever validators the 304 has: the server was asked about no other. `None`: of none of them, and the request must be
/// sent again without conditions.
pub fn select<'a, F>(
    sent: impl ExactSizeIterator<Item = &'a F>,
    answer: &(impl Fields + ?Sized),
) -> Option<usize>
where
    F: Fields + ?Sized + 'a,
{
    if sent.len() == 1 {
        return Some(0);
    }
    let mut sent = sent;
    match (answer.first("etag"), answer.first("last-modified")) {
        (Some(tag), _) => {
            let tag = EntityTag::parse(tag)?;
            sent.position(|stored| {
                stored.first("etag").and_then(EntityTag::parse).is_some_and(|other| same_weak(other, tag))
            })
        }
        (None, Some(date)) => sent.position(|stored| stored.first("last-modified") == Some(date)),
        (None, None) => None,
    }
}

/// What the answer to a forwarded HEAD does to the kept response that the request selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterHead {
    /// [`merge`] the heads: the server still has the same.
    Freshen,
    /// The server has something else: the kept response counts as stale.
    Invalidate,
    /// The answer says nothing of it.
    Keep,
}

/// Decides it by status, length and validators (RFC 9111, 4.3.5).
pub fn after_head(
    stored: &(impl Fields + ?Sized),
    status: u16,
    answer: &(impl Fields + ?Sized),
) -> AfterHead {
    if status != 200 {
        return AfterHead::Keep;
    }
    let differs = |name: &str| answer.first(name).is_some_and(|new| stored.first(name) != Some(new));
    if ["content-length", "etag", "last-modified"].into_iter().any(differs) {
        AfterHead::Invalidate
    } else {
        AfterHead::Freshen
    }
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
