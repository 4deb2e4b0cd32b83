//! All of a stored response but its body: the key, what purges and variants go by, the response head, and the judgement
//! that the policy made of it.

use evenkeel_core::cache::{HostId, TagId, UrlId};

use crate::sync::Arc;

/// What a response is stored with.
#[derive(Debug, Clone, Copy)]
pub struct NewHead<'a, M> {
    /// The URL that a purge names it by.
    pub url: UrlId,
    /// The host that a purge names it by.
    pub host: HostId,
    /// The path that the client asked for, in normal form: a purge names the beginning of it.
    pub path: &'a str,
    /// Its tags.
    pub tags: &'a [TagId],
    /// What of the request's fields selects this variant; two with the same bytes replace each other.
    pub vary: &'a [u8],
    /// Status and fields, in the form in which the data path wants them back.
    pub response: &'a [u8],
    /// What the policy needs to judge it: times, directives, validators.
    pub meta: M,
}

/// A stored response without its body. Its texts lie in one piece of memory.
#[derive(Debug, Clone)]
pub struct Head<M> {
    texts: Arc<[u8]>,
    tags: Arc<[TagId]>,
    url: UrlId,
    host: HostId,
    key: u16,
    vary: u16,
    path: Part,
    /// Where the response head begins.
    response: u32,
    sequence: u64,
    meta: M,
}

/// A piece of the texts.
#[derive(Debug, Clone, Copy)]
struct Part {
    at: u16,
    len: u16,
}

impl Part {
    fn of(self, texts: &[u8]) -> &str {
        let (at, len) = (usize::from(self.at), usize::from(self.len));
        // It was a `str` when it was copied.
        texts.get(at..at + len).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }
}

impl<M> Head<M> {
    /// `None` if a text is longer than 64 KiB, which no request is that gets this far.
    pub(crate) fn new(key: &[u8], sequence: u64, new: NewHead<'_, M>) -> Option<Self> {
        let mut texts = Vec::with_capacity(key.len() + new.vary.len() + new.path.len() + new.response.len());
        texts.extend_from_slice(key);
        texts.extend_from_slice(new.vary);
        // A key usually holds the path.
        let path = part(&mut texts, key.len(), new.path)?;
        let response = u32::try_from(texts.len()).ok()?;
        texts.extend_from_slice(new.response);
        Some(Self {
            texts: texts.into(),
            tags: new.tags.into(),
            url: new.url,
            host: new.host,
            key: u16::try_from(key.len()).ok()?,
            vary: u16::try_from(new.vary.len()).ok()?,
            path,
            response,
            sequence,
            meta: new.meta,
        })
    }

    /// The key that it is found by.
    pub fn key(&self) -> &[u8] {
        &self.texts[..usize::from(self.key)]
    }

    /// What of the request's fields selects this variant.
    pub fn vary(&self) -> &[u8] {
        let from = usize::from(self.key);
        &self.texts[from..from + usize::from(self.vary)]
    }

    /// Its tags.
    pub fn tags(&self) -> &[TagId] {
        &self.tags
    }

    /// The URL that a purge names it by.
    pub fn url(&self) -> UrlId {
        self.url
    }

    /// The host that a purge names it by.
    pub fn host(&self) -> HostId {
        self.host
    }

    /// The path that the client asked for.
    pub fn path(&self) -> &str {
        self.path.of(&self.texts)
    }

    /// Status and fields, as they were given.
    pub fn response(&self) -> &[u8] {
        &self.texts[self.response as usize..]
    }

    /// What the policy judges it by.
    pub fn meta(&self) -> &M {
        &self.meta
    }

    /// The number of the newest purge when its request left for the server: it is subject to later ones alone.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// What the texts occupy, in bytes.
    pub(crate) fn texts_bytes(&self) -> usize {
        self.texts.len() + size_of_val(&*self.tags)
    }
}

/// Where `text` lies in the first `key` bytes of `texts`; appended to them if it does not.
fn part(texts: &mut Vec<u8>, key: usize, text: &str) -> Option<Part> {
    let len = u16::try_from(text.len()).ok()?;
    if text.is_empty() {
        return Some(Part { at: 0, len: 0 });
    }
    let found = texts[..key].windows(text.len()).position(|window| window == text.as_bytes());
    let at = found.unwrap_or(texts.len());
    if found.is_none() {
        texts.extend_from_slice(text.as_bytes());
    }
    Some(Part { at: u16::try_from(at).ok()?, len })
}
