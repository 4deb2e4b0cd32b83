//! Conditional requests: what a client's conditions make of an answer (RFC 9110, 13.2.2). For the cache and for files.

use crate::cache::{Fields, Wall, http_date};

/// What is known of the representation that a request selects.
#[derive(Debug, Clone, Copy, Default)]
pub struct Representation<'a> {
    /// Its `ETag`, as the field has it.
    pub etag: Option<&'a [u8]>,
    /// Its `Last-Modified`.
    pub last_modified: Option<Wall>,
    /// Its `Date`, or when it was received: stands in for a missing `Last-Modified` (RFC 9111, 4.3.2).
    pub date: Option<Wall>,
}

impl<'a> Representation<'a> {
    /// As the head of an answer says; `received` where it has no `Date`.
    pub fn of(answer: &'a (impl Fields + ?Sized), received: Wall) -> Self {
        let date = |name| answer.first(name).and_then(http_date);
        Self {
            etag: answer.first("etag"),
            last_modified: date("last-modified"),
            date: date("date").or(Some(received)),
        }
    }
}

/// What is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The answer as it is, or a range of it.
    Full,
    /// 304 Not Modified.
    NotModified,
    /// 412 Precondition Failed.
    PreconditionFailed,
}

/// Which conditions count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evaluator {
    /// All of them: the answer is our own.
    Origin,
    /// Not `If-Match` and `If-Unmodified-Since`, which only a server can judge (RFC 9111, 4.3.2).
    Cache,
}

/// Evaluates the conditions of a request in their order. `safe`: the method is GET or HEAD. `answer`: the status that would be
/// sent without conditions; only of a 2xx do they say anything (RFC 9110, 13.2.1).
pub fn evaluate(
    request: &(impl Fields + ?Sized),
    evaluator: Evaluator,
    (safe, answer): (bool, u16),
    of: &Representation<'_>,
) -> Outcome {
    if !matches!(answer, 200..=299) {
        return Outcome::Full;
    }
    if evaluator == Evaluator::Origin && is_precondition_false(request, of) {
        return Outcome::PreconditionFailed;
    }
    if request.has("if-none-match") {
        let matches = lists(request, "if-none-match", of, same_weak);
        return match (matches, safe) {
            (false, _) => Outcome::Full,
            (true, true) => Outcome::NotModified,
            (true, false) => Outcome::PreconditionFailed,
        };
    }
    let modified = of.last_modified.or(of.date);
    match (safe, single_date(request, "if-modified-since"), modified) {
        (true, Some(since), Some(modified)) if modified.as_secs() <= since.as_secs() => Outcome::NotModified,
        _ => Outcome::Full,
    }
}

fn is_precondition_false(request: &(impl Fields + ?Sized), of: &Representation<'_>) -> bool {
    if request.has("if-match") {
        return !lists(request, "if-match", of, same_strong);
    }
    match (single_date(request, "if-unmodified-since"), of.last_modified) {
        (Some(since), Some(modified)) => modified.as_secs() > since.as_secs(),
        _ => false,
    }
}

/// True if `Range` is to be heeded: there is no `If-Range`, or it names exactly this representation (RFC 9110, 13.1.5).
pub fn range_applies(request: &(impl Fields + ?Sized), of: &Representation<'_>) -> bool {
    let mut lines = request.values("if-range");
    match (lines.next(), lines.next()) {
        (None, _) => true,
        (Some(_), Some(_)) => false,
        (Some(text), None) => match EntityTag::parse(text) {
            Some(tag) => of.etag.and_then(EntityTag::parse).is_some_and(|own| same_strong(own, tag)),
            None => http_date(text).is_some_and(|date| is_strong_date(date, of)),
        },
    }
}

/// True if `date` is exactly that of the representation, and lies so long before its `Date` that nothing changed within the
/// same second (RFC 9110, 8.8.2.2).
fn is_strong_date(date: Wall, of: &Representation<'_>) -> bool {
    let is_old = |modified: Wall| of.date.is_some_and(|sent| sent.millis_since(modified) >= 1_000);
    of.last_modified.is_some_and(|modified| modified.as_secs() == date.as_secs() && is_old(modified))
}

/// An entity tag: whether it is weak, and what is between its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityTag<'a> {
    /// True for `W/"..."`.
    pub weak: bool,
    /// What is between the quotes.
    pub opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// Reads one tag; `None` if it has not the form of RFC 9110, 8.8.3.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let (weak, quoted) = match text.strip_prefix(b"W/") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let opaque = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let is_part = |byte: &u8| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..);
        opaque.iter().all(is_part).then_some(Self { weak, opaque })
    }
}

/// Weak comparison (RFC 9110, 8.8.3.2).
pub fn same_weak(one: EntityTag<'_>, other: EntityTag<'_>) -> bool {
    one.opaque == other.opaque
}

/// Strong comparison (RFC 9110, 8.8.3.2).
pub fn same_strong(one: EntityTag<'_>, other: EntityTag<'_>) -> bool {
    !one.weak && !other.weak && one.opaque == other.opaque
}

/// True if the field is `*`, or lists a tag that is the representation's.
fn lists(
    request: &(impl Fields + ?Sized),
    name: &str,
    of: &Representation<'_>,
    same: fn(EntityTag<'_>, EntityTag<'_>) -> bool,
) -> bool {
    let own = of.etag.and_then(EntityTag::parse);
    request.values(name).any(|line| {
        tags(line).any(|text| match (text, own) {
            (b"*", _) => true,
            (text, Some(own)) => EntityTag::parse(text).is_some_and(|tag| same(tag, own)),
            (_, None) => false,
        })
    })
}

/// The members of a list of tags, in which a backslash is an ordinary character.
fn tags(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = line;
    std::iter::from_fn(move || {
        rest = rest.trim_ascii_start();
        while let [b',', after @ ..] = rest {
            rest = after.trim_ascii_start();
        }
        let start = rest.strip_prefix(b"W/").unwrap_or(rest);
        let opened = start.first() == Some(&b'"');
        let skipped = rest.len() - start.len() + usize::from(opened);
        let end = if opened {
            let closing = rest[skipped..].iter().position(|&byte| byte == b'"');
            closing.map_or(rest.len(), |at| skipped + at + 1)
        } else {
            rest.iter().position(|&byte| byte == b',').unwrap_or(rest.len())
        };
        let (tag, after) = rest.split_at(end);
        rest = after;
        Some(tag.trim_ascii()).filter(|tag| !tag.is_empty())
    })
}

/// The date of a field that stands there once; `None` if it is malformed, and so ignored.
fn single_date(request: &(impl Fields + ?Sized), name: &str) -> Option<Wall> {
    let mut lines = request.values(name);
    match (lines.next(), lines.next()) {
        (Some(text), None) => http_date(text),
        _ => None,
    }
}

#[cfg(test)]
#[path = "conditional_tests.rs"]
mod tests;
