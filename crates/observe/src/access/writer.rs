//! The thread that writes the access log: takes batches in order, gives their buffers back, and outlives every
//! failure of its destination.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

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

/// Between two reports that lines are lost: a destination may lose some lines of many batches.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// Lines on their way from a worker.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    /// How many of the bytes are lines.
    pub(super) filled: usize,
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
    /// For this destination, which the configuration calls `to`.
    pub(super) fn start(output: Output, to: String, registry: Arc<Registry>) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(BATCHES_MAX);
        let (alive, ended) = sync_channel(0);
        let orders = Arc::<Orders>::default();
        let task = Task::new(output, to, registry, Arc::clone(&orders));
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
    /// What the configuration calls it.
    to: String,
    registry: Arc<Registry>,
    orders: Arc<Orders>,
    /// The last line was lost.
    failing: bool,
    /// That lines are lost was reported, and the destination has not taken a whole batch since.
    is_reported: bool,
    reported_at: Option<Instant>,
}

impl Task {
    fn new(output: Output, to: String, registry: Arc<Registry>, orders: Arc<Orders>) -> Self {
        Self { output, to, registry, orders, failing: false, is_reported: false, reported_at: None }
    }

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
        let Message::Batch(batch) = message else { return };
        self.write(&batch);
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
            Ok(true) => (self.failing, self.is_reported, self.reported_at) = (false, false, None),
            Ok(false) => {}
            Err((path, error)) => {
                tracing::warn!(path = %path.display(), %error, "cannot reopen the access log; it is still written to the old file")
            }
        }
    }

    /// Writes a batch; on an error, counts as dropped what is not written whole.
    fn write(&mut self, batch: &Batch) {
        let lost = self.write_lines(&batch.bytes[..batch.filled]);
        self.registry.access_log_dropped.add(lost);
        self.registry.access_log_lines.add(batch.lines.saturating_sub(lost));
    }

    /// Writes lines, and tells how many are lost.
    fn write_lines(&mut self, bytes: &[u8]) -> u64 {
        let mut patience = Patience::new(self.failing);
        let Written { lost, error, is_last_lost } = match &mut self.output {
            Output::Stream(stream) => match stream.write_all(bytes, &mut patience) {
                Ok(()) => Written::default(),
                Err((rest, error)) => {
                    let lost = rest.iter().filter(|&&byte| byte == b'\n').count() as u64;
                    Written { lost, error: Some(error), is_last_lost: true }
                }
            },
            Output::Syslog(syslog) => each_line(bytes, |line| syslog.send(line, &mut patience)),
            Output::Journal(journal) => each_line(bytes, |line| journal.send(line, &mut patience)),
        };
        self.failing = is_last_lost;
        self.report(error);
        lost
    }

    /// Says once that the destination loses lines, and once that it takes them again.
    fn report(&mut self, error: Option<io::Error>) {
        let is_due = || self.reported_at.is_none_or(|at| at.elapsed() >= REPORT_EVERY);
        let to = &self.to;
        match error {
            Some(error) if !self.is_reported && is_due() => {
                (self.is_reported, self.reported_at) = (true, Some(Instant::now()));
                tracing::warn!(to, %error, "cannot write the access log; lines are dropped until its destination takes all of them");
            }
            Some(_) => {}
            None => {
                if std::mem::take(&mut self.is_reported) {
                    tracing::info!(to, "the access log's destination takes lines again");
                }
            }
        }
    }
}

/// What became of a batch.
#[derive(Debug, Default)]
struct Written {
    lost: u64,
    /// Why the first of the lost lines is lost.
    error: Option<io::Error>,
    is_last_lost: bool,
}

/// Sends each line.
fn each_line(bytes: &[u8], mut send: impl FnMut(&[u8]) -> io::Result<()>) -> Written {
    let mut written = Written::default();
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let sent = send(line);
        written.is_last_lost = sent.is_err();
        if let Err(error) = sent {
            written.lost += 1;
            written.error.get_or_insert(error);
        }
    }
    written
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::super::datagrams::{Datagrams, Peer};
    use super::super::syslog::Syslog;
    use super::*;

    #[test]
    fn a_loss_is_reported_also_if_the_last_line_of_its_batch_is_taken() {
        let path = std::env::temp_dir().join(format!("evenkeel-writer-{}.sock", std::process::id()));
        let daemon = UnixDatagram::bind(&path).unwrap();
        let output = Output::Syslog(Syslog::new(Datagrams::new(Peer::Local(path.clone()))));
        let mut task = Task::new(output, String::new(), Registry::new(1), Arc::default());
        let too_long = vec![b'x'; 8 << 20];
        assert_eq!(task.write_lines(&[&too_long[..], b"\nshort\n"].concat()), 1);
        assert!(task.is_reported && !task.failing, "{}", task.failing);
        daemon.recv(&mut [0; 1_024]).unwrap();
        assert_eq!(task.write_lines(b"short\n"), 0);
        assert!(!task.is_reported);
        assert_eq!(task.write_lines(&[&too_long[..], b"\nshort\n"].concat()), 1);
        assert!(!task.is_reported, "it was reported a moment ago");
        std::fs::remove_file(path).unwrap();
    }
}
