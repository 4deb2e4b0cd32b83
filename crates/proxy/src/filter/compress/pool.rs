//! The encoders of one worker: some are kept for the next response, and all together they may take only so much memory.

use std::cell::{Cell, RefCell};

use evenkeel_config::Encoding;

use super::encoder::{Encoder, EncoderFailed, Operation, Progress};
use super::turns::{Looked, Turns};

/// Bytes that the encoders in use by one worker may take. A response that finds no room goes out as it is.
const MEMORY_MAX: usize = 64 * 1024 * 1024;
/// Encoders of a kind kept for later, with what they have allocated; what comes back beyond is freed.
const KEPT_MAX: usize = 4;

/// The encoders of one worker.
#[derive(Debug, Default)]
pub struct Encoders {
    gzip: RefCell<Vec<Encoder>>,
    zstd: RefCell<Vec<Encoder>>,
    /// Bytes that those in use take.
    used: Cell<usize>,
    /// How many there have been.
    leased: Cell<u64>,
    turns: Turns,
}

/// An encoder that one response uses. It goes back when this is dropped, if the response was ended.
#[derive(Debug)]
pub struct Lease<'w> {
    encoding: Encoding,
    encoder: Option<Encoder>,
    of: &'w Encoders,
    /// Of all that there have been, from 1.
    number: u64,
    bytes: usize,
    /// It has begun a response and has not ended it. Then it is not used again: `deflateReset` of zlib-rs does not forget
    /// that a block of level 1 is open, and what is compressed next cannot be read.
    is_midway: bool,
}

/// Bytes that an encoder takes at the most, as measured with text of a megabyte and more.
pub const fn memory(encoding: Encoding, level: u32) -> usize {
    const KIB: usize = 1024;
    match encoding {
        Encoding::Gzip => 384 * KIB,
        Encoding::Br => match level {
            0..=3 => 1_408 * KIB,
            4 => 3_328 * KIB,
            _ => 5_184 * KIB,
        },
        Encoding::Zstd => 1_856 * KIB,
    }
}

impl Encoders {
    /// An encoder for a response of this length, if that is known; `None` if there is no room for it.
    pub fn lease(&self, encoding: Encoding, level: u32, length: Option<u64>) -> Option<Lease<'_>> {
        let bytes = memory(encoding, level);
        if self.used.get() + bytes > MEMORY_MAX {
            return None;
        }
        let kept = self.kept(encoding).and_then(|kept| kept.borrow_mut().pop());
        let again = kept.and_then(|mut encoder| encoder.begin(level).then_some(encoder));
        let encoder = match again {
            Some(encoder) => encoder,
            None => Encoder::new(encoding, level, length)?,
        };
        self.used.set(self.used.get() + bytes);
        let number = self.leased.get() + 1;
        self.leased.set(number);
        Some(Lease { encoding, encoder: Some(encoder), of: self, number, bytes, is_midway: false })
    }

    /// Where encoders are kept; those of brotli cannot be used twice.
    fn kept(&self, encoding: Encoding) -> Option<&RefCell<Vec<Encoder>>> {
        match encoding {
            Encoding::Gzip => Some(&self.gzip),
            Encoding::Zstd => Some(&self.zstd),
            Encoding::Br => None,
        }
    }
}

impl Lease<'_> {
    /// What the encoder makes.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Whether it is this response's turn, see [`Turns`].
    pub fn may_go_on(&self, looked: &mut Looked) -> bool {
        self.of.turns.may_go_on(self.number, looked)
    }

    /// As [`Encoder::encode`].
    ///
    /// # Errors
    /// It has failed, and is thrown away.
    pub fn encode(
        &mut self,
        input: &[u8],
        operation: Operation,
        out: &mut Vec<u8>,
    ) -> Result<Progress, EncoderFailed> {
        let progress = self.used(|encoder| encoder.encode(input, operation, out))?;
        self.is_midway = operation != Operation::Finish || !progress.is_done;
        Ok(progress)
    }

    /// As [`Encoder::whole`].
    ///
    /// # Errors
    /// It has failed, and is thrown away.
    pub fn whole(&mut self, input: &[u8]) -> Result<Option<Vec<u8>>, EncoderFailed> {
        let whole = self.used(|encoder| encoder.whole(input))?;
        self.is_midway = whole.is_none();
        Ok(whole)
    }

    fn used<T>(
        &mut self,
        with: impl FnOnce(&mut Encoder) -> Result<T, EncoderFailed>,
    ) -> Result<T, EncoderFailed> {
        let result = self.encoder.as_mut().map_or(Err(EncoderFailed(self.encoding)), with);
        if result.is_err() {
            self.encoder = None;
        }
        result
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.of.used.set(self.of.used.get() - self.bytes);
        self.of.turns.end(self.number);
        let Some(encoder) = self.encoder.take().filter(|_| !self.is_midway) else { return };
        if let Some(kept) = self.of.kept(encoder.encoding()) {
            let mut kept = kept.borrow_mut();
            if kept.len() < KEPT_MAX {
                kept.push(encoder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn beyond_the_memory_that_they_may_take_there_is_none() {
        let encoders = Encoders::default();
        let lease = || encoders.lease(Encoding::Br, 6, None);
        let mut leases: Vec<_> =
            (0..MEMORY_MAX / memory(Encoding::Br, 6)).map(|_| lease().unwrap()).collect();
        assert!(lease().is_none());
        assert!(encoders.lease(Encoding::Gzip, 1, None).is_some(), "it takes less");
        leases.pop();
        assert!(lease().is_some());
        drop(leases);
        assert_eq!(encoders.used.get(), 0);
    }

    #[test]
    fn what_a_client_has_left_in_the_middle_spoils_no_other_response() {
        let text: Vec<u8> =
            (0..50_000_u64).flat_map(|i| format!("{} ", i * i % 9_973).into_bytes()).collect();
        let encoders = Encoders::default();
        for level in 1..=9 {
            let mut left = encoders.lease(Encoding::Gzip, level, None).unwrap();
            let mut out = Vec::with_capacity(16 << 10);
            left.encode(&text, Operation::Go, &mut out).unwrap();
            drop(left);
            let whole = encoders.lease(Encoding::Gzip, level, None).unwrap().whole(&text).unwrap().unwrap();
            let mut decoded = Vec::new();
            flate2::read::GzDecoder::new(&whole[..]).read_to_end(&mut decoded).unwrap();
            assert!(decoded == text, "level {level}");
        }
    }

    #[test]
    fn only_so_many_are_kept() {
        let encoders = Encoders::default();
        let leases: Vec<_> = (0..10).filter_map(|_| encoders.lease(Encoding::Gzip, 4, None)).collect();
        assert_eq!(leases.len(), 10);
        drop(leases);
        assert_eq!(encoders.gzip.borrow().len(), KEPT_MAX);
        let mut failed = encoders.lease(Encoding::Gzip, 4, None).unwrap();
        failed.used(|_| Err::<(), _>(EncoderFailed(Encoding::Gzip))).unwrap_err();
        assert!(failed.whole(b"x").is_err(), "it is not used again");
        drop(failed);
        assert_eq!(encoders.gzip.borrow().len(), KEPT_MAX - 1);
    }
}
