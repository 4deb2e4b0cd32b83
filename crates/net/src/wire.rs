//! A connection as tokio's traits have it, for libraries that want those.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::io::Io;

/// A connection that is read and written through tokio's traits, with what was read of it before.
#[derive(Debug)]
pub struct Wire {
    io: Rc<Io>,
    early: Vec<u8>,
    early_used: usize,
}

impl Wire {
    /// Takes over a connection of which `early` has been read already.
    pub fn new(io: Rc<Io>, early: Vec<u8>) -> Self {
        Self { io, early, early_used: 0 }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.early_used < this.early.len() {
            let left = &this.early[this.early_used..];
            let taken = left.len().min(buf.remaining());
            buf.put_slice(&left[..taken]);
            this.early_used += taken;
            if this.early_used == this.early.len() {
                (this.early, this.early_used) = (Vec::new(), 0);
            }
            return Poll::Ready(Ok(()));
        }
        this.io.poll_read_into(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.io.try_write(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
            ready!(self.io.poll_writable(cx))?;
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.io.try_flush() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                flushed => return Poll::Ready(flushed),
            }
            ready!(self.io.poll_writable(cx))?;
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Poll::Ready(self.io.shutdown())
    }
}
