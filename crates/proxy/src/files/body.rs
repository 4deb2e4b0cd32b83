//! The body of a file that is too large for memory: read piece by piece, as its client takes it.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::Arc;

use evenkeel_config::Files;
use rustix::fs::{Advice, fadvise};
use rustix::io::{Errno, ReadWriteFlags, pread, preadv2};

use super::disk::Waits;
use super::pool::NoOutcome;
use super::version::OpenFile;
use crate::body::Advance;
use crate::worker::Worker;
use crate::worker::buffers::{LARGE, MEDIUM, ReadSize, SMALL};

/// So much is sent before other connections of the worker have their turn, and so much is asked for at once.
const STRETCH: u64 = 1024 * 1024;
/// Between two places at which the kernel is asked whether a file lies in its memory. It reads ahead by as much and more.
const STRIDE: u64 = 256 * 1024;

/// So much is read from the disk before the kernel is to send it.
const LOAD: u64 = 512 * 1024;
/// Bytes of a page, the smallest piece that the kernel reads.
const PAGE: usize = 4096;

/// A part of a body.
#[derive(Debug, Clone)]
pub enum Part {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Of the file, from the first byte to before the second.
    File(u64, u64),
}

/// Why a file could not be sent to its end.
#[derive(Debug)]
pub enum FileError {
    /// It has become shorter than it was.
    Shrunk,
    /// It cannot be read.
    Io(io::Error),
    /// The disk has too much to do, or takes too long.
    Disk(NoOutcome),
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shrunk => f.write_str("the file became shorter while it was sent"),
            Self::Io(error) => write!(f, "the file cannot be read: {error}"),
            Self::Disk(no_outcome) => no_outcome.fmt(f),
        }
    }
}

/// Parts of a file, and what is between them.
#[derive(Debug)]
pub struct FileBody {
    worker: Rc<Worker>,
    files: Arc<Files>,
    open: Arc<OpenFile>,
    parts: VecDeque<Part>,
    /// Initialised as a whole; the piece is in front.
    buffer: Vec<u8>,
    piece: usize,
    /// The buffer was filled while the worker did something else.
    is_read: bool,
    /// How much is read at a time.
    size: ReadSize,
    /// Sent since others had their turn.
    stretch: u64,
}

impl FileBody {
    /// These parts of a file of `files`, one after the other.
    pub fn new(
        worker: &Rc<Worker>,
        files: &Arc<Files>,
        open: &Arc<OpenFile>,
        parts: impl Into<VecDeque<Part>>,
    ) -> Self {
        Self {
            worker: Rc::clone(worker),
            files: Arc::clone(files),
            open: Arc::clone(open),
            parts: parts.into(),
            buffer: Vec::new(),
            piece: 0,
            is_read: false,
            size: worker.unsent.read_size(),
            stretch: 0,
        }
    }

    /// The piece that [`advance`](Self::advance) came to.
    pub fn piece(&self) -> &[u8] {
        &self.buffer[..self.piece]
    }

    /// Sets how much is read at a time.
    pub fn read_in(&mut self, size: ReadSize) {
        self.size = size;
    }

