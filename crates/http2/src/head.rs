//! The head or trailer section that was received last: its fields as lines in one buffer that is used again and again.

use std::fmt;

use crate::hpack::{Class, Line};
use crate::message::Part;
use crate::priority::Priority;

/// A place in a head's bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    len: u32,
}

impl Span {
    pub(crate) fn new(start: usize, len: usize) -> Self {
        Self { start: start as u32, len: len as u32 }
    }

    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..(self.start + self.len) as usize]
    }
}

/// One field of a [`Head`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'h> {
    /// In lower case.
    pub name: &'h [u8],
    /// Without white space at its ends, and without controls but tabs.
    pub value: &'h [u8],
    /// The first entry of HPACK's static table (RFC 7541, appendix A) that has this name, 1 to 61; 0 if there is none.
    /// A name that is known by it need not be compared.
    pub name_index: u8,
    /// Where the line begins in [`Head::section`].
    pub start: usize,
}

/// Where a field is.
#[derive(Debug, Clone, Copy)]
struct Entry {
    start: u32,
    name_len: u32,
    value_len: u32,
    index: u8,
}

/// What a caller hands to [`Connection::receive`](crate::Connection::receive) for heads to be written to. One is enough for
/// all connections of a thread, since it is read before the next call. It keeps its memory from head to head.
///
/// Fields lie in its buffer one behind the other as lines of HTTP/1.1, `name: value` CRLF, so that a proxy can take
/// [`section`](Self::section) as it is.
#[derive(Default)]
pub struct Head {
    pub(crate) bytes: Vec<u8>,
    fields: Vec<Entry>,
    /// Where the pseudo-header fields are, by [`Part`].
    parts: [Option<Span>; Part::COUNT],
    /// Where the first field that is not a pseudo-header field begins.
    section: Option<u32>,
    /// What it weighs by RFC 9113, 6.5.2.
    size: usize,
    count: usize,
    limits: HeadLimits,
    pub(crate) content_length: Option<u64>,
    pub(crate) priority: Option<Priority>,
    cookies: u32,
    is_oversized: bool,
    /// The first rule that it breaks.
    pub(crate) fault: Option<&'static str>,
}

/// How large a head may be that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of names and values, and 32 for each field (RFC 9113, 6.5.2).
    pub size: usize,
    /// Fields, pseudo-header fields included. The crumbs of a cookie count as one (RFC 9113, 8.2.3): their bytes, and the 32
    /// for each, bound them.
    pub fields: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { size: 32 * 1024, fields: 100 }
    }
}

impl Head {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The method of a request; empty in anything else.
    pub fn method(&self) -> &[u8] {
        self.part(Part::Method).unwrap_or_default()
    }

    /// `:scheme` of a request, if it has one.
    pub fn scheme(&self) -> Option<&[u8]> {
        self.part(Part::Scheme)
    }

    /// `:authority` of a request, if it has one.
    pub fn authority(&self) -> Option<&[u8]> {
        self.part(Part::Authority)
    }

    /// `:path` of a request, if it has one: it begins with `/`, or is `*` with OPTIONS.
    pub fn path(&self) -> Option<&[u8]> {
        self.part(Part::Path)
    }

    /// `:protocol` of a request that asks for a tunnel (RFC 8441).
    pub fn protocol(&self) -> Option<&[u8]> {
        self.part(Part::Protocol)
    }

    /// The status of a response, 100 to 999; 0 in anything else.
    pub fn status(&self) -> u16 {
        match self.part(Part::Status) {
            Some(&[a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9']) => {
                [a, b, c].into_iter().fold(0, |value, digit| value * 10 + u16::from(digit - b'0'))
            }
            _ => 0,
        }
    }

    /// The fields behind the pseudo-header fields, in the order in which they came.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = Field<'_>> {
        let section = self.section.unwrap_or_default();
        self.fields.iter().map(move |entry| {
            let line = &self.bytes[entry.start as usize..];
            let (name, rest) = line.split_at(entry.name_len as usize);
            let value = &rest[2..2 + entry.value_len as usize];
            Field { name, value, name_index: entry.index, start: (entry.start - section) as usize }
        })
    }

    /// The same fields as lines, each with its CRLF.
    pub fn section(&self) -> &[u8] {
        self.section.map_or(&[], |start| &self.bytes[start as usize..])
    }

    /// The value of the first field of that name, in lower case.
    pub fn field(&self, name: &[u8]) -> Option<&[u8]> {
        self.fields().find(|field| field.name == name).map(|field| field.value)
    }

    /// The length that a valid `content-length` states, in bytes.
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// How many `cookie` fields there are: crumbs that belong together (RFC 9113, 8.2.3).
    pub fn cookies(&self) -> usize {
        self.cookies as usize
    }

