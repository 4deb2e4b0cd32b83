//! The thread that writes the access log: takes batches in order, gives their buffers back, and outlives every
//! failure of its destination.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::registry::Registry;

/// Batches that may wait for the writer; what comes while so many wait is dropped and counted.
pub(super) const BATCHES_MAX: usize = 64;

/// How long [`Writer::finish`] waits for a destination that takes nothing.
const FINISH_WAIT_MAX: Duration = Duration::from_secs(2);

/// How often a destination in non-blocking mode (a pipe shared with a program that set it so) is asked again before
/// lines are given up; once if it has failed before.
const WOULD_BLOCK_RETRIES_MAX: u32 = 100;
const WOULD_BLOCK_PAUSE: Duration = Duration::from_millis(10);

/// How long the thread leaves the workers alone after writing; the channel holds what hundreds of megabytes a second
/// make in this time.
const PAUSE: Duration = Duration::from_millis(5);

/// Lines on their way from a worker.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
    /// Where the buffer goes back to.
    pub(super) home: SyncSender<Vec<u8>>,
}

/// What the thread receives.
#[derive(Debug)]
pub(super) enum Message {
    /// Lines to write.
    Batch(Batch),
    /// Look at the [`Orders`]. Not needed when the channel is full: they are looked at before every batch.
    Wake,
}

/// What the thread is to do besides writing; apart from the channel, so that a full one cannot hold them up.
#[derive(Debug, Default)]
struct Orders {
    reopen: AtomicBool,
    finish: AtomicBool,
}

/// The running thread.
#[derive(Debug)]
pub(super) struct Writer {
    sender: SyncSender<Message>,
    orders: Arc<Orders>,
    /// Closed by the thread when it ends. The mutex lets several threads hold the log; it is never contended.
    ended: Mutex<Receiver<()>>,
    thread: JoinHandle<()>,
}

impl Writer {
    pub(super) fn start(output: Output, registry: Arc<Registry>) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(BATCHES_MAX);
        let (alive, ended) = sync_channel(0);
        let orders = Arc::<Orders>::default();
        let task = Task { output, registry, orders: Arc::clone(&orders), failing: false, torn: false };
        let run = move || {
            task.run(&receiver);
            drop(alive);
        };
        let thread = thread::Builder::new().name("access-log".into()).spawn(run)?;
        Ok(Self { sender, orders, ended: Mutex::new(ended), thread })
    }

    pub(super) fn sender(&self) -> SyncSender<Message> {
        self.sender.clone()
    }

    pub(super) fn reopen(&self) {
        self.orders.reopen.store(true, Ordering::Release);
        let _ = self.sender.try_send(Message::Wake);
    }

    pub(super) fn finish(self) {
        self.orders.finish.store(true, Ordering::Release);
        let _ = self.sender.try_send(Message::Wake);
        match self.ended.into_inner().unwrap_or_else(PoisonError::into_inner).recv_timeout(FINISH_WAIT_MAX) {
            Err(RecvTimeoutError::Disconnected) => drop(self.thread.join()),
            // Left to the end of the process: a thread in a blocking write cannot be interrupted.
            _ => tracing::warn!(
                "the access log's destination did not take the last lines within 2 s; they are lost"
            ),
        }
    }
}

/// Where the lines go.
#[derive(Debug)]
pub(super) struct Output {
    file: File,
    /// For reopening; `None` for standard output.
    path: Option<PathBuf>,
}

impl Output {
    /// A file, appended to; created readable for owner and group, because it holds clients' addresses.
    pub(super) fn file(path: &Path) -> io::Result<Self> {
        Ok(Self { file: open(path)?, path: Some(path.into()) })
    }

    /// Standard output, past the lock and the line buffer of `std::io::Stdout`.
    pub(super) fn stdout() -> io::Result<Self> {
        Ok(Self { file: io::stdout().as_fd().try_clone_to_owned()?.into(), path: None })
    }

    #[cfg(test)]
    pub(super) fn descriptor(descriptor: impl Into<std::os::fd::OwnedFd>) -> Self {
        Self { file: descriptor.into().into(), path: None }
    }
}

fn open(path: &Path) -> io::Result<File> {
    // A FIFO opened for writing alone blocks until a reader opens it, which would keep the process from starting.
    let fifo = path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo());
    OpenOptions::new().append(true).create(true).read(fifo).mode(0o640).open(path)
}

/// What the thread owns.
struct Task {
    output: Output,
    registry: Arc<Registry>,
    orders: Arc<Orders>,
    /// The last write failed and that was reported.
    failing: bool,
    /// The output ends within a line.
    torn: bool,
}

impl Task {
    fn run(mut self, receiver: &Receiver<Message>) {
        // Ends early only when all senders are gone, and then nothing is left to write.
        while let Ok(message) = receiver.recv() {
            self.take(message);
            receiver.try_iter().for_each(|message| self.take(message));
            if self.orders.finish.load(Ordering::Acquire) {
                receiver.try_iter().for_each(|message| self.take(message));
                return;
            }
            // What comes meanwhile is taken together: the workers need not wake this thread for each batch.
            thread::sleep(PAUSE);
        }
    }

    fn take(&mut self, message: Message) {
        if self.orders.reopen.swap(false, Ordering::AcqRel) {
            self.reopen();
        }
        let Message::Batch(mut batch) = message else { return };
        self.write(&batch);
        batch.bytes.clear();
        // Full or gone: the buffer is freed instead.
        let _ = batch.home.try_send(batch.bytes);
    }

    fn reopen(&mut self) {
        let Some(path) = &self.output.path else { return };
        match open(path) {
            Ok(file) => {
                self.output.file = file;
                (self.failing, self.torn) = (false, false);
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot reopen the access log; it is still written to the old file")
            }
        }
    }

    /// Writes a batch; on an error, counts as dropped what is not written whole.
    fn write(&mut self, batch: &Batch) {
        let lost = match self.write_all(&batch.bytes) {
            Ok(()) => {
                self.failing = false;
                0
            }
            Err((rest, error)) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(%error, "cannot write the access log; its lines are dropped until it can");
                }
                rest.iter().filter(|&&byte| byte == b'\n').count() as u64
            }
        };
        self.registry.access_log_dropped.add(lost);
        self.registry.access_log_lines.add(batch.lines.saturating_sub(lost));
    }

    /// The error comes with what was not written.
    fn write_all<'a>(&mut self, mut bytes: &'a [u8]) -> Result<(), (&'a [u8], io::Error)> {
        let mut retries = 0;
        let retries_max = if self.failing { 1 } else { WOULD_BLOCK_RETRIES_MAX };
        if self.torn {
            self.output.file.write(b"\n").map_err(|error| (bytes, error))?;
            self.torn = false;
        }
        while !bytes.is_empty() {
            match self.output.file.write(bytes) {
                Ok(0) => return Err((bytes, ErrorKind::WriteZero.into())),
                Ok(written) => {
                    self.torn = bytes[written - 1] != b'\n';
                    bytes = &bytes[written..];
                    retries = 0;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && retries < retries_max => {
                    retries += 1;
                    thread::sleep(WOULD_BLOCK_PAUSE);
                }
                Err(error) => return Err((bytes, error)),
            }
        }
        Ok(())
    }
}
