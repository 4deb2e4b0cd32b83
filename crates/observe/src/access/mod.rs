//! The access log: one line for each request, formatted by the worker that served it and written by a thread of its
//! own, so that a slow disk or pipe costs lines but never time on the request path.

mod combined;
mod datagrams;
mod destination;
mod journal;
mod json;
mod line;
mod patience;
mod record;
mod stamp;
mod stream;
mod syslog;
mod writer;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use evenkeel_config::{Log, LogFormat};

pub use record::{CacheLog, Client, Ended, Record, RenderedOrigin, RenderedWay, TraceLog, Version};
pub use stamp::rfc3339;
pub use stream::StreamRecord;

use crate::registry::Registry;
use destination::Output;
use line::Line;
use stamp::Stamp;
use writer::{Batch, Message, Writer};

/// Written buffers that wait for their worker to use them again; more, as after a stall, are freed.
const SPARE_BUFFERS_MAX: usize = 16;

/// A batch is handed over when it exceeds this many bytes.
const BATCH_BYTES: usize = 32 << 10;

/// Room in a batch: what it may hold before its last line, and the longest line.
const BATCH_CAPACITY: usize = BATCH_BYTES + LINE_BYTES_MAX;

/// Room for a line. None is longer, because every text that comes from outside is cut at [`record::FIELD_BYTES_MAX`].
const LINE_BYTES_MAX: usize = 48 << 10;

/// The access log of the process: owns the writer thread.
#[derive(Debug)]
pub struct AccessLog {
    format: LogFormat,
    registry: Arc<Registry>,
    /// `None` when the log is off.
    writer: Option<Writer>,
}

impl AccessLog {
    /// Opens the destination and starts the writer.
    ///
    /// # Errors
    /// When the file cannot be opened or created, or the thread not be started.
    pub fn start(log: &Log, registry: Arc<Registry>) -> io::Result<AccessLog> {
        match Output::open(&log.access, log.format)? {
            Some(output) => Self::start_with(output, log, registry),
            None => Ok(Self { format: log.format, registry, writer: None }),
        }
    }

    fn start_with(output: Output, log: &Log, registry: Arc<Registry>) -> io::Result<AccessLog> {
        let writer = Writer::start(output, log.access.to_string(), Arc::clone(&registry))?;
        Ok(Self { format: log.format, registry, writer: Some(writer) })
    }

    /// What one worker writes its lines to.
    pub fn worker(&self) -> WorkerLog {
        let sink = self.writer.as_ref().map(|writer| {
            let (home, recycled) = sync_channel(SPARE_BUFFERS_MAX);
            Sink {
                format: self.format,
                stamp: Stamp::new(),
                bytes: vec![0; BATCH_CAPACITY],
                filled: 0,
                lines: 0,
                to_writer: writer.sender(),
                home,
                recycled,
                registry: Arc::clone(&self.registry),
            }
        });
        WorkerLog { sink }
    }

    /// Has the file opened anew by its name, after something like logrotate moved it away. If that fails, the old
    /// file stays and a warning says so. Nothing is done for standard output; a socket is connected anew.
    pub fn reopen(&self) {
        if let Some(writer) = &self.writer {
            writer.reopen();
        }
    }

    /// Writes what the workers have handed over and ends the writer. Waits up to 2 s for a destination that takes
    /// nothing. Workers flush (or are dropped) first.
    pub fn finish(self) {
        if let Some(writer) = self.writer {
            writer.finish();
        }
    }
}

/// A worker's end of the access log; dropping it flushes.
#[derive(Debug)]
pub struct WorkerLog {
    /// `None` when the log is off.
    sink: Option<Sink>,
}

impl WorkerLog {
    /// Adds a line.
    #[inline]
    pub fn record(&mut self, record: &Record<'_>) {
        if let Some(sink) = &mut self.sink {
            sink.record(record);
        }
    }

    /// Adds the line of a connection.
    pub fn record_stream(&mut self, record: &StreamRecord<'_>) {
        if let Some(sink) = &mut self.sink {
            sink.record_stream(record);
        }
    }

    /// Hands over the lines that wait, if any. Never blocks.
    pub fn flush(&mut self) {
        if let Some(sink) = &mut self.sink {
            sink.flush();
        }
    }

    /// Whether lines wait for a [`WorkerLog::flush`], which should follow within 100 ms or so.
    #[inline]
    pub fn pending(&self) -> bool {
        self.sink.as_ref().is_some_and(|sink| sink.lines > 0)
    }
}

impl Drop for WorkerLog {
    fn drop(&mut self) {
        self.flush();
    }
}

#[derive(Debug)]
struct Sink {
    format: LogFormat,
    stamp: Stamp,
    /// The lines, and room for more.
    bytes: Vec<u8>,
    /// Bytes of them.
    filled: usize,
    lines: u64,
    to_writer: SyncSender<Message>,
    /// Travels with each batch, so that the writer can send the buffer back.
    home: SyncSender<Vec<u8>>,
    recycled: Receiver<Vec<u8>>,
    registry: Arc<Registry>,
}

impl Sink {
    fn record(&mut self, record: &Record<'_>) {
        let line = Line(&mut self.bytes[self.filled..]);
        let rest = match self.format {
            LogFormat::Json => json::write(line, record, &mut self.stamp),
            LogFormat::Combined => combined::write(line, record, &mut self.stamp),
        };
        let left = rest.left();
        self.line_written(left);
    }

    fn record_stream(&mut self, record: &StreamRecord<'_>) {
        let line = Line(&mut self.bytes[self.filled..]);
        let rest = match self.format {
            LogFormat::Json => stream::json(line, record, &mut self.stamp),
            LogFormat::Combined => stream::combined(line, record, &mut self.stamp),
        };
        let left = rest.left();
        self.line_written(left);
    }

    #[inline]
    fn line_written(&mut self, left: usize) {
        self.filled = self.bytes.len() - left;
        self.lines += 1;
        if self.filled > BATCH_BYTES {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.lines == 0 {
            return;
        }
        let next = self.recycled.try_recv().unwrap_or_else(|_| vec![0; BATCH_CAPACITY]);
        let (bytes, filled) = (std::mem::replace(&mut self.bytes, next), std::mem::take(&mut self.filled));
        let batch = Batch { bytes, filled, lines: std::mem::take(&mut self.lines), home: self.home.clone() };
        let Err(error) = self.to_writer.try_send(Message::Batch(batch)) else { return };
        let (TrySendError::Full(message) | TrySendError::Disconnected(message)) = error;
        if let Message::Batch(lost) = message {
            self.registry.access_log_dropped.add(lost.lines);
            self.bytes = lost.bytes;
        }
    }
}

#[cfg(test)]
mod format_tests;
#[cfg(test)]
mod tests;