    /// True if fields are missing here because they were too many or too large, by [`HeadLimits`]. A server answers with
    /// 431.
    pub fn is_oversized(&self) -> bool {
        self.is_oversized
    }

    /// The origins that a server speaks for, behind [`Event::Origins`](crate::Event::Origins) (RFC 8336, 2).
    pub fn origins(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            let (len, after) = rest.split_first_chunk::<2>()?;
            let (origin, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
            rest = after;
            Some(origin)
        })
    }

    pub(crate) fn part(&self, part: Part) -> Option<&[u8]> {
        self.parts[part as usize].map(|span| span.of(&self.bytes))
    }

    /// Begins a new head, which keeps fields up to `limits`. A connection does so itself; a [`Decoder`](crate::Decoder) used
    /// alone does not.
    pub fn clear(&mut self, limits: HeadLimits) {
        self.bytes.clear();
        self.fields.clear();
        self.parts = [None; Part::COUNT];
        (self.section, self.size, self.count, self.limits) = (None, 0, 0, limits);
        (self.content_length, self.priority, self.cookies) = (None, None, 0);
        (self.is_oversized, self.fault) = (false, None);
    }

    /// Adds a field that a table holds.
    #[inline]
    pub(crate) fn push(&mut self, line: Line<'_>) {
        if !self.has_room(line.name_len + line.value_len, line.class) {
            return;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(line.bytes);
        let Line { name_len, value_len, class, index, .. } = line;
        self.judge(Written { start, name_len, value_len, class, index });
    }

    /// The line that was written last, to be inserted into a table.
    pub(crate) fn written(&self, line: Written) -> Line<'_> {
        let Written { start, name_len, value_len, class, index } = line;
        Line { bytes: &self.bytes[start..], name_len, value_len, class, index }
    }

    /// Adds the line that was written last, or takes it away when there is no room for it.
    #[inline]
    pub(crate) fn keep(&mut self, line: Written) {
        if self.has_room(line.name_len + line.value_len, line.class) {
            self.judge(line);
        } else {
            self.bytes.truncate(line.start);
        }
    }

    #[inline]
    fn has_room(&mut self, len: usize, class: Class) -> bool {
        self.size += len + 32;
        self.count += usize::from(class != Class::Cookie || self.cookies == 0);
        let has_room = self.size <= self.limits.size && self.count <= self.limits.fields;
        self.is_oversized |= !has_room;
        has_room
    }

    #[inline(always)]
    fn judge(&mut self, line: Written) {
        let Written { start, name_len, value_len, class, index } = line;
        let span = Span::new(start + name_len + 2, value_len);
        match Part::of(class) {
            Some(part) => self.judge_part(part, span, class),
            None => {
                let (start, name_len, value_len) = (start as u32, name_len as u32, value_len as u32);
                self.section.get_or_insert(start);
                self.fields.push(Entry { start, name_len, value_len, index });
                if class != Class::Plain {
                    self.judge_special(span, class);
                }
            }
        }
    }

    #[inline(never)]
    fn judge_special(&mut self, span: Span, class: Class) {
        let value = span.of(&self.bytes);
        let fault = match class {
            Class::ContentLength => crate::message::length(value, &mut self.content_length).err(),
            Class::Te if value != b"trailers" => Some("te with more than trailers"),
            Class::OfConnection => Some("a field that belongs to a connection of HTTP/1.1"),
            Class::InvalidName => Some("an invalid field name"),
            Class::InvalidValue => Some("an invalid field value"),
            Class::UnknownPseudo => Some("an unknown pseudo-header field"),
            _ => None,
        };
        match class {
            Class::Cookie => self.cookies += 1,
            Class::Priority => self.priority = Some(Priority::parse(value)),
            _ => {}
        }
        self.blame(fault);
    }

    #[inline(always)]
    fn judge_part(&mut self, part: Part, span: Span, class: Class) {
        let before = self.parts[part as usize].replace(span);
        if self.section.is_some() || before.is_some() || class.is_of_the_value() {
            self.blame_part(class, before.is_some());
        }
    }

    #[cold]
    fn blame_part(&mut self, class: Class, is_second: bool) {
        self.blame(Some(match class {
            Class::InvalidMethod => "an invalid :method",
            Class::InvalidScheme => "an invalid :scheme",
            Class::InvalidAuthority => "an invalid :authority",
            Class::InvalidPath => "an invalid :path",
            _ if is_second => "a pseudo-header field twice",
            _ => "a pseudo-header field behind a regular one",
        }));
    }

    /// Notes a fault, unless there is one already.
    pub(crate) fn blame(&mut self, fault: Option<&'static str>) {
        self.fault = self.fault.or(fault);
    }
}

pub(crate) use crate::hpack::Written;

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The values may be secret.
        let fields = self.fields.len();
        f.debug_struct("Head").field("fields", &fields).field("fault", &self.fault).finish_non_exhaustive()
    }
}
