//! The encoders behind one face: bytes in, fewer bytes out, flushed or ended when asked.

use std::fmt;

use brotlic::encode::{BrotliEncoder, BrotliEncoderOptions, BrotliOperation};
use brotlic::{CompressionMode, Quality, WindowSize};
use evenkeel_config::Encoding;
use flate2::{Compress, Compression, FlushCompress};
use zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, ResetDirective};

/// Bytes of zstd's window as a power of two: 512 KiB. Clients must take 8 MiB (RFC 9659); this is for our own memory.
const ZSTD_WINDOW_LOG: u32 = 19;
/// Entries of zstd's tables as a power of two.
const ZSTD_TABLE_LOG: u32 = 16;
/// The same of brotli: 256 KiB, because it keeps four times as much beside it, and a larger one saves 0.1 % of a page.
const BR_WINDOW_LOG: u8 = 18;
/// And for short responses at least.
const BR_WINDOW_LOG_MIN: u8 = 14;
/// Brotli takes tables of 4 MiB when it expects a megabyte; so it learns of no more than this.
const BR_HINT_MAX: u64 = 512 * 1024;

/// What an encoder is to do with what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Compress it as it sees fit.
    Go,
    /// Let go of all of it, so that a client can read all that came so far.
    Flush,
    /// End: nothing follows.
    Finish,
}

/// An encoder failed, which happens only when there is no memory.
#[derive(Debug)]
pub struct EncoderFailed(pub Encoding);

impl fmt::Display for EncoderFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} encoder failed", self.0.word())
    }
}

/// How far an encoder came.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Bytes of the input that it has taken.
    pub taken: usize,
    /// All of the input is taken, and what was asked for is done.
    pub is_done: bool,
}

/// An encoder in the middle of a response, or between two.
pub enum Encoder {
    /// gzip, by zlib-rs.
    Gzip(Compress),
    /// Brotli.
    Br(BrotliEncoder),
    /// Zstandard.
    Zstd(CCtx<'static>),
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoder({})", self.encoding().word())
    }
}

impl Encoder {
    /// An encoder for one response, of this length if it is known; `None` if there is no memory for it.
    pub fn new(encoding: Encoding, level: u32, length: Option<u64>) -> Option<Self> {
        let mut encoder = match encoding {
            // 31: a window of 32 KiB, in the format of gzip.
            Encoding::Gzip => Self::Gzip(Compress::new_gzip(Compression::new(level), 15)),
            Encoding::Br => return brotli(level, length).map(Self::Br),
            Encoding::Zstd => Self::Zstd(CCtx::try_create()?),
        };
        encoder.begin(level).then_some(encoder)
    }

    /// Makes one that has served another response ready for the next; false if it cannot be used again.
    pub fn begin(&mut self, level: u32) -> bool {
        match self {
            Self::Gzip(gzip) => {
                gzip.reset();
                gzip.set_level(Compression::new(level)).is_ok()
            }
            Self::Br(_) => false,
            Self::Zstd(zstd) => set_up(zstd, level).is_ok(),
        }
    }

    /// What it makes.
    pub fn encoding(&self) -> Encoding {
        match self {
            Self::Gzip(_) => Encoding::Gzip,
            Self::Br(_) => Encoding::Br,
            Self::Zstd(_) => Encoding::Zstd,
        }
    }

    /// Compresses some of `input` behind what `out` holds, as far as its capacity goes. To be called again with what is
    /// left of the input until it is done. With [`Operation::Go`] it may keep some of it.
    ///
    /// # Errors
    /// It has failed, and cannot be used any more.
    pub fn encode(
        &mut self,
        input: &[u8],
        operation: Operation,
        out: &mut Vec<u8>,
    ) -> Result<Progress, EncoderFailed> {
        let failed = EncoderFailed(self.encoding());
        debug_assert!(out.len() < out.capacity(), "there is room for what comes out");
        match self {
            Self::Gzip(gzip) => gzipped(gzip, input, operation, out),
            Self::Br(br) => brotlied(br, input, operation, out),
            Self::Zstd(zstd) => zstandard(zstd, input, operation, out),
        }
        .ok_or(failed)
    }

