//! All of a stored response but its body: the key, what purges and variants go by, the response head, and the judgement
//! that the policy made of it.

use bytes::Bytes;
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

/// A stored response without its body. Its texts lie in one piece of memory, behind which a small body may lie.
#[derive(Debug, Clone)]
pub struct Head<M> {
    /// URL, host and tags as hashes; key, variant, path, response head; a body.
    block: Arc<[u8]>,
    tags: u16,
    key: u16,
    vary: u16,
    path: Part,
    /// Where the response head begins.
    response: u32,
    /// Where it ends.
    end: u32,
    sequence: u64,
    meta: M,
}

/// A piece of the texts.
#[derive(Debug, Clone, Copy)]
struct Part {
    at: u16,
    len: u16,
}

/// How many numbers describe where what lies in the texts.
pub(crate) const LENGTHS: usize = 6;
/// The size of a hash, in bytes.
const ID: usize = 16;
/// Where the tags begin.
const TAGS: usize = 2 * ID;

impl<M> Head<M> {
    /// `None` if a text is longer than 64 KiB, which no request is that gets this far.
    pub(crate) fn new(key: &[u8], sequence: u64, new: NewHead<'_, M>) -> Option<Self> {
        let texts = key.len() + new.vary.len() + new.path.len() + new.response.len();
        let mut block = Vec::with_capacity(TAGS + new.tags.len() * ID + texts);
        let tags = new.tags.iter().map(|tag| tag.0);
        [new.url.0, new.host.0].into_iter().chain(tags).for_each(|id| block.extend(id.to_le_bytes()));
        block.extend_from_slice(key);
        block.extend_from_slice(new.vary);
        let path = part(&mut block, key.len() + new.vary.len(), new.path)?;
        let response = u32::try_from(block.len()).ok()?;
        block.extend_from_slice(new.response);
        Some(Self {
            tags: u16::try_from(new.tags.len()).ok()?,
            key: u16::try_from(key.len()).ok()?,
            vary: u16::try_from(new.vary.len()).ok()?,
            path,
            response,
            end: u32::try_from(block.len()).ok()?,
            block: block.into(),
            sequence,
            meta: new.meta,
        })
    }

    fn id(&self, at: usize) -> u128 {
        let bytes = self.block.get(at..at + ID).and_then(|bytes| bytes.try_into().ok());
        u128::from_le_bytes(bytes.unwrap_or_default())
    }

    fn key_at(&self) -> usize {
        TAGS + usize::from(self.tags) * ID
    }

    /// The key that it is found by.
    pub fn key(&self) -> &[u8] {
        &self.block[self.key_at()..][..usize::from(self.key)]
    }

    /// What of the request's fields selects this variant.
    pub fn vary(&self) -> &[u8] {
        &self.block[self.key_at() + usize::from(self.key)..][..usize::from(self.vary)]
    }

    /// Its tags.
    pub fn tags(&self) -> impl Iterator<Item = TagId> {
        (0..usize::from(self.tags)).map(|n| TagId(self.id(TAGS + n * ID)))
    }

    /// The URL that a purge names it by.
    pub fn url(&self) -> UrlId {
        UrlId(self.id(0))
    }

    /// The host that a purge names it by.
    pub fn host(&self) -> HostId {
        HostId(self.id(ID))
    }

    /// The path that the client asked for.
    pub fn path(&self) -> &str {
        let (at, len) = (self.key_at() + usize::from(self.path.at), usize::from(self.path.len));
        // It was a `str` when it was copied.
        self.block.get(at..at + len).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }

    /// Status and fields, as they were given.
    pub fn response(&self) -> &[u8] {
        &self.block[self.response as usize..self.end as usize]
    }

    /// What the policy judges it by.
    pub fn meta(&self) -> &M {
        &self.meta
    }

    /// The number of the newest purge when its request left for the server: it is subject to later ones alone.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// What the texts and a body behind them occupy, in bytes.
    pub(crate) fn block_bytes(&self) -> usize {
        self.block.len()
    }

    /// The length of the body that lies behind the texts.
    pub(crate) fn body_len(&self) -> usize {
        self.block.len() - self.end as usize
    }

    /// The body that lies behind the texts.
    pub(crate) fn short_body(&self) -> &[u8] {
        &self.block[self.end as usize..]
    }

    /// The body that lies behind the texts, without its first `skip` bytes. Nothing is copied.
    pub(crate) fn body(&self, skip: usize) -> Bytes {
        Bytes::from_owner(Tail { block: Arc::clone(&self.block), at: self.end as usize + skip })
    }
}

impl<M> Head<M> {
    /// All texts, without the body behind them.
    pub(crate) fn texts(&self) -> &[u8] {
        &self.block[..self.end as usize]
    }

    /// Where what lies in the texts.
    pub(crate) fn lengths(&self) -> [u32; LENGTHS] {
        let Part { at, len } = self.path;
        [self.tags.into(), self.key.into(), self.vary.into(), at.into(), len.into(), self.response]
    }

    /// Puts together what was taken apart; `None` if the parts do not fit.
    pub(crate) fn from_parts(texts: &[u8], lengths: [u32; LENGTHS], sequence: u64, meta: M) -> Option<Self> {
        let [tags, key, vary, at, len, response] = lengths;
        let short = |length: u32| u16::try_from(length).ok();
        let end = u32::try_from(texts.len()).ok()?;
        let texts_min = TAGS as u64 + u64::from(tags) * ID as u64 + u64::from(key) + u64::from(vary);
        (texts_min <= u64::from(response) && response <= end).then_some(())?;
        Some(Self {
            block: texts.into(),
            tags: short(tags)?,
            key: short(key)?,
            vary: short(vary)?,
            path: Part { at: short(at)?, len: short(len)? },
            response,
            end,
            sequence,
            meta,
        })
    }
}

impl<M: Clone> Head<M> {
    /// The same with a body behind it.
    pub(crate) fn with_body(&self, body: &[u8]) -> Self {
        let texts = &self.block[..self.end as usize];
        Self { block: [texts, body].concat().into(), ..self.clone() }
    }
}

/// The end of a block, as a body that is sent.
struct Tail {
    block: Arc<[u8]>,
    at: usize,
}

impl AsRef<[u8]> for Tail {
    fn as_ref(&self) -> &[u8] {
        self.block.get(self.at..).unwrap_or_default()
    }
}

/// Where `text` lies among the last `among` bytes of `block`, which usually hold it; appended to them if they do not.
fn part(block: &mut Vec<u8>, among: usize, text: &str) -> Option<Part> {
    let begin = block.len() - among;
    let len = u16::try_from(text.len()).ok()?;
    if text.is_empty() {
        return Some(Part { at: 0, len: 0 });
    }
    // In linear time, whatever a client puts into its path.
    let found = memchr::memmem::find(&block[begin..], text.as_bytes());
    if found.is_none() {
        block.extend_from_slice(text.as_bytes());
    }
    Some(Part { at: u16::try_from(found.unwrap_or(among)).ok()?, len })
}