    /// Goes to the next piece, if it can be had without waiting for the disk.
    ///
    /// # Errors
    /// The file ends here, before its end.
    pub fn advance(&mut self) -> Result<Advance, FileError> {
        if std::mem::take(&mut self.is_read) {
            return Ok(Advance::Piece);
        }
        self.piece = 0;
        if self.stretch >= STRETCH && !self.parts.is_empty() {
            return Ok(Advance::MustRead);
        }
        match self.parts.front_mut() {
            None => Ok(Advance::End),
            Some(Part::Bytes(bytes)) => {
                let bytes = std::mem::take(bytes);
                self.parts.pop_front();
                self.worker.buffers.give(std::mem::replace(&mut self.buffer, bytes));
                self.piece = self.buffer.len();
                Ok(Advance::Piece)
            }
            Some(Part::File(from, end)) => {
                let (from, left) = (*from, *end - *from);
                let room = self.make_room(self.size, left);
                match self.read_at_once(from, room) {
                    Ok(0) => Err(FileError::Shrunk),
                    Ok(read) => {
                        self.take(read);
                        Ok(Advance::Piece)
                    }
                    Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INTR) => Ok(Advance::MustRead),
                    Err(errno) => Err(FileError::Io(errno.into())),
                }
            }
        }
    }

    fn read_at_once(&mut self, from: u64, room: usize) -> Result<usize, Errno> {
        let flags = match self.open.waits {
            Waits::Reported => ReadWriteFlags::NOWAIT,
            Waits::Never => ReadWriteFlags::empty(),
            Waits::Untold => return Err(Errno::AGAIN),
        };
        preadv2(&self.open.file, &mut [IoSliceMut::new(&mut self.buffer[..room])], from, flags)
    }

    /// Has room for a piece of at most `left` bytes.
    fn make_room(&mut self, size: ReadSize, left: u64) -> usize {
        let capacity = match size {
            ReadSize::Small => SMALL,
            ReadSize::Medium => MEDIUM,
            ReadSize::Large => LARGE,
        };
        if self.buffer.len() != capacity {
            let buffers = &self.worker.buffers;
            buffers.give(std::mem::take(&mut self.buffer));
            self.buffer = match size {
                ReadSize::Small => buffers.small(),
                ReadSize::Medium => buffers.medium(),
                ReadSize::Large => buffers.large(),
            };
            self.buffer.resize(capacity, 0);
        }
        usize::try_from(left).unwrap_or(capacity).min(capacity)
    }

    /// So many bytes of the file are sent, or about to be.
    fn take(&mut self, bytes: usize) {
        self.piece = bytes;
        self.sent(bytes as u64);
    }

    /// Waits for the next piece, or until others had their turn.
    ///
    /// # Errors
    /// The file ends here, before its end.
    pub async fn read(&mut self, size: ReadSize) -> Result<(), FileError> {
        if self.stretch >= STRETCH {
            self.stretch = 0;
            tokio::task::yield_now().await;
            return Ok(());
        }
        let Some(Part::File(from, end)) = self.parts.front() else { return Ok(()) };
        let (from, left) = (*from, *end - *from);
        let room = self.make_room(size, left);
        let (open, mut buffer) = (Arc::clone(&self.open), std::mem::take(&mut self.buffer));
        let calls = self.worker.files.disk.below(&self.files.root);
        let reading = calls.run(move || {
            let read = pread(&open.file, &mut buffer[..room], from);
            (read, buffer)
        });
        let (read, buffer) = reading.await.map_err(FileError::Disk)?;
        self.buffer = buffer;
        match read {
            Ok(0) => Err(FileError::Shrunk),
            Ok(read) => {
                self.take(read);
                self.is_read = true;
                Ok(())
            }
            Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(FileError::Io(errno.into())),
        }
    }

    /// The next part, if the kernel is to send it.
    pub fn part(&self) -> Option<&Part> {
        self.parts.front()
    }

    /// The file.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.open.file.as_fd()
    }

    /// So many bytes of the part have been sent.
    pub fn sent(&mut self, bytes: u64) {
        self.stretch += bytes;
        if let Some(Part::File(from, end)) = self.parts.front_mut() {
            *from += bytes;
            if from >= end {
                self.parts.pop_front();
            }
        }
    }

    /// How much of the part can be sent without waiting for the disk: all of what is due next, or nothing.
    pub fn ready(&mut self) -> u64 {
        let Some(Part::File(from, end)) = self.parts.front() else { return 0 };
        let (from, end) = (*from, (*end).min(*from + STRETCH));
        match self.open.waits {
            Waits::Reported => {}
            Waits::Never => return end - from,
            Waits::Untold => return 0,
        }
        let places = (from..end).step_by(STRIDE as usize).chain([end - 1]);
        let lies_in_memory = |at: u64| {
            let mut byte = [0];
            let read =
                preadv2(&self.open.file, &mut [IoSliceMut::new(&mut byte)], at, ReadWriteFlags::NOWAIT);
            // What is wrong with it shows when it is sent.
            !matches!(read, Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INTR))
        };
        for at in places {
            if !lies_in_memory(at) {
                return 0;
            }
        }
        end - from
    }

    /// Waits until what is due next lies in memory, and tells how much that is.
    ///
    /// # Errors
    /// The disk took too long, or has too much to do.
    pub async fn load(&mut self) -> Result<u64, FileError> {
        let Some(Part::File(from, end)) = self.parts.front() else { return Ok(0) };
        let (from, end) = (*from, (*end).min(*from + LOAD));
        let open = Arc::clone(&self.open);
        let calls = self.worker.files.disk.below(&self.files.root);
        let loading = calls.run(move || {
            // All of it is asked for at once, and then each page is waited for. What is wrong with it shows when it is sent.
            let _ = fadvise(&open.file, from, NonZeroU64::new(end - from), Advice::WillNeed);
            let pages = (from..end).step_by(PAGE).chain([end - 1]);
            for at in pages {
                let _ = pread(&open.file, &mut [0][..], at);
            }
        });
        loading.await.map_err(FileError::Disk)?;
        Ok(end - from)
    }

    /// Gives other connections of the worker their turn, if it is due.
    pub async fn pause(&mut self) {
        if self.stretch >= STRETCH && !self.parts.is_empty() {
            self.stretch = 0;
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for FileBody {
    fn drop(&mut self) {
        self.worker.buffers.give(std::mem::take(&mut self.buffer));
    }
}
