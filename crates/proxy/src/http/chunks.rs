//! Decoding a body piece by piece, in place: nothing is copied, and nothing but CRLF ends a line
//! (RFC 9112, section 7.1).

use std::fmt;

use super::field::is_of_tokens;
use super::framing::Framing;
use super::write;

/// Most bytes of chunk extensions in one body; they are dropped, never passed on.
const EXTENSIONS_MAX: usize = 4 * 1024;
/// Most digits of a chunk size: 2^60 bytes.
const SIZE_DIGITS_MAX: u8 = 15;

/// Where in the body the decoder stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In data that ends by length.
    Length { left: u64 },
    /// In data that ends with the connection.
    UntilClose,
    /// In the digits of a chunk's size.
    Size { digits: u8, size: u64 },
    /// In a chunk's extensions.
    Extension { size: u64, part: Extension },
    /// Behind the CR of a size line.
    SizeLf { size: u64 },
    /// In a chunk's data.
    Data { left: u64 },
    /// Behind a chunk's data.
    DataCr,
    /// Behind the CR that follows a chunk's data.
    DataLf,
    /// In the trailer section. `line` counts the bytes of the current line.
    Trailers { line: usize },
    /// All has been read.
    End,
    /// What came made no sense, and nothing that follows does.
    Broken,
}

/// Where in a chunk extension: `;`, a name, and perhaps `=` and a value, with white space between them (RFC 9112,
/// 7.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extension {
    BeforeName,
    Name,
    BehindName,
    BeforeValue,
    Token,
    Quoted,
    Escaped,
    BehindValue,
}

impl Extension {
    /// What follows with this byte; `None` if it has no place here.
    fn next(self, byte: u8) -> Option<Self> {
        let is_token = is_of_tokens(byte);
        Some(match (self, byte) {
            (Self::Quoted, b'"') => Self::BehindValue,
            (Self::Quoted, b'\\') => Self::Escaped,
            (Self::Quoted | Self::Escaped, b'\t' | b' '..=b'~' | 0x80..) => Self::Quoted,
            (Self::BeforeName | Self::BeforeValue, b' ' | b'\t') => self,
            (Self::Name | Self::BehindName, b' ' | b'\t') => Self::BehindName,
            (Self::Token | Self::BehindValue, b' ' | b'\t') => Self::BehindValue,
            (Self::Name | Self::BehindName | Self::Token | Self::BehindValue, b';') => Self::BeforeName,
            (Self::Name | Self::BehindName, b'=') => Self::BeforeValue,
            (Self::BeforeValue, b'"') => Self::Quoted,
            (Self::BeforeName | Self::Name, _) if is_token => Self::Name,
            (Self::BeforeValue | Self::Token, _) if is_token => Self::Token,
            _ => return None,
        })
    }

    /// True if the line may end here.
    fn may_end(self) -> bool {
        matches!(self, Self::Name | Self::BehindName | Self::Token | Self::BehindValue)
    }
}

/// A body on its way through.
#[derive(Debug)]
pub struct Decoder {
    at: At,
    extensions: usize,
    trailers: Vec<u8>,
    trailers_max: usize,
}

/// What the next bytes of a body are.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Data: `input[start..end]`; everything up to `end` has been used.
    Data {
        /// First byte of data.
        start: usize,
        /// Behind the last.
        end: usize,
    },
    /// All input has been used, and more is needed.
    More,
    /// The body ended, having used this many bytes.
    End(usize),
}

