//! Buffers that pass from connection to connection of one worker, so that an idle connection holds none.

use std::cell::{RefCell, RefMut};
use std::io;
use std::task::{Context, Poll};

use evenkeel_http2::Head;
use evenkeel_net::Io;

use crate::http::field::Field;

/// Holds most heads that come over HTTP/2, where thousands may wait over few connections, or some lines.
pub const TINY: usize = 640;
/// Holds most request heads; one that is larger makes its buffer grow. No power of two: the first bytes of each
/// buffer, which are all that most requests touch, would lie in the same few sets of the processor's caches.
pub const SMALL: usize = 2_560;
/// Holds a response head with most bodies.
pub const MEDIUM: usize = 16 * 1024;
/// For bodies that go on: fewer system calls a byte.
pub const LARGE: usize = 128 * 1024;
/// How much is read at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReadSize {
    /// [`SMALL`].
    Small,
    /// [`MEDIUM`].
    Medium,
    /// [`LARGE`].
    Large,
}

/// Buffers of a kind kept for later; what comes back beyond is freed.
const KEPT_MAX: usize = 128;
/// The same of large ones.
const LARGE_KEPT_MAX: usize = 16;

/// The buffers of one worker.
#[derive(Debug, Default)]
pub struct Buffers {
    tiny: RefCell<Vec<Vec<u8>>>,
    small: RefCell<Vec<Vec<u8>>>,
    medium: RefCell<Vec<Vec<u8>>>,
    large: RefCell<Vec<Vec<u8>>>,
    passing: RefCell<Vec<u8>>,
    fields: RefCell<Vec<Vec<Field>>>,
    /// Where heads that come over HTTP/2 are written to, before they are read.
    pub http2_head: RefCell<Head>,
}

impl Buffers {
    /// An empty buffer for some lines.
    pub fn tiny(&self) -> Vec<u8> {
        self.tiny.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(TINY))
    }

    /// An empty buffer for a head.
    pub fn small(&self) -> Vec<u8> {
        self.small.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(SMALL))
    }

    /// An empty buffer for a whole message.
    pub fn medium(&self) -> Vec<u8> {
        self.medium.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(MEDIUM))
    }

    /// An empty buffer for a body.
    pub fn large(&self) -> Vec<u8> {
        self.large.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(LARGE))
    }

    /// The one buffer, empty and of the size of a medium one, for bytes that are written as soon as they are read. Its user
    /// takes it away, and leaves another, if some of them cannot be written.
    pub fn passing(&self) -> RefMut<'_, Vec<u8>> {
        let mut passing = self.passing.borrow_mut();
        if passing.capacity() == 0 {
            *passing = self.medium();
        }
        passing.clear();
        passing
    }

    /// Reads from `io`, into a medium buffer that is taken only when there is something to read.
    pub fn poll_medium(&self, io: &Io, cx: &mut Context<'_>, buf: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        io.poll_read_lazily(cx, buf, || self.medium(), |buf| self.give(buf))
    }

    /// The same with a large one.
    pub fn poll_large(&self, io: &Io, cx: &mut Context<'_>, buf: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        io.poll_read_lazily(cx, buf, || self.large(), |buf| self.give(buf))
    }

    /// The same with one of `size`.
    pub fn poll_sized(
        &self,
        size: ReadSize,
        io: &Io,
        cx: &mut Context<'_>,
        buf: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        io.poll_read_lazily(cx, buf, || self.sized(size), |buf| self.give(buf))
    }

    /// The same for a task that `waits` already, or will: what has come has woken it, so the first read is tried without asking tokio
    /// whether there is something. Further reads ask, and so use up the task's budget: a peer that never stops sending does not keep
    /// the task from yielding.
    pub fn poll_awaited(
        &self,
        size: ReadSize,
        io: &Io,
        cx: &mut Context<'_>,
        buf: &mut Vec<u8>,
        waits: &mut bool,
    ) -> Poll<io::Result<usize>> {
        let read = match if *waits { self.read_at_once(size, io, buf) } else { None } {
            Some(read) => Poll::Ready(read),
            None => self.poll_sized(size, io, cx, buf),
        };
        *waits = read.is_pending();
        read
    }

    /// Reads from `io` what has come, into a buffer of `size`; `None` if there is nothing.
    fn read_at_once(&self, size: ReadSize, io: &Io, buf: &mut Vec<u8>) -> Option<io::Result<usize>> {
        if buf.capacity() == 0 {
            *buf = self.sized(size);
        }
        match io.try_read(buf) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if buf.is_empty() {
                    self.give(std::mem::take(buf));
                }
                None
            }
            read => Some(read),
        }
    }

    fn sized(&self, size: ReadSize) -> Vec<u8> {
        match size {
            ReadSize::Small => self.small(),
            ReadSize::Medium => self.medium(),
            ReadSize::Large => self.large(),
        }
    }

    /// An empty list of fields.
    pub fn fields(&self) -> Vec<Field> {
        self.fields.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a list of fields back.
    pub fn give_fields(&self, mut fields: Vec<Field>) {
        let mut kept = self.fields.borrow_mut();
        if kept.len() < KEPT_MAX && fields.capacity() > 0 {
            fields.clear();
            kept.push(fields);
        }
    }

    /// Takes a buffer back. One that had to grow is freed.
    pub fn give(&self, mut buffer: Vec<u8>) {
        let (kept, max) = match buffer.capacity() {
            TINY => (&self.tiny, KEPT_MAX),
            SMALL => (&self.small, KEPT_MAX),
            MEDIUM => (&self.medium, KEPT_MAX),
            LARGE => (&self.large, LARGE_KEPT_MAX),
            _ => return,
        };
        let mut kept = kept.borrow_mut();
        if kept.len() < max {
            buffer.clear();
            kept.push(buffer);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::future::poll_fn;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Reads until the task would yield; tells how often that was, or `None` if it would not.
    async fn reads_until_it_yields(io: &Io, refill: impl Fn()) -> Option<usize> {
        // As after a wait.
        let (buffers, mut buf, mut waits) = (Buffers::default(), Vec::new(), true);
        poll_fn(|cx| {
            let reads = (0..10_000).find(|_| {
                buf.clear();
                refill();
                buffers.poll_awaited(ReadSize::Small, io, cx, &mut buf, &mut waits).is_pending()
            });
            Poll::Ready(reads)
        })
        .await
    }

    #[test]
    fn a_peer_that_sends_and_sends_does_not_keep_a_task_from_yielding() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (peer, ours) = UnixStream::pair().unwrap();
            peer.set_nonblocking(true).unwrap();
            ours.set_nonblocking(true).unwrap();
            let io = Io::unix(tokio::net::UnixStream::from_std(ours).unwrap());
            let flood = || while (&peer).write(&[b'\n'; 4 * SMALL]).is_ok() {};
            flood();
            poll_fn(|cx| io.poll_readable(cx)).await.unwrap();
            let reads = reads_until_it_yields(&io, flood).await;
            assert!(reads.is_some_and(|reads| reads > 1), "{reads:?}");
        });
    }

    #[test]
    fn buffers_come_back_empty_and_grown_ones_do_not() {
        let buffers = Buffers::default();
        let mut buffer = buffers.small();
        buffer.extend_from_slice(b"secret");
        let at = buffer.as_ptr();
        buffers.give(buffer);
        let again = buffers.small();
        assert!(again.is_empty() && again.as_ptr() == at);
        let mut grown = buffers.small();
        grown.resize(SMALL + 1, 0);
        buffers.give(grown);
        assert_eq!(buffers.small().capacity(), SMALL);
    }
}
