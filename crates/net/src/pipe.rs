//! A pipe through which the kernel moves bytes from one socket to another without copying them (splice(2)).

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// Bytes that a pipe may hold. The kernel counts pages: 16 hold as much as a socket on a fast network has at a time.
pub const PIPE_BYTES: usize = 256 * 1024;

/// A pipe.
#[derive(Debug)]
pub struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    /// Bytes in it.
    held: usize,
}

impl Pipe {
    /// An empty one.
    ///
    /// # Errors
    /// The process may open no more descriptors, or only the last ones are left.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        crate::descriptors::for_pipe(&writer)?;
        // A user who has many pipes may get small ones, which serve as well.
        let _ = fcntl_setpipe_size(&writer, PIPE_BYTES);
        Ok(Self { reader, writer, held: 0 })
    }

    /// Bytes in it.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Takes what a socket has, at most `max` bytes, into an empty pipe; 0 is the end. `WouldBlock` if it has nothing.
    pub(crate) fn fill(&mut self, from: impl AsFd, max: usize) -> io::Result<usize> {
        debug_assert_eq!(self.held, 0, "what is full looks the same as what has nothing");
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let moved = splice(from, None, &self.writer, None, max.min(PIPE_BYTES), flags)?;
        self.held += moved;
        Ok(moved)
    }

    /// Gives a socket what it takes of it; `WouldBlock` if that is nothing.
    pub(crate) fn drain(&mut self, to: impl AsFd) -> io::Result<usize> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let moved = splice(&self.reader, None, to, None, self.held, flags)?;
        self.held -= moved.min(self.held);
        Ok(moved)
    }
}
