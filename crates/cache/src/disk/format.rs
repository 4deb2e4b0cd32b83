//! What a file of the disk cache holds: a head with a checksum, then the body in pieces, each with a checksum.
//!
//! Whatever is read is checked before it is used. What does not hold is as if it were not there.

use bytes::Bytes;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::head::{Head, LENGTHS};

/// The first bytes of a file. Another version of the format has another number.
const MAGIC: &[u8; 8] = b"EVKLCH01";
/// Magic, length of the head, length of the body.
pub const PREFIX: usize = 8 + 4 + 8;
/// The size of a checksum, in bytes.
pub const SUM: usize = 8;
/// The bytes of the body that have a checksum of their own.
pub const PIECE: usize = 64 << 10;
/// A longer head is not stored. Four texts of 64 KiB, tags and a response head are shorter.
pub const HEAD_MAX: usize = 1 << 20;

/// How a type parameter of the store is written and read.
#[derive(Debug, Clone, Copy)]
pub struct Codec<M> {
    /// Appends it.
    pub encode: fn(&M, &mut Vec<u8>),
    /// Reads it from all of these bytes; `None` if they are not one.
    pub decode: fn(&[u8]) -> Option<M>,
}

/// What the first bytes of a file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// The length of all that comes before the body, in bytes.
    pub head_len: usize,
    /// The length of the body, in bytes.
    pub body_len: u64,
}

impl Prefix {
    /// Reads it; `None` if the file is not ours.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Bits(bytes);
        let magic: [u8; 8] = reader.array()?;
        let head_len = u32::from_le_bytes(reader.array()?) as usize;
        let body_len = u64::from_le_bytes(reader.array()?);
        let is_ours = magic == *MAGIC && (PREFIX + SUM..=HEAD_MAX).contains(&head_len);
        is_ours.then_some(Self { head_len, body_len })
    }

    /// The length of the file, in bytes; `None` if it is too long for a file.
    pub fn file_len(self) -> Option<u64> {
        let sums = self.body_len.div_ceil(PIECE as u64).checked_mul(SUM as u64)?;
        self.body_len.checked_add(sums)?.checked_add(self.head_len as u64).filter(|&len| len < 1 << 62)
    }

    /// Where a piece of the body begins in the file, and its length with its checksum.
    pub fn piece(self, index: u64) -> (u64, usize) {
        let begin = index * PIECE as u64;
        let len = self.body_len.saturating_sub(begin).min(PIECE as u64) as usize;
        (self.head_len as u64 + begin + index * SUM as u64, len + SUM)
    }
}

/// All that comes before the body; `None` if that is too long.
pub fn encode_head<M>(
    head: &Head<M>,
    trailers: &[u8],
    body_len: u64,
    stamp: u64,
    codec: &Codec<M>,
) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(256 + head.texts().len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend(body_len.to_le_bytes());
    out.extend(stamp.to_le_bytes());
    out.extend(head.sequence().to_le_bytes());
    head.lengths().iter().for_each(|length| out.extend(length.to_le_bytes()));
    let mut meta = Vec::new();
    (codec.encode)(head.meta(), &mut meta);
    for part in [&meta[..], trailers, head.texts()] {
        out.extend(u32::try_from(part.len()).ok()?.to_le_bytes());
        out.extend_from_slice(part);
    }
    let len = out.len() + SUM;
    out[8..12].copy_from_slice(&u32::try_from(len).ok().filter(|_| len <= HEAD_MAX)?.to_le_bytes());
    out.extend(xxh3_64(&out).to_le_bytes());
    Some(out)
}

/// What comes before the body.
#[derive(Debug)]
pub struct Decoded<M> {
    /// The head.
    pub head: Head<M>,
    /// The trailer section.
    pub trailers: Bytes,
    /// When it was written: of two files of one response, the one with the larger stamp is the newer.
    pub stamp: u64,
}

/// Reads what comes before the body; `None` if it is damaged.
pub fn decode_head<M>(bytes: &[u8], codec: &Codec<M>) -> Option<Decoded<M>> {
    let payload = checked(bytes)?;
    let mut reader = Bits(payload.get(PREFIX..)?);
    let stamp = u64::from_le_bytes(reader.array()?);
    let sequence = u64::from_le_bytes(reader.array()?);
    let mut lengths = [0; LENGTHS];
    for length in &mut lengths {
        *length = u32::from_le_bytes(reader.array()?);
    }
    let meta = (codec.decode)(reader.part()?)?;
    let trailers = Bytes::copy_from_slice(reader.part()?);
    let head = Head::from_parts(reader.part()?, lengths, sequence, meta)?;
    Some(Decoded { head, trailers, stamp })
}

/// Bytes without the checksum at their end; `None` if it does not hold.
fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let (payload, sum) = bytes.split_at_checked(bytes.len().checked_sub(SUM)?)?;
    (xxh3_64(payload).to_le_bytes() == sum).then_some(payload)
}

/// Appends a piece of a body with its checksum, for the file with this stamp.
pub fn encode_piece(piece: &[u8], (stamp, index): (u64, u64), out: &mut Vec<u8>) {
    out.extend_from_slice(piece);
    out.extend(piece_sum(piece, stamp, index).to_le_bytes());
}

/// A piece of a body without the checksum at its end; `None` if that does not hold.
pub fn checked_piece(bytes: &[u8], (stamp, index): (u64, u64)) -> Option<&[u8]> {
    let (piece, sum) = bytes.split_at_checked(bytes.len().checked_sub(SUM)?)?;
    (piece_sum(piece, stamp, index).to_le_bytes() == sum).then_some(piece)
}

/// A piece holds in one place of one file alone: after a loss of power, a file may have blocks of one that was removed.
fn piece_sum(piece: &[u8], stamp: u64, index: u64) -> u64 {
    xxh3_64_with_seed(piece, stamp ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Takes values from the beginning of bytes.
struct Bits<'a>(&'a [u8]);

impl<'a> Bits<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn part(&mut self) -> Option<&'a [u8]> {
        let len = u32::from_le_bytes(self.array()?);
        self.take(len as usize)
    }
}
