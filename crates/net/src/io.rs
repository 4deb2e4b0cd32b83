//! One byte stream, whatever it runs over, read and written through a shared reference.
//!
//! Request and response move in both directions at once within one task, and splitting the stream in two would need
//! a lock. So tokio's stream is asked only whether it is ready; the bytes move by our own system calls.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use tokio::net::{TcpStream, UnixStream};

use crate::pipe::Pipe;
use crate::stream::Stream;
use crate::tls::{Handshake, Session};

/// A connection, in clear or over TLS; it belongs to one worker.
#[derive(Debug)]
pub struct Io {
    stream: Stream,
    /// In a box, because it is large and most connections to servers have none.
    tls: Option<Box<Session>>,
    resets: Cell<bool>,
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

impl Io {
    /// Takes over a TCP stream that has no Nagle's delay already.
    pub(crate) fn connected(stream: TcpStream) -> Self {
        Self::clear(Stream::Tcp(stream))
    }

    /// Takes over a TCP stream, without Nagle's delay.
    pub fn tcp(stream: TcpStream) -> Self {
        // It fails only on a connection that is already dead, which the first read will report.
        let _ = stream.set_nodelay(true);
        Self::clear(Stream::Tcp(stream))
    }

    /// Takes over a unix stream.
    pub fn unix(stream: UnixStream) -> Self {
        Self::clear(Stream::Unix(stream))
    }

    fn clear(stream: Stream) -> Self {
        Self { stream, tls: None, resets: Cell::new(false) }
    }

    /// Begins TLS as its server, by shaking hands. There is no timeout here.
    ///
    /// # Errors
    /// The client does not agree, or is gone.
    pub async fn accept_tls(&mut self, config: Arc<ServerConfig>) -> io::Result<Handshake> {
        let session = self.tls.insert(Session::server(config)?);
        session.shake_hands(&self.stream).await
    }

    /// Begins TLS as its client, by shaking hands with a server whose certificate must be for `name`. There is no
    /// timeout here.
    ///
    /// # Errors
    /// The server does not agree, does not prove the right name, or is gone.
    pub async fn connect_tls(
        &mut self,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<Handshake> {
        let session = self.tls.insert(Session::client(config, name)?);
        session.shake_hands(&self.stream).await
    }

    /// The address of this end; `None` over a unix socket.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match &self.stream {
            Stream::Tcp(stream) => stream.local_addr().ok(),
            Stream::Unix(_) => None,
        }
    }

    /// True over TLS.
    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
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

    /// Appends to `buf` what can be read into its spare capacity, which must not be empty, if there is something to read, as
    /// the last poll of the kernel says; else `WouldBlock`. 0 is the end.
    ///
    /// # Errors
    /// The connection is dead.
    pub fn try_read(&self, buf: &mut Vec<u8>) -> io::Result<usize> {
        match &self.tls {
            None => self.stream.try_read(buf),
            Some(tls) => tls.try_read(&self.stream, buf),
        }
    }

