//! The thread that writes the access log: takes batches in order, gives their buffers back, and outlives every
//! failure of its destination.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::destination::Output;
use super::patience::Patience;
use crate::registry::Registry;

/// Batches that may wait for the writer; what comes while so many wait is dropped and counted.
pub(super) const BATCHES_MAX: usize = 64;

/// How long [`Writer::finish`] waits for a destination that takes nothing.
const FINISH_WAIT_MAX: Duration = Duration::from_secs(2);

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
        let task = Task { output, registry, orders: Arc::clone(&orders), failing: false };
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

/// What the thread owns.
struct Task {
    output: Output,
    registry: Arc<Registry>,
    orders: Arc<Orders>,
    /// The last write failed and that was reported.
    failing: bool,
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
        let stream = match &mut self.output {
            Output::Stream(stream) => stream,
            Output::Syslog(syslog) => return syslog.to.reopen(),
            Output::Journal(journal) => return journal.to.reopen(),
        };
        match stream.reopen() {
            Ok(is_new) => self.failing &= !is_new,
            Err((path, error)) => {
                tracing::warn!(path = %path.display(), %error, "cannot reopen the access log; it is still written to the old file")
            }
        }
    }

    /// Writes a batch; on an error, counts as dropped what is not written whole.
    fn write(&mut self, batch: &Batch) {
        let lost = self.write_lines(&batch.bytes);
        self.registry.access_log_dropped.add(lost);
        self.registry.access_log_lines.add(batch.lines.saturating_sub(lost));
    }

    /// Writes lines, and tells how many are lost.
    fn write_lines(&mut self, bytes: &[u8]) -> u64 {
        let mut patience = Patience::new(self.failing);
        let (lost, error) = match &mut self.output {
            Output::Stream(stream) => match stream.write_all(bytes, &mut patience) {
                Ok(()) => (0, None),
                Err((rest, error)) => {
                    (rest.iter().filter(|&&byte| byte == b'\n').count() as u64, Some(error))
                }
            },
            Output::Syslog(syslog) => each_line(bytes, |line| syslog.send(line, &mut patience)),
            Output::Journal(journal) => each_line(bytes, |line| journal.send(line, &mut patience)),
        };
        self.judge(error);
        lost
    }

    /// Says once that the destination has failed, and once that it takes lines again.
    fn judge(&mut self, error: Option<io::Error>) {
        let Some(error) = error else {
            if std::mem::take(&mut self.failing) && !matches!(self.output, Output::Stream(_)) {
                tracing::info!("the access log's destination takes lines again");
            }
            return;
        };
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(%error, "cannot write the access log; its lines are dropped until it can");
        }
    }
}

/// Sends each line; tells how many are lost, and why the last one is, if it is.
fn each_line(bytes: &[u8], mut send: impl FnMut(&[u8]) -> io::Result<()>) -> (u64, Option<io::Error>) {
    let (mut lost, mut last) = (0, None);
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        last = send(line).err();
        lost += u64::from(last.is_some());
    }
    (lost, last)
}