    /// All of `input` at once, if that makes less of it than it is.
    ///
    /// # Errors
    /// It has failed, and cannot be used any more.
    pub fn whole(&mut self, input: &[u8]) -> Result<Option<Vec<u8>>, EncoderFailed> {
        let mut out = Vec::with_capacity(input.len());
        let mut at = 0;
        while out.len() < out.capacity() {
            let progress = self.encode(&input[at..], Operation::Finish, &mut out)?;
            at += progress.taken;
            if progress.is_done {
                return Ok(Some(out));
            }
        }
        Ok(None)
    }
}

fn gzipped(gzip: &mut Compress, input: &[u8], operation: Operation, out: &mut Vec<u8>) -> Option<Progress> {
    let flush = match operation {
        Operation::Go => FlushCompress::None,
        Operation::Flush => FlushCompress::Sync,
        Operation::Finish => FlushCompress::Finish,
    };
    let before = gzip.total_in();
    let status = gzip.compress_vec(input, out, flush).ok()?;
    let taken = usize::try_from(gzip.total_in() - before).ok()?;
    let is_done = match operation {
        Operation::Finish => status == flate2::Status::StreamEnd,
        // It has flushed all when it leaves room (zlib.h).
        _ => taken == input.len() && out.len() < out.capacity(),
    };
    Some(Progress { taken, is_done })
}

fn brotli(level: u32, length: Option<u64>) -> Option<BrotliEncoder> {
    // No larger than what is to come.
    let needed = length.map_or(u32::from(BR_WINDOW_LOG), |length| u64::BITS - length.leading_zeros());
    let window = u8::try_from(needed).unwrap_or(BR_WINDOW_LOG).clamp(BR_WINDOW_LOG_MIN, BR_WINDOW_LOG);
    let hint = length.unwrap_or(0).min(BR_HINT_MAX);
    BrotliEncoderOptions::new()
        .quality(Quality::new(u8::try_from(level).ok()?).ok()?)
        .window_size(WindowSize::new(window).ok()?)
        .mode(CompressionMode::Generic)
        .size_hint(u32::try_from(hint).ok()?)
        .build()
        .ok()
}

fn brotlied(
    br: &mut BrotliEncoder,
    input: &[u8],
    operation: Operation,
    out: &mut Vec<u8>,
) -> Option<Progress> {
    let operation = match operation {
        Operation::Go => BrotliOperation::Process,
        Operation::Flush => BrotliOperation::Flush,
        Operation::Finish => BrotliOperation::Finish,
    };
    let filled = out.len();
    out.resize(out.capacity(), 0);
    let result = br.compress(input, &mut out[filled..], operation);
    out.truncate(filled + result.as_ref().map_or(0, |result| result.bytes_written));
    let taken = result.ok()?.bytes_read;
    Some(Progress { taken, is_done: taken == input.len() && !br.has_output() })
}

fn set_up(zstd: &mut CCtx<'static>, level: u32) -> Result<(), zstd_safe::ErrorCode> {
    zstd.reset(ResetDirective::SessionOnly)?;
    zstd.set_parameter(CParameter::CompressionLevel(i32::try_from(level).unwrap_or(1)))?;
    zstd.set_parameter(CParameter::WindowLog(ZSTD_WINDOW_LOG))?;
    zstd.set_parameter(CParameter::HashLog(ZSTD_TABLE_LOG))?;
    zstd.set_parameter(CParameter::ChainLog(ZSTD_TABLE_LOG))?;
    // No word of the length: the encoder fails when a server does not keep it.
    Ok(())
}