    /// [`poll_read`](Self::poll_read) as a future.
    pub async fn read(&self, buf: &mut Vec<u8>) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx, buf)).await
    }

    /// [`poll_read`](Self::poll_read) into a buffer that `take` gives when there seems to be something to read, and
    /// that goes back to `give` when there was not. So a task that waits holds no buffer, unless there is something in it.
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

    /// Looks at the first bytes that have come, as far as the capacity of `buf` goes, and leaves them to be read, until
    /// they are `enough`; false if the peer has ended its side before. Only before TLS begins.
    ///
    /// # Errors
    /// The connection is dead.
    pub fn poll_peek(
        &self,
        cx: &mut Context<'_>,
        buf: &mut Vec<u8>,
        mut enough: impl FnMut(&[u8]) -> bool,
    ) -> Poll<io::Result<bool>> {
        debug_assert!(self.tls.is_none(), "a session has taken what came");
        loop {
            ready!(self.stream.poll_readable(cx))?;
            let before = buf.len();
            match self.stream.try_peek(buf, &mut enough) {
                Ok(()) => return Poll::Ready(Ok(true)),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Poll::Ready(Err(error)),
                // An end makes it readable for ever.
                Err(_) if buf.len() <= before && self.stream.has_ended() => return Poll::Ready(Ok(false)),
                Err(_) => {}
            }
        }
    }

    /// Ready when there is something to read (or the end, or an error), as far as the last poll of the kernel
    /// told; makes no system call and needs no buffer.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.tls {
            None => self.stream.poll_readable(cx),
            Some(tls) => tls.poll_readable(&self.stream, cx),
        }
    }

    /// True when there may be something to read, as the last poll of the kernel says; never over TLS. Wakes no task later.
    pub fn is_ready_to_read(&self) -> bool {
        self.tls.is_none() && self.stream.is_ready_to_read()
    }

    /// Ready when the connection has failed, as by a reset of the peer. Its end alone is no failure: a peer that has
    /// sent all that it wants to send may still wait for an answer.
    pub fn poll_failed(&self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.stream.poll_readable(cx)).map_or(Poll::Ready(()), |()| {
            // Something has come. If it is no error, one that follows is noticed when something is written.
            if matches!(self.stream.error(), Ok(None)) { Poll::Pending } else { Poll::Ready(()) }
        })
    }

    /// Why the connection has failed, if it has, whatever waits to be read. Asks the kernel, which says it once.
    pub fn take_failure(&self) -> Option<io::Error> {
        self.stream.error().unwrap_or_else(Some)
    }

    /// Ready when something has come that is not read yet: bytes, the end, or a failure. Makes no system call. As long as
    /// it is ready, more input wakes no task.
    pub fn poll_come(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_readable(cx).map(drop)
    }

    /// Looks at what has come, as far as `bytes` has room, and leaves it to be read. 0 is the end. Only in clear.
    pub(crate) fn poll_look(&self, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_readable(cx))?;
            match self.stream.try_look(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                peeked => return Poll::Ready(peeked),
            }
        }
    }

    /// Reads bytes that a look has shown, and no more.
    pub(crate) fn take_peeked(&self, bytes: &mut [u8]) -> io::Result<()> {
        let wanted = bytes.len();
        let read = if wanted > 0 { self.stream.try_read_into(bytes)? } else { 0 };
        if read == wanted { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// True when the peer has ended its side, or the connection has failed. Asks the kernel.
    pub fn has_ended(&self) -> bool {
        self.stream.has_ended()
    }

    /// True when nothing has come since the last read: neither bytes nor the end.
    /// What an idle connection must be to carry another request.
    pub fn is_quiet(&self) -> bool {
        // Asks the kernel only when something may have come; and unlike a poll it is never pending for want of budget.
        match &self.tls {
            None => self
                .stream
                .try_read_into(&mut [0])
                .is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock),
            Some(tls) => tls.is_quiet(&self.stream),
        }
    }

    /// Writes what the kernel takes of the slices, in order; `WouldBlock` when that is nothing. Over TLS some of it
    /// may stay behind, encrypted, until [`try_flush`](Self::try_flush).
    ///
    /// # Errors
    /// The connection is dead.
    pub fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &self.tls {
            None => self.stream.try_write(slices),
            Some(tls) => tls.try_write(&self.stream, slices),
        }
    }

    /// The same with one slice, which more follows at once: both may share a packet. Only in clear.
    ///
    /// # Errors
    /// The connection is dead.
    pub fn try_write_more(&self, bytes: &[u8]) -> io::Result<usize> {
        debug_assert!(self.tls.is_none(), "TLS has records of its own");
        self.stream.try_write_more(bytes)
    }

    /// Writes up to `count` bytes of a file from `offset` on, which is moved behind what the kernel took, without a copy;
    /// `WouldBlock` when that is nothing. 0 is the end of the file. Only in clear. Blocks while the bytes come from a disk.
    ///
    /// # Errors
    /// The connection is dead, or the file cannot be read.
    pub fn try_send_file(&self, file: BorrowedFd<'_>, offset: &mut u64, count: usize) -> io::Result<usize> {
        debug_assert!(self.tls.is_none(), "the kernel would send it in clear");
        self.stream.try_send_file(file, offset, count)
    }

    /// True if bytes can go through a [`Pipe`] between this connection and one like it: TCP in clear.
    pub fn splices(&self) -> bool {
        self.tls.is_none() && matches!(self.stream, Stream::Tcp(_))
    }

    /// Takes what has come, at most `max` bytes, into an empty pipe, without a copy; 0 is the end. `WouldBlock` if nothing has
    /// come. Only if it [`splices`](Self::splices).
    ///
    /// # Errors
    /// The connection is dead.
    pub fn try_fill(&self, pipe: &mut Pipe, max: usize) -> io::Result<usize> {
        debug_assert!(self.splices(), "the bytes are not those of the socket");
        self.stream.try_fill(pipe, max)
    }

    /// Writes what the kernel takes of the bytes in a pipe, which must not be empty; `WouldBlock` when that is nothing. Only
    /// if it [`splices`](Self::splices).
    ///
    /// # Errors
    /// The connection is dead.
    pub fn try_drain(&self, pipe: &mut Pipe) -> io::Result<usize> {
        debug_assert!(self.splices(), "the kernel would send it in clear");
        self.stream.try_drain(pipe)
    }

    /// Sends what has stayed behind; `WouldBlock` while some of it still does.
    ///
    /// # Errors
    /// The connection is dead.
    pub fn try_flush(&self) -> io::Result<()> {
        self.tls.as_ref().map_or(Ok(()), |tls| tls.flush(&self.stream))
    }

    /// Ready when the kernel may take more, as its last poll says.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_writable(cx)
    }

    /// Writes all of `slices`, with as few system calls as the kernel allows.
    pub async fn write_all(&self, slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut left = slices;
        while !self.write_some(&mut left)? {
            poll_fn(|cx| self.poll_writable(cx)).await?;
        }
        Ok(())
    }

    /// Writes of `left` what the kernel takes. True when nothing is left; false when it is full.
    ///
    /// # Errors
    /// The connection is dead.
    pub fn write_some(&self, left: &mut &mut [IoSlice<'_>]) -> io::Result<bool> {
        // Drops leading empty slices; a write of nothing would look like a closed socket.
        IoSlice::advance_slices(left, 0);
        let written = loop {
            if left.is_empty() {
                break self.try_flush();
            }
            match self.try_write(left) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(left, written),
                Err(error) => break Err(error),
            }
        };
        unless_full(written)
    }

    /// The same of bytes that lie in one piece.
    ///
    /// # Errors
    /// The connection is dead.
    pub fn write_piece(&self, left: &mut &[u8]) -> io::Result<bool> {
        while !left.is_empty() {
            match self.try_write(&[IoSlice::new(left)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => *left = &left[written..],
                Err(error) => return unless_full(Err(error)),
            }
        }
        unless_full(self.try_flush())
    }

    /// Tells the peer that nothing more will be written.
    ///
    /// # Errors
    /// The connection is dead.
    pub fn shutdown(&self) -> io::Result<()> {
        if let Some(tls) = &self.tls {
            tls.close(&self.stream);
        }
        self.stream.shutdown()
    }

    /// Makes the close that follows a reset, so that what was cut cannot be taken for complete.
    pub fn reset_on_close(&self) {
        self.resets.set(true);
        self.stream.reset_on_close();
    }
}

/// Whether all was written; false if the kernel takes no more for now.
fn unless_full(written: io::Result<()>) -> io::Result<bool> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        if let Some(tls) = self.tls.as_ref().filter(|_| !self.resets.get()) {
            tls.close(&self.stream);
        }
    }
}
