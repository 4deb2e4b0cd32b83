//! What goes to the disk and comes from there: the body of a kept response, from wherever a range begins.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use evenkeel_cache::{Abandoned, Piece, Reader, Writer};

use super::store::{Meta, Object, Store};

/// How long a request waits for the disk at each step.
pub const DISK_MAX: Duration = Duration::from_secs(10);

/// A body on the disk.
#[derive(Debug)]
pub struct DiskBody {
    store: Arc<Store>,
    object: Arc<Object>,
    /// What reads it, and the offset of what that brings next.
    reader: Option<(Reader<Meta>, u64)>,
}

impl DiskBody {
    /// The body of an object that is on the disk. It is opened when it is read.
    pub fn new(store: Arc<Store>, object: Arc<Object>) -> Self {
        Self { store, object, reader: None }
    }

    /// What there is from `start` on. What lies before it is not read.
    pub fn poll_from(&mut self, start: u64, cx: &mut Context<'_>) -> Poll<Piece> {
        if start >= self.object.body_len() {
            return Poll::Ready(Piece::End(Bytes::copy_from_slice(self.object.trailers())));
        }
        if self.reader.as_ref().is_none_or(|(_, next)| *next != start) {
            self.reader = self.store.read(&self.object, start).map(|reader| (reader, start));
        }
        // Its file has made room for others, or too many wait for the disk.
        let Some((reader, next)) = &mut self.reader else { return Poll::Ready(Piece::Failed) };
        let piece = ready!(reader.poll_next(cx));
        if let Piece::Chunk(bytes) = &piece {
            *next += bytes.len() as u64;
        }
        Poll::Ready(piece)
    }
}

/// Waits until the next piece may be pushed. A disk that takes too long is left behind.
pub async fn ready(writer: &mut Writer<Meta>) -> Result<(), Abandoned> {
    while writer.is_spooling() {
        let waiting = poll_fn(|cx| writer.poll_ready(cx));
        match tokio::time::timeout(DISK_MAX, waiting).await {
            Ok(ready) => return ready,
            Err(_) => writer.leave_slow_disk(),
        }
    }
    poll_fn(|cx| writer.poll_ready(cx)).await
}