/// Why a body is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Decoder {
    /// A decoder at the start of a body. Trailers may take `trailers_max` bytes.
    pub fn new(framing: Framing, trailers_max: usize) -> Self {
        let at = match framing {
            Framing::Empty | Framing::Length(0) => At::End,
            Framing::Length(left) => At::Length { left },
            Framing::Chunked => At::Size { digits: 0, size: 0 },
            Framing::UntilClose => At::UntilClose,
        };
        Self { at, extensions: 0, trailers: Vec::new(), trailers_max }
    }

    /// True when all has been read.
    pub fn is_done(&self) -> bool {
        self.at == At::End
    }

    /// The bytes of data still to come, when that is known.
    pub fn left(&self) -> Option<u64> {
        match self.at {
            At::End => Some(0),
            At::Length { left } => Some(left),
            _ => None,
        }
    }

    /// So many bytes of a body whose length is known, at most those that are [left](Self::left), have gone another way.
    pub fn pass(&mut self, bytes: u64) {
        if let At::Length { left } = self.at {
            debug_assert!(bytes <= left, "more has gone than there is");
            self.at = if left > bytes { At::Length { left: left - bytes } } else { At::End };
        }
    }

    /// The trailer section with its empty line; empty when there were no trailers.
    pub fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// What it means that the connection has ended here: for `UntilClose` the end of the body.
    ///
    /// # Errors
    /// The body was cut.
    pub fn finish(&mut self) -> Result<(), Malformed> {
        match self.at {
            At::End | At::UntilClose => {
                self.at = At::End;
                Ok(())
            }
            _ => Err(Malformed("connection closed within a body")),
        }
    }

    /// Takes the next step into the body with what has been read.
    ///
    /// # Errors
    /// The framing is broken; nothing that follows can be trusted.
    pub fn step(&mut self, input: &[u8]) -> Result<Step, Malformed> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            match self.at {
                At::End => return Ok(Step::End(used)),
                _ if rest.is_empty() => return Ok(Step::More),
                At::UntilClose => return Ok(Step::Data { start: used, end: input.len() }),
                At::Length { left } => {
                    let (end, left) = take(used, rest, left);
                    self.at = if left == 0 { At::End } else { At::Length { left } };
                    return Ok(Step::Data { start: used, end });
                }
                At::Data { left } => {
                    let (end, left) = take(used, rest, left);
                    self.at = if left == 0 { At::DataCr } else { At::Data { left } };
                    return Ok(Step::Data { start: used, end });
                }
                At::Broken => return Err(Malformed("malformed before")),
                _ => {
                    let next = self.framing_byte(rest[0]);
                    self.at = *next.as_ref().unwrap_or(&At::Broken);
                    next?;
                    used += 1;
                }
            }
        }
    }

    /// One byte of what is not data.
    fn framing_byte(&mut self, byte: u8) -> Result<At, Malformed> {
        match (self.at, byte) {
            (At::Size { digits, size }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if digits == SIZE_DIGITS_MAX {
                    return Err(Malformed("chunk size too large"));
                }
                let digit = (byte as char).to_digit(16).map_or(0, u64::from);
                Ok(At::Size { digits: digits + 1, size: size << 4 | digit })
            }
            (At::Size { digits: 1.., size }, b'\r') => Ok(At::SizeLf { size }),
            (At::Size { digits: 1.., size }, b';') => Ok(At::Extension { size, part: Extension::BeforeName }),
            (At::Size { .. }, _) => Err(Malformed("invalid chunk size")),
            (At::Extension { size, part }, b'\r') if part.may_end() => Ok(At::SizeLf { size }),
            (At::Extension { size, part }, _) => {
                self.extensions += 1;
                if self.extensions > EXTENSIONS_MAX {
                    return Err(Malformed("chunk extensions too large"));
                }
                let part = part.next(byte).ok_or(Malformed("invalid chunk extension"))?;
                Ok(At::Extension { size, part })
            }
            (At::SizeLf { size: 0 }, b'\n') => Ok(At::Trailers { line: 0 }),
            (At::SizeLf { size }, b'\n') => Ok(At::Data { left: size }),
            (At::SizeLf { .. }, _) => Err(Malformed("carriage return without line feed in a chunk size")),
            (At::DataCr, b'\r') => Ok(At::DataLf),
            (At::DataLf, b'\n') => Ok(At::Size { digits: 0, size: 0 }),
            (At::DataCr | At::DataLf, _) => Err(Malformed("chunk data longer than its size")),
            (At::Trailers { line }, byte) => self.trailer_byte(line, byte),
            (At::Length { .. } | At::UntilClose | At::Data { .. } | At::End | At::Broken, _) => Ok(self.at),
        }
    }

    fn trailer_byte(&mut self, line: usize, byte: u8) -> Result<At, Malformed> {
        if self.trailers.len() >= self.trailers_max {
            return Err(Malformed("trailers too large"));
        }
        self.trailers.push(byte);
        if byte != b'\n' {
            return Ok(At::Trailers { line: line + 1 });
        }
        if self.trailers.len() < 2 || self.trailers[self.trailers.len() - 2] != b'\r' {
            return Err(Malformed("line feed without carriage return in trailers"));
        }
        if line > 1 {
            return Ok(At::Trailers { line: 0 });
        }
        if self.trailers.len() == 2 {
            self.trailers.clear();
        }
        Ok(At::End)
    }
}

/// The bytes of data in a chunked body that is all of `body`, if it is written as this crate writes one, and without trailers: then it
/// can be passed on as it is, or [without its chunks](keep_data).
pub fn data_as_written(body: &[u8]) -> Option<u64> {
    // Room for the empty line behind the last chunk, and for no trailer.
    let mut decoder = Decoder::new(Framing::Chunked, b"\r\n".len());
    let (mut rest, mut data, mut ends_line): (_, _, &[u8]) = (body, 0, b"");
    loop {
        let (size, used) = match decoder.step(rest).ok()? {
            Step::Data { start, end } => (end - start, end),
            Step::End(used) if used == rest.len() => (0, used),
            Step::End(_) | Step::More => return None,
        };
        let (line, content) =
            rest.strip_prefix(ends_line)?.split_at_checked(used - ends_line.len() - size)?;
        let mut room = [0; 18];
        let is_written = line.strip_prefix(write::chunk_size(size, &mut room))?;
        if size == 0 {
            return (is_written == b"\r\n").then_some(data);
        }
        if !is_written.is_empty() {
            return None;
        }
        data += size as u64;
        (rest, ends_line) = (&content[size..], b"\r\n");
    }
}

/// Leaves nothing of a chunked body but its data. The body begins at `start`, and all of it is there.
pub fn keep_data(buf: &mut Vec<u8>, start: usize) {
    let mut decoder = Decoder::new(Framing::Chunked, b"\r\n".len());
    let (mut read, mut kept) = (start, start);
    while let Ok(Step::Data { start, end }) = decoder.step(&buf[read..]) {
        buf.copy_within(read + start..read + end, kept);
        kept += end - start;
        read += end;
    }
    buf.truncate(kept);
}

/// Takes as much of `left` as `rest` holds: where it ends in the input, and what is left then.
fn take(used: usize, rest: &[u8], left: u64) -> (usize, u64) {
    let taken = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
    (used + taken, left - taken as u64)
}

#[cfg(test)]
#[path = "chunks_tests.rs"]
mod tests;
