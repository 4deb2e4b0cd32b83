//! One byte stream, whatever it runs over, read and written through a shared reference.
//!
//! Request and response move in both directions at once within one task, and splitting the stream in two would need
//! a lock. So tokio's stream is asked only whether it is ready; the bytes move by our own system calls.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, SendFlags, Shutdown};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection; it belongs to one worker.
#[derive(Debug)]
pub struct Io {
    stream: Stream,
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

/// One call on whichever stream it is.
macro_rules! stream {
    ($self:ident, $stream:ident => $call:expr) => {
        match &$self.stream {
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
        Self { stream: Stream::Tcp(stream) }
    }

    /// Takes over a unix stream.
    pub fn unix(stream: UnixStream) -> Self {
        Self { stream: Stream::Unix(stream) }
    }

    /// Appends to `buf` what can be read into its spare capacity, which must not be empty. 0 is the end.
    pub fn poll_read(&self, cx: &mut Context<'_>, buf: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_readable(cx))?;
            match self.try_read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
        }
    }

    /// Reads if there is something to read, as far as the last poll of the kernel told.
    fn try_read(&self, buf: &mut Vec<u8>) -> io::Result<usize> {
        let room = buf.capacity() - buf.len();
        debug_assert!(room > 0, "a read into a full buffer would look like the end");
        self.try_io(Interest::READABLE, room, |fd| {
            Ok(rustix::net::recv(fd, rustix::buffer::spare_capacity(buf), RecvFlags::empty())?.0)
        })
    }

    /// One system call, which moves at most `room` bytes. Without the C library, whose wrappers check whether the
    /// thread is being cancelled, and without a second look at whether the stream is ready.
    fn try_io(
        &self,
        interest: Interest,
        room: usize,
        call: impl FnOnce(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut moved = None;
        let tried = stream!(self, s => s.try_io(interest, || {
            let bytes = call(s.as_fd())?;
            moved = Some(bytes);
            // Fewer bytes than could have been: the kernel tells, by an event, when there can be more.
            if (1..room).contains(&bytes) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        }));
        match moved {
            Some(bytes) => Ok(bytes),
            None => tried.map(|()| 0),
        }
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
            ready!(self.poll_readable(cx))?;
            if buf.capacity() == 0 {
                *buf = take();
            }
            match self.try_read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
            if buf.is_empty() {
                give(std::mem::take(buf));
            }
        }
    }

    /// Ready when there is something to read (or the end, or an error), as far as the last poll of the kernel
    /// told; makes no system call and needs no buffer.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        stream!(self, s => s.poll_read_ready(cx))
    }

    /// Ready when the connection has failed, as by a reset of the peer. Its end alone is no failure: a peer that has
    /// sent all that it wants to send may still wait for an answer.
    pub fn poll_failed(&self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.poll_readable(cx)).map_or(Poll::Ready(()), |()| {
            // Something has come. If it is no error, one that follows is noticed when something is written.
            let error = stream!(self, s => s.take_error());
            if matches!(error, Ok(None)) { Poll::Pending } else { Poll::Ready(()) }
        })
    }

    /// True when nothing has come since the last read: neither bytes nor the end.
    /// What an idle connection must be to carry another request.
    pub fn is_quiet(&self) -> bool {
        // Asks the kernel only when something may have come; and unlike a poll it is never pending for want of budget.
        let mut byte = [0];
        let read = stream!(self, s => s.try_read(&mut byte));
        read.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock)
    }

    /// Writes what the kernel takes of the slices, in order; `WouldBlock` when that is nothing.
    ///
    /// # Errors
    /// The connection is dead.
    pub fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            [one] => self.try_io(Interest::WRITABLE, one.len(), |fd| {
                Ok(rustix::net::send(fd, one, SendFlags::NOSIGNAL)?)
            }),
            many => {
                let room = many.iter().map(|slice| slice.len()).sum();
                self.try_io(Interest::WRITABLE, room, |fd| Ok(rustix::io::writev(fd, many)?))
            }
        }
    }

    /// Ready when the kernel may take more, as far as its last poll told.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        stream!(self, s => s.poll_write_ready(cx))
    }

    /// Writes all of `slices`, with as few system calls as the kernel allows.
    pub async fn write_all(&self, slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut left = slices;
        // Drops leading empty slices; a write of nothing would look like a closed socket.
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match self.try_write(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut left, written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    poll_fn(|cx| self.poll_writable(cx)).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Tells the peer that nothing more will be written.
    ///
    /// # Errors
    /// The connection is dead.
    pub fn shutdown(&self) -> io::Result<()> {
        Ok(stream!(self, s => rustix::net::shutdown(s, Shutdown::Write))?)
    }

    /// Makes the close that follows a reset, so that what was cut cannot be taken for complete.
    pub fn reset_on_close(&self) {
        if let Stream::Tcp(s) = &self.stream {
            // A connection that is already dead needs no reset.
            let _ = socket2::SockRef::from(s).set_linger(Some(std::time::Duration::ZERO));
        }
    }
}
