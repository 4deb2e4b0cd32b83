//! One byte stream, whatever it runs over, read and written through a shared reference.
//!
//! Request and response move in both directions at once within one task. Splitting the stream in two would need
//! a lock; here each poll borrows it for its own length, which a `RefCell` checks for the price of a flag.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection. Not `Sync`: it belongs to one worker.
#[derive(Debug)]
pub struct Io {
    stream: RefCell<Stream>,
}

/// The other end of an accepted connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Over TCP.
    Ip(SocketAddr),
    /// Over a unix socket; it has no address worth naming.
    Unix,
}

impl Peer {
    /// Its address; the unspecified one for a unix socket.
    pub fn ip(self) -> IpAddr {
        match self {
            Self::Ip(address) => address.ip(),
            Self::Unix => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        }
    }
}

macro_rules! poll_stream {
    ($self:ident, $stream:ident => $call:expr) => {
        match &mut *$self.stream.borrow_mut() {
            Stream::Tcp($stream) => $call,
            Stream::Unix($stream) => $call,
        }
    };
}

impl Io {
    /// Takes over a TCP stream, without Nagle's delay.
    pub fn tcp(stream: TcpStream) -> Self {
        // It fails only on a connection that is already dead, which the first read will report.
        let _ = stream.set_nodelay(true);
        Self { stream: RefCell::new(Stream::Tcp(stream)) }
    }

    /// Takes over a unix stream.
    pub fn unix(stream: UnixStream) -> Self {
        Self { stream: RefCell::new(Stream::Unix(stream)) }
    }

    /// Appends to `buf` what can be read into its spare capacity, which must not be empty. 0 is the end.
    pub fn poll_read(&self, cx: &mut Context<'_>, buf: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        let len = buf.len();
        let mut spare = ReadBuf::uninit(buf.spare_capacity_mut());
        debug_assert!(spare.remaining() > 0, "a read into a full buffer would look like the end");
        ready!(poll_stream!(self, s => Pin::new(s).poll_read(cx, &mut spare)))?;
        let read = spare.filled().len();
        // SAFETY: `ReadBuf` guarantees that the first `read` bytes of the spare capacity are initialised.
        unsafe { buf.set_len(len + read) };
        Poll::Ready(Ok(read))
    }

    /// [`poll_read`](Self::poll_read) as a future.
    pub async fn read(&self, buf: &mut Vec<u8>) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx, buf)).await
    }

    /// [`poll_read`](Self::poll_read) into a buffer that `take` gives when there seems to be something to read, and
    /// that goes back to `give` when there was not. So whoever waits holds no buffer, unless there is something in it.
    pub fn poll_read_lazily(
        &self,
        cx: &mut Context<'_>,
        buf: &mut Vec<u8>,
        take: impl Fn() -> Vec<u8>,
        give: impl Fn(Vec<u8>),
    ) -> Poll<io::Result<usize>> {
        loop {
            // Only a hint, which a read that finds nothing takes back.
            ready!(self.poll_readable(cx))?;
            if buf.capacity() == 0 {
                *buf = take();
            }
            if let Poll::Ready(read) = self.poll_read(cx, buf) {
                return Poll::Ready(read);
            }
            if buf.is_empty() {
                give(std::mem::take(buf));
            }
        }
    }

    /// Ready when there is something to read (or the end, or an error), as far as the last poll of the kernel
    /// told; makes no system call and needs no buffer.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &*self.stream.borrow() {
            Stream::Tcp(s) => s.poll_read_ready(cx),
            Stream::Unix(s) => s.poll_read_ready(cx),
        }
    }

    /// True when nothing has come since the last read: neither bytes nor the end.
    /// What an idle connection must be to carry another request.
    pub fn is_quiet(&self) -> bool {
        // Asks the kernel only when something may have come; and unlike a poll it is never pending for want of budget.
        let mut byte = [0];
        let read = match &*self.stream.borrow() {
            Stream::Tcp(s) => s.try_read(&mut byte),
            Stream::Unix(s) => s.try_read(&mut byte),
        };
        read.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock)
    }

    /// Writes what the kernel takes of the slices, in order.
    pub fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match slices {
            [one] => poll_stream!(self, s => Pin::new(s).poll_write(cx, one)),
            many => poll_stream!(self, s => Pin::new(s).poll_write_vectored(cx, many)),
        }
    }

    /// Writes all of `slices`, with as few system calls as the kernel allows.
    pub async fn write_all(&self, slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut left = slices;
        // Drops leading empty slices; a write of nothing would look like a closed socket.
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            let written = poll_fn(|cx| self.poll_write(cx, left)).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut left, written);
        }
        Ok(())
    }

    /// Tells the peer that nothing more will be written.
    pub async fn shutdown(&self) -> io::Result<()> {
        poll_fn(|cx| poll_stream!(self, s => Pin::new(s).poll_shutdown(cx))).await
    }

    /// Makes the close that follows a reset, so that what was cut cannot be taken for complete.
    pub fn reset_on_close(&self) {
        if let Stream::Tcp(s) = &*self.stream.borrow() {
            // A connection that is already dead needs no reset.
            let _ = socket2::SockRef::from(s).set_linger(Some(std::time::Duration::ZERO));
        }
    }
}
