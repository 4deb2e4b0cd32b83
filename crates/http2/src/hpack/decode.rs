//! Decoding field blocks (RFC 7541, 3.2 and 6).

use super::class::Class;
use super::static_table::{LEN, LINES, Line, find_name, hash};
use super::table::Table;
use super::{huffman, integer};
use crate::head::Head;

/// Changes of the table's size that one field block may begin with (RFC 7541, 4.2).
const RESIZES_MAX: usize = 2;
/// The size that both sides assume until they agree on another.
const SIZE: u32 = 4096;

/// Decodes the field blocks of one direction of a connection, in order.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// What our SETTINGS_HEADER_TABLE_SIZE allows the peer to choose.
    allowed: u32,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(SIZE)
    }
}

impl Decoder {
    /// A decoder that announces `allowed` as SETTINGS_HEADER_TABLE_SIZE, in bytes as RFC 7541, 4.1 counts them; larger
    /// values than 65,535 mean 65,535.
    pub fn new(allowed: u32) -> Self {
        // The peer may use the default until it has read our settings.
        Self { table: Table::new(allowed.max(SIZE)), allowed: allowed.max(SIZE) }
    }

    /// The peer has acknowledged our settings: from here on `allowed` is the limit. A smaller one than before has the peer
    /// begin its next block with a smaller table.
    pub fn limit(&mut self, allowed: u32) {
        self.allowed = allowed;
    }

    /// Decodes a whole field block and appends its fields to `head`, which judges them and keeps its own limits. Beyond
    /// them the block is still decoded, so that later blocks are understood.
    ///
    /// # Errors
    /// The block is broken, by the reason that is returned. The state of compression is lost with it: a connection error
    /// of type COMPRESSION_ERROR (RFC 9113, 4.3).
    pub fn decode(&mut self, block: &[u8], head: &mut Head) -> Result<(), &'static str> {
        let mut input = block;
        for _ in 0..RESIZES_MAX {
            let Some((first, rest)) = input.split_first().filter(|(first, _)| **first & 0xe0 == 0x20) else {
                break;
            };
            input = rest;
            let size = integer::decode(*first, 5, &mut input)?;
            self.resize(size)?;
        }
        if self.table.max() > self.allowed {
            return Err("no smaller table, though a smaller one was announced");
        }
        while let Some((&first, rest)) = input.split_first() {
            input = rest;
            if first & 0x80 != 0 {
                let index = integer::decode(first, 7, &mut input)?;
                head.push(self.line(index)?);
            } else if first & 0x40 != 0 {
                let line = self.literal(first, 6, &mut input, head)?;
                self.table.insert(head.written(line));
                head.keep(line);
            } else if first & 0x20 != 0 {
                return Err("a table size update within a field block");
            } else {
                let line = self.literal(first, 4, &mut input, head)?;
                head.keep(line);
            }
        }
        Ok(())
    }

    /// Bytes of memory that its table holds on the heap.
    pub fn memory(&self) -> usize {
        self.table.memory()
    }

    fn resize(&mut self, size: usize) -> Result<(), &'static str> {
        match u32::try_from(size) {
            Ok(size) if size <= self.allowed => {
                self.table.resize(size);
                Ok(())
            }
            _ => Err("a table size update above SETTINGS_HEADER_TABLE_SIZE"),
        }
    }

    #[inline]
    fn line(&self, index: usize) -> Result<Line<'_>, &'static str> {
        match index {
            0 => Err("an indexed field with index 0"),
            1..=LEN => Ok(LINES[index - 1]),
            _ => self.table.line(index - LEN - 1).ok_or("an index beyond the table"),
        }
    }

    /// Writes a literal field to the end of `head`'s bytes.
    fn literal(
        &self,
        first: u8,
        prefix: u32,
        input: &mut &[u8],
        head: &mut Head,
    ) -> Result<Written, &'static str> {
        let index = integer::decode(first & ((1 << prefix) - 1), prefix, input)?;
        let start = head.bytes.len();
        let (class, index) = if index == 0 {
            string(input, &mut head.bytes)?;
            let name = &head.bytes[start..];
            let index = find_name(name, hash(name));
            let line = LINES.get(usize::from(index).wrapping_sub(1));
            (line.map_or_else(|| Class::of_name(name), class_of_name), index)
        } else {
            let line = self.line(index)?;
            head.bytes.extend_from_slice(line.name());
            (class_of_name(&line), line.index)
        };
        let name_len = head.bytes.len() - start;
        head.bytes.extend_from_slice(b": ");
        let value = head.bytes.len();
        string(input, &mut head.bytes)?;
        let class = class.with_value(&head.bytes[value..]);
        let value_len = head.bytes.len() - value;
        head.bytes.extend_from_slice(b"\r\n");
        Ok(Written { start, name_len, value_len, class, index })
    }
}

/// The class that the name of an entry has, whose value may be wrong.
#[inline]
fn class_of_name(line: &Line<'_>) -> Class {
    if line.class.is_of_the_value() { Class::of_name(line.name()) } else { line.class }
}

/// A field at the end of a head's bytes that the head has not judged yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    pub(crate) start: usize,
    pub(crate) name_len: usize,
    pub(crate) value_len: usize,
    pub(crate) class: Class,
    pub(crate) index: u8,
}

/// Reads a string literal (RFC 7541, 5.2) and appends it to `out`.
#[inline]
fn string(input: &mut &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    const CUT: &str = "a field block that ends within a string";
    let (&first, rest) = input.split_first().ok_or(CUT)?;
    *input = rest;
    let len = integer::decode(first & 0x7f, 7, input)?;
    let (text, rest) = input.split_at_checked(len).ok_or(CUT)?;
    *input = rest;
    if first & 0x80 != 0 {
        return huffman::decode(text, out);
    }
    out.extend_from_slice(text);
    Ok(())
}
