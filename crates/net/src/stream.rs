//! A socket that tokio watches and that we read and write ourselves: one system call for one attempt.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::net::{RecvFlags, SendFlags, Shutdown};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

use crate::pipe::Pipe;

/// The socket below a connection.
#[derive(Debug)]
pub(crate) enum Stream {
    /// TCP, without Nagle's delay.
    Tcp(TcpStream),
    /// A unix stream socket.
    Unix(UnixStream),
}

/// One call on whichever stream it is.
macro_rules! stream {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self {
            Stream::Tcp($stream) => $call,
            Stream::Unix($stream) => $call,
        }
    };
}

impl Stream {
    /// Appends to `buf` what has come, as far as its spare capacity goes, which must not be empty. 0 is the end.
    pub(crate) fn try_read(&self, buf: &mut Vec<u8>) -> io::Result<usize> {
        let room = buf.capacity() - buf.len();
        debug_assert!(room > 0, "a read into a full buffer would look like the end");
        self.try_io(Interest::READABLE, room, |fd| {
            Ok(rustix::net::recv(fd, rustix::buffer::spare_capacity(buf), RecvFlags::empty())?.0)
        })
    }

    /// The same into initialised bytes.
    pub(crate) fn try_read_into(&self, bytes: &mut [u8]) -> io::Result<usize> {
        let room = bytes.len();
        self.try_io(Interest::READABLE, room, |fd| Ok(rustix::net::recv(fd, bytes, RecvFlags::empty())?.0))
    }

    /// What has come, as far as `bytes` has room, which stays to be read. 0 is the end.
    pub(crate) fn try_look(&self, bytes: &mut [u8]) -> io::Result<usize> {
        // There is still something to read afterwards, however little it was.
        self.try_io(Interest::READABLE, 0, |fd| Ok(rustix::net::recv(fd, bytes, RecvFlags::PEEK)?.0))
    }

    /// Looks at what has come, as far as the capacity of `buf` goes, and leaves it to be read. `WouldBlock` unless that
    /// `is_enough`: then more wakes the task that waits for it.
    pub(crate) fn try_peek(
        &self,
        buf: &mut Vec<u8>,
        is_enough: impl FnOnce(&[u8]) -> bool,
    ) -> io::Result<()> {
        stream!(self, s => s.try_io(Interest::READABLE, || {
            buf.clear();
            rustix::net::recv(s, rustix::buffer::spare_capacity(buf), RecvFlags::PEEK)?;
            if is_enough(buf) { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
        }))
    }

    /// Writes what the kernel takes.
    pub(crate) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
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

    /// Writes what the kernel takes, and says that more follows at once, so that both may share a packet.
    pub(crate) fn try_write_more(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_io(Interest::WRITABLE, bytes.len(), |fd| {
            Ok(rustix::net::send(fd, bytes, SendFlags::NOSIGNAL | SendFlags::MORE)?)
        })
    }

    /// Writes of a file what the kernel takes, without a copy, and moves `offset` behind it. 0 is the end of the file.
    pub(crate) fn try_send_file(
        &self,
        file: BorrowedFd<'_>,
        offset: &mut u64,
        count: usize,
    ) -> io::Result<usize> {
        // The kernel may move fewer bytes than there is room for, such as at the end of a file that has shrunk: only
        // `WouldBlock` says that the socket is full.
        stream!(self, s => s.try_io(Interest::WRITABLE, || {
            Ok(rustix::fs::sendfile(s.as_fd(), file, Some(offset), count)?)
        }))
    }

    /// Takes what has come into an empty pipe; 0 is the end.
    pub(crate) fn try_fill(&self, pipe: &mut Pipe, max: usize) -> io::Result<usize> {
        // How much a pipe takes depends on how the bytes lie in pages: only `WouldBlock` says that there is nothing.
        stream!(self, s => s.try_io(Interest::READABLE, || pipe.fill(s.as_fd(), max)))
    }

    /// Writes what the kernel takes of a pipe's bytes.
    pub(crate) fn try_drain(&self, pipe: &mut Pipe) -> io::Result<usize> {
        stream!(self, s => s.try_io(Interest::WRITABLE, || pipe.drain(s.as_fd())))
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

    /// Ready when there is something to read, as the last poll of the kernel says.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        stream!(self, s => s.poll_read_ready(cx))
    }

    /// True when there may be something to read, as the last poll of the kernel says.
    pub(crate) fn is_ready_to_read(&self) -> bool {
        stream!(self, s => s.try_io(Interest::READABLE, || Ok(()))).is_ok()
    }

    /// Ready when the kernel may take more, as its last poll says.
    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        stream!(self, s => s.poll_write_ready(cx))
    }

    /// True when the peer has ended its side, or the connection has failed; what it sent before may wait to be read.
    pub(crate) fn has_ended(&self) -> bool {
        let now = rustix::time::Timespec::default();
        let mut watched = stream!(self, s => [PollFd::new(s, PollFlags::RDHUP)]);
        rustix::event::poll(&mut watched, Some(&now)).is_ok_and(|events| events > 0)
    }

    /// What has gone wrong with the connection, if anything has.
    pub(crate) fn error(&self) -> io::Result<Option<io::Error>> {
        stream!(self, s => s.take_error())
    }

    /// Ends the sending side.
    pub(crate) fn shutdown(&self) -> io::Result<()> {
        Ok(stream!(self, s => rustix::net::shutdown(s, Shutdown::Write))?)
    }

    /// Makes the close that follows a reset.
    pub(crate) fn reset_on_close(&self) {
        if let Self::Tcp(s) = self {
            // A connection that is already dead needs no reset.
            let _ = socket2::SockRef::from(s).set_linger(Some(Duration::ZERO));
        }
    }
}

/// For rustls, which brings its own buffers.
impl io::Read for &Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.try_read_into(bytes)
    }

    fn read_vectored(&mut self, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        slices.iter_mut().find(|slice| !slice.is_empty()).map_or(Ok(0), |slice| self.try_read_into(slice))
    }
}

impl io::Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_write(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
