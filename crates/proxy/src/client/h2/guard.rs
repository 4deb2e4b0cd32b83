//! The socket of an HTTP/2 connection as `h2` sees it: the same bytes, up to a frame that must not get by.

mod budget;
mod follow;
mod inbound;

use std::cell::Cell;
use std::io;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use self::follow::Follower;
use self::inbound::{Inbound, Outbound};

/// Bytes of the client preface before its SETTINGS frame (RFC 9113, section 3.4).
const PREFACE: usize = 24;

/// Follows frames in both directions. At a frame that breaks a rule or a budget it reads no further and raises its
/// [`Alarm`], upon which [`poll_accept`] has `h2` write the GOAWAY, in order and with the right last stream.
#[derive(Debug)]
pub struct Guard<T> {
    io: T,
    preface: usize,
    reading: (Follower, Inbound),
    writing: (Follower, Outbound),
    stopped: bool,
    verdict: Option<Reason>,
    alarm: Alarm,
}

/// What a [`Guard`] sees, for the task that drives its connection: above all that it stopped reading, and why.
#[derive(Debug, Clone, Default)]
pub struct Alarm(Rc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    verdict: Cell<Option<Reason>>,
    is_in_head: Cell<bool>,
    is_blocked: Cell<bool>,
    written: Cell<u64>,
}

impl Alarm {
    /// True while a head has begun and not ended, or a frame whose type is not known yet.
    pub fn is_in_head(&self) -> bool {
        self.0.is_in_head.get()
    }

    /// True while the client does not take what is to be written.
    pub fn is_blocked(&self) -> bool {
        self.0.is_blocked.get()
    }

    /// Bytes that it has taken.
    pub fn written(&self) -> u64 {
        self.0.written.get()
    }

    fn wrote(&self, count: &Poll<io::Result<usize>>) {
        self.0.is_blocked.set(count.is_pending());
        if let Poll::Ready(Ok(count)) = count {
            self.0.written.update(|written| written + *count as u64);
        }
    }
}

/// The next request of a guarded connection; `None` when it has ended, be it that the alarm was raised.
///
/// # Errors
///
/// Those of [`Connection::poll_accept`].
pub fn poll_accept<T, B>(
    connection: &mut Connection<Guard<T>, B>,
    alarm: &Alarm,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Accepted<B>, h2::Error>>>
where
    T: AsyncRead + AsyncWrite + Unpin,
    B: Buf,
{
    loop {
        let polled = connection.poll_accept(cx);
        match alarm.0.verdict.take() {
            // Pending means that all frames before the wrong one were dealt with.
            Some(reason) if polled.is_pending() => connection.abrupt_shutdown(reason),
            reason => {
                alarm.0.verdict.set(reason);
                return polled;
            }
        }
    }
}

/// A request, and the way back.
type Accepted<B> = (Request<RecvStream>, SendResponse<B>);

impl<T> Guard<T> {
    /// Guards `io`, from which nothing has been read yet.
    pub fn new(io: T) -> (Self, Alarm) {
        let alarm = Alarm::default();
        let reading = (Follower::default(), Inbound::new(Instant::now()));
        let guard = Self {
            io,
            preface: PREFACE,
            reading,
            writing: <_>::default(),
            stopped: false,
            verdict: None,
            alarm: alarm.clone(),
        };
        (guard, alarm)
    }

    /// Follows what was read; the count of bytes that may be passed on.
    fn inspect(&mut self, bytes: &[u8]) -> usize {
        let preface = self.preface.min(bytes.len());
        self.preface -= preface;
        let (follower, inbound) = &mut self.reading;
        let followed = follower.follow(&bytes[preface..], inbound);
        self.alarm.0.is_in_head.set(follower.is_in_header() || inbound.is_in_head(follower.is_in_frame()));
        match followed {
            ControlFlow::Continue(()) => bytes.len(),
            ControlFlow::Break((count, reason)) => {
                self.stopped = true;
                self.verdict = Some(reason);
                preface + count
            }
        }
    }

    /// Follows what was written. Reads no further when the client has made us reset too much.
    fn account(&mut self, bytes: &[u8]) {
        let (follower, outbound) = &mut self.writing;
        let ControlFlow::Continue(()) = follower.follow(bytes, outbound);
        let inbound = &mut self.reading.1;
        inbound.answered(outbound.take_answers());
        if let ControlFlow::Break(reason) = inbound.provoked(outbound.take_provoked())
            && !self.stopped
        {
            self.stopped = true;
            self.verdict = Some(reason);
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Guard<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        if !this.stopped {
            ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
            let passed = this.inspect(&buf.filled()[before..]);
            buf.set_filled(before + passed);
        }
        // Without a byte to pass on this would be the end of the stream, and `h2` would close without a GOAWAY.
        if this.stopped && buf.filled().len() == before {
            // Raised once, so that it cannot keep the task busy.
            let verdict = &this.alarm.0.verdict;
            verdict.set(this.verdict.take().or(verdict.take()));
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Guard<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.alarm.wrote(&written);
        let count = ready!(written)?;
        this.account(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, pieces);
        this.alarm.wrote(&written);
        let count = ready!(written)?;
        let mut left = count;
        for piece in pieces {
            let written = left.min(piece.len());
            this.account(&piece[..written]);
            left -= written;
        }
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        if flushed.is_pending() {
            this.alarm.0.is_blocked.set(true);
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
