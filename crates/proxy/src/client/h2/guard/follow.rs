//! Finds the frames in a stream of bytes that goes by in pieces (RFC 9113, section 4.1).

use std::ops::ControlFlow;

/// Bytes of a frame header.
const HEADER: usize = 9;
/// Bytes from the start of a payload that a [`Watcher`] may ask for: a pad length and a stream dependency.
pub const PREFIX_MAX: usize = 5;

/// A frame header, whose stream is [`Frame::stream`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Bytes of payload.
    pub length: usize,
    /// The frame's type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream, reserved bit removed.
    pub stream: u32,
}

/// What is to be known of the frames that go by.
pub trait Watcher {
    /// Why a frame is not let through.
    type Stop;

    /// A header is complete. The number is how many bytes of payload [`Watcher::prefix`] needs, [`PREFIX_MAX`] at
    /// most; 0 when none.
    fn header(&mut self, frame: Frame) -> ControlFlow<Self::Stop, usize>;

    /// The bytes asked for, or all of the payload when it is shorter.
    fn prefix(&mut self, frame: Frame, bytes: &[u8]) -> ControlFlow<Self::Stop>;
}

/// Where in a frame the next byte belongs.
#[derive(Debug, Default)]
pub struct Follower {
    held: [u8; HEADER + PREFIX_MAX],
    filled: usize,
    wanted: usize,
    frame: Option<Frame>,
    skip: usize,
}

impl Follower {
    /// Follows `bytes`. Breaks where `watcher` does, with the count of bytes before the one that decided it.
    pub fn follow<W: Watcher>(&mut self, mut bytes: &[u8], watcher: &mut W) -> ControlFlow<(usize, W::Stop)> {
        let whole = bytes.len();
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let taken = bytes.len().min(HEADER + self.wanted - self.filled);
            if taken == 0 {
                continue;
            }
            self.held[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if let ControlFlow::Break(stop) = self.advance(watcher) {
                return ControlFlow::Break((whole - bytes.len() - 1, stop));
            }
        }
        ControlFlow::Continue(())
    }

    /// True within a frame header.
    pub fn is_in_header(&self) -> bool {
        self.frame.is_none() && self.filled > 0
    }

    /// True within the payload of the last frame.
    pub fn is_in_frame(&self) -> bool {
        self.frame.is_some() || self.skip > 0
    }

    /// Acts on what is held, if that is a whole header, or a whole header and the prefix asked for.
    fn advance<W: Watcher>(&mut self, watcher: &mut W) -> ControlFlow<W::Stop> {
        if self.filled < HEADER + self.wanted {
            return ControlFlow::Continue(());
        }
        let frame = match self.frame {
            Some(frame) => {
                watcher.prefix(frame, &self.held[HEADER..self.filled])?;
                frame
            }
            None => {
                let frame = Frame::parse(&self.held);
                self.wanted = watcher.header(frame)?.min(PREFIX_MAX).min(frame.length);
                if self.wanted > 0 {
                    self.frame = Some(frame);
                    return ControlFlow::Continue(());
                }
                frame
            }
        };
        *self = Self { skip: frame.length - self.wanted, ..Self::default() };
        ControlFlow::Continue(())
    }
}

impl Frame {
    fn parse(bytes: &[u8; HEADER + PREFIX_MAX]) -> Self {
        let number = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let length = (number(0) >> 8) as usize;
        Self { length, kind: bytes[3], flags: bytes[4], stream: number(5) & (u32::MAX >> 1) }
    }

    /// True when `flag` is set.
    pub fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes what it sees; wants a prefix of frames of type 1, and stops at frames of type 9.
    #[derive(Default)]
    struct Notes(Vec<(Frame, Vec<u8>)>);

    impl Watcher for Notes {
        type Stop = u32;

        fn header(&mut self, frame: Frame) -> ControlFlow<u32, usize> {
            if frame.kind == 9 {
                return ControlFlow::Break(frame.stream);
            }
            if frame.kind == 1 {
                return ControlFlow::Continue(3);
            }
            self.0.push((frame, Vec::new()));
            ControlFlow::Continue(0)
        }

        fn prefix(&mut self, frame: Frame, bytes: &[u8]) -> ControlFlow<u32> {
            self.0.push((frame, bytes.to_vec()));
            ControlFlow::Continue(())
        }
    }

    fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, u8::try_from(payload.len()).unwrap(), kind, 4];
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn seen(kind: u8, stream: u32, length: usize, prefix: &[u8]) -> (Frame, Vec<u8>) {
        (Frame { length, kind, flags: 4, stream }, prefix.to_vec())
    }

    #[test]
    fn frames_are_found_however_the_bytes_are_cut() {
        let stream = [
            frame(0, 1, b"hello"),
            frame(1, 3, b"abcdef"),
            frame(1, 5, b"xy"),
            frame(1, 7, b""),
            frame(6, 1 << 31, b""),
            frame(0, 9, &[7; 200]),
        ]
        .concat();
        let expected = [
            seen(0, 1, 5, b""),
            seen(1, 3, 6, b"abc"),
            seen(1, 5, 2, b"xy"),
            seen(6, 0, 0, b""),
            seen(0, 9, 200, b""),
        ];
        for size in 1..=stream.len() {
            let (mut follower, mut notes) = (Follower::default(), Notes::default());
            for piece in stream.chunks(size) {
                assert!(follower.follow(piece, &mut notes).is_continue());
            }
            assert_eq!(notes.0, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn a_stop_tells_how_much_came_before_it() {
        let stream = [frame(0, 1, b"hello"), frame(9, 3, b"abc")].concat();
        for size in 1..=stream.len() {
            let (mut follower, mut notes) = (Follower::default(), Notes::default());
            let mut before = 0;
            let stop = stream.chunks(size).find_map(|piece| match follower.follow(piece, &mut notes) {
                ControlFlow::Continue(()) => {
                    before += piece.len();
                    None
                }
                ControlFlow::Break((count, stream)) => Some((before + count, stream)),
            });
            assert_eq!(stop, Some((14 + HEADER - 1, 3)), "in pieces of {size}");
        }
    }
}