fn zstandard(
    zstd: &mut CCtx<'static>,
    input: &[u8],
    operation: Operation,
    out: &mut Vec<u8>,
) -> Option<Progress> {
    let directive = match operation {
        Operation::Go => ZSTD_EndDirective::ZSTD_e_continue,
        Operation::Flush => ZSTD_EndDirective::ZSTD_e_flush,
        Operation::Finish => ZSTD_EndDirective::ZSTD_e_end,
    };
    let mut input = InBuffer::around(input);
    let filled = out.len();
    let left = zstd.compress_stream2(&mut OutBuffer::around_pos(out, filled), &mut input, directive).ok()?;
    let is_all = input.pos() == input.src.len();
    Some(Progress { taken: input.pos(), is_done: is_all && (operation == Operation::Go || left == 0) })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn text(len: usize) -> Vec<u8> {
        (0..len as u64 / 8).flat_map(|i| format!("{:07} ", i * i % 9_973).into_bytes()).collect()
    }

    fn decoded(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match encoding {
            Encoding::Gzip => {
                flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut out).unwrap();
            }
            Encoding::Br => {
                brotlic::decode::DecompressorReader::new(bytes).read_to_end(&mut out).unwrap();
            }
            Encoding::Zstd => {
                out.reserve(16 << 20);
                zstd_safe::decompress(&mut out, bytes).unwrap();
            }
        }
        out
    }

    /// Feeds it in pieces of `step` bytes, with a small buffer for what comes out.
    fn encoded(encoder: &mut Encoder, input: &[u8], step: usize, flushes: bool) -> Vec<u8> {
        let mut whole = Vec::new();
        let mut drive = |piece: &[u8], operation| {
            let mut at = 0;
            loop {
                let mut out = Vec::with_capacity(64);
                let progress = encoder.encode(&piece[at..], operation, &mut out).unwrap();
                at += progress.taken;
                whole.extend_from_slice(&out);
                if progress.is_done {
                    break;
                }
            }
        };
        for piece in input.chunks(step) {
            drive(piece, Operation::Go);
            if flushes {
                drive(b"", Operation::Flush);
            }
        }
        drive(b"", Operation::Finish);
        whole
    }

    #[test]
    fn every_encoder_gives_back_what_it_took() {
        for encoding in Encoding::ALL {
            for level in 1..=9 {
                let level = if encoding == Encoding::Br { level.min(6) } else { level };
                for (len, step) in [(0, 1), (100, 7), (200_000, 10_000)] {
                    let input = text(len);
                    let mut encoder = Encoder::new(encoding, level, None).unwrap();
                    let out = encoded(&mut encoder, &input, step, len == 100);
                    assert!(decoded(encoding, &out) == input, "{encoding:?} {level} {len}");
                }
            }
        }
    }

    #[test]
    fn an_encoder_that_was_left_in_the_middle_begins_anew() {
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let mut encoder = Encoder::new(encoding, 4, None).unwrap();
            let mut out = Vec::with_capacity(100);
            encoder.encode(&text(50_000), Operation::Go, &mut out).unwrap();
            assert!(encoder.begin(1));
            let out = encoded(&mut encoder, b"abc", 3, false);
            assert_eq!(decoded(encoding, &out), b"abc");
        }
    }

    #[test]
    fn what_was_flushed_can_be_read() {
        for encoding in Encoding::ALL {
            let mut encoder = Encoder::new(encoding, 4, None).unwrap();
            let mut out = Vec::with_capacity(1_000);
            encoder.encode(b"data: 1\n\n", Operation::Go, &mut out).unwrap();
            assert!(encoder.encode(b"", Operation::Flush, &mut out).unwrap().is_done);
            let mut read = [0; 9];
            match encoding {
                Encoding::Gzip => flate2::read::GzDecoder::new(&out[..]).read_exact(&mut read).unwrap(),
                Encoding::Br => {
                    brotlic::decode::DecompressorReader::new(&out[..]).read_exact(&mut read).unwrap();
                }
                Encoding::Zstd => {
                    let mut to = OutBuffer::around(&mut read[..]);
                    let mut from = InBuffer::around(&out);
                    zstd_safe::DCtx::create().decompress_stream(&mut to, &mut from).unwrap();
                }
            }
            assert_eq!(&read, b"data: 1\n\n", "{encoding:?}");
        }
    }

    #[test]
    fn what_does_not_become_smaller_is_not_compressed() {
        let mut noise = vec![0; 5_000];
        fastrand::Rng::with_seed(1).fill(&mut noise);
        for encoding in Encoding::ALL {
            let whole = |input: &[u8]| {
                Encoder::new(encoding, 4, Some(input.len() as u64)).unwrap().whole(input).unwrap()
            };
            assert_eq!(whole(&noise), None, "{encoding:?}");
            assert_eq!(decoded(encoding, &whole(&text(5_000)).unwrap()), text(5_000));
        }
    }
}
