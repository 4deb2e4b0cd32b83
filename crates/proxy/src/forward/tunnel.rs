//! Bytes both ways between a client and a server after an upgrade: a relay between two connections, or over a stream of
//! HTTP/2 on one side or both.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use evenkeel_core::health::TermWatch;
use evenkeel_net::Io;
use evenkeel_types::Time;

use crate::body::{Advance, Body};
use crate::client::writer::ResponseWriter;
use crate::http2::Exchange;
use crate::l4::relay::{Limits, Moved, relay};
use crate::request::log::RequestLog;
use crate::response::Tunnel;
use crate::server::Link;
use crate::worker::Worker;
use crate::worker::timer::Timer;

/// Runs a tunnel between a client and a server until both sides have ended, one fails, or nothing moves for too long.
pub async fn run(
    worker: &Worker,
    mut tunnel: Box<Tunnel>,
    body: &RefCell<Body<'_>>,
    writer: &mut ResponseWriter<'_>,
    log: &mut RequestLog,
) {
    let Tunnel { link, term, idle, .. } = &mut *tunnel;
    let client = writer.io().map(Rc::clone);
    let early = body.borrow().surplus().concat();
    let server = match (&client, &*link) {
        (Some(client), Link::Http1(connection)) => {
            let (limits, bytes) = (Limits { idle: *idle, write: None }, Moved::default());
            worker.metrics.tunnels.increment();
            let mut timer = Timer::new(worker.clock);
            relay(worker, (client, &connection.io), early, limits, &mut timer, (&bytes, None), term).await;
            worker.metrics.tunnels.decrement();
            return end(log, term, bytes.0.get(), bytes.1.get());
        }
        (None, Link::Http1(connection)) => Server::Connection(&connection.io),
        (_, Link::Http2(place)) => match place.exchange() {
            Some(exchange) => Server::Stream(exchange),
            None => return end(log, term, 0, 0),
        },
    };
    let (moved, up_bytes) = (Cell::new(worker.clock.now()), Cell::new(0));
    body.borrow_mut().lift_limits();
    let from = match &client {
        Some(io) => Client::Connection { io, early, bytes: &up_bytes },
        // Body and writer count their bytes themselves.
        None => Client::Stream(body),
    };
    let up = upload(worker, from, server, &moved);
    let down = download(worker, server, writer, &moved);
    let has_failed = both(worker, (up, down), &moved, *idle, term).await;
    if let Some(client) = client.filter(|_| has_failed) {
        // It must not take a failure for the end.
        client.reset_on_close();
    }
    end(log, term, up_bytes.get(), 0);
}

fn end(log: &mut RequestLog, term: &TermWatch, up: u64, down: u64) {
    log.tunnelled(up, down);
    if term.has_ended() {
        log.reason = Some("the server has lost its role, or was disabled".into());
    }
}

/// Runs both halves of a stream until both have ended, one fails, nothing has moved for `idle`, or the server loses its role;
/// true if one has failed.
async fn both<H: Future<Output = io::Result<()>>, O: Future<Output = io::Result<()>>>(
    worker: &Worker,
    (up, down): (H, O),
    moved: &Cell<Time>,
    idle: Duration,
    term: &mut TermWatch,
) -> bool {
    worker.metrics.tunnels.increment();
    let (mut up, mut down) = (pin!(up), pin!(down));
    let mut done = [false; 2];
    let mut timer = Timer::new(worker.clock);
    let has_failed = poll_fn(|cx| {
        for (which, done) in done.iter_mut().enumerate().filter(|(_, done)| !**done) {
            let half = if which == 0 { up.as_mut().poll(cx) } else { down.as_mut().poll(cx) };
            // A half that has ended leaves the other one open; one that has failed takes it along.
            match half {
                Poll::Ready(Ok(())) => *done = true,
                Poll::Ready(Err(_)) => return Poll::Ready(true),
                Poll::Pending => {}
            }
        }
        if done == [true; 2] || term.poll_ended(cx).is_ready() {
            return Poll::Ready(false);
        }
        timer.poll_until(cx, moved.get() + idle).map(|()| false)
    })
    .await;
    worker.metrics.tunnels.decrement();
    has_failed
}

/// Where the bytes of a client come from.
enum Client<'t, 'c> {
    /// A connection of its own, of which some were read already.
    Connection { io: &'t Io, early: Vec<u8>, bytes: &'t Cell<u64> },
    /// A stream (RFC 8441).
    Stream(&'t RefCell<Body<'c>>),
}

/// The server's end of a tunnel.
#[derive(Clone, Copy)]
enum Server<'t> {
    /// A connection of its own.
    Connection(&'t Io),
    /// A stream (RFC 8441).
    Stream(&'t Exchange),
}

impl Server<'_> {
    /// Sends all of `bytes`.
    async fn write(self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Connection(io) => io.write_all(&mut [IoSlice::new(bytes)]).await,
            Self::Stream(exchange) => {
                let mut left = bytes;
                poll_fn(|cx| {
                    while !left.is_empty() {
                        match exchange.send(left, false) {
                            Ok(0) => return exchange.poll_failed(cx).map(|()| Err(gone(()))),
                            Ok(sent) => left = &left[sent..],
                            Err(error) => return Poll::Ready(Err(gone(error))),
                        }
                    }
                    Poll::Ready(Ok(()))
                })
                .await
            }
        }
    }

    /// Tells it that no more follows.
    fn end(self) -> io::Result<()> {
        match self {
            Self::Connection(io) => io.shutdown(),
            Self::Stream(exchange) => exchange.send(b"", true).map(drop).map_err(gone),
        }
    }

    /// Reads more into `buf`, which is empty; 0 is the end.
    async fn read(self, worker: &Worker, buf: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Connection(io) => poll_fn(|cx| worker.buffers.poll_medium(io, cx, buf)).await,
            Self::Stream(exchange) => {
                poll_fn(|cx| exchange.poll_data(cx, buf)).await?;
                Ok(buf.len())
            }
        }
    }

    /// What was read has been passed on.
    fn passed_on(self, worker: &Worker, buf: Vec<u8>) {
        if let Self::Stream(exchange) = self {
            exchange.consume(buf.len());
        }
        worker.buffers.give(buf);
    }
}

/// What a client sends.
async fn upload(worker: &Worker, from: Client<'_, '_>, to: Server<'_>, moved: &Cell<Time>) -> io::Result<()> {
    match from {
        Client::Connection { io, early, bytes } => {
            let mut buf = early;
            loop {
                if !buf.is_empty() {
                    to.write(&buf).await?;
                    bytes.update(|bytes| bytes + buf.len() as u64);
                    moved.set(worker.clock.now());
                }
                worker.buffers.give(std::mem::take(&mut buf));
                if poll_fn(|cx| worker.buffers.poll_medium(io, cx, &mut buf)).await? == 0 {
                    return to.end();
                }
            }
        }
        Client::Stream(body) => loop {
            let advance = body.borrow_mut().advance().map_err(gone)?;
            match advance {
                Advance::Piece => {
                    let piece = body.borrow().piece().to_vec();
                    to.write(&piece).await?;
                }
                Advance::End => return to.end(),
                Advance::MustRead => poll_fn(|cx| body.borrow_mut().poll_read(cx)).await.map_err(gone)?,
            }
            moved.set(worker.clock.now());
        },
    }
}

/// What it gets.
async fn download(
    worker: &Worker,
    from: Server<'_>,
    writer: &mut ResponseWriter<'_>,
    moved: &Cell<Time>,
) -> io::Result<()> {
    loop {
        let mut buf = Vec::new();
        let read = from.read(worker, &mut buf).await?;
        let sent = match (read, writer.io()) {
            (0, Some(io)) => {
                io.shutdown()?;
                Ok(())
            }
            (0, None) => writer.end_tunnel().await,
            _ => writer.raw(&buf).await,
        };
        from.passed_on(worker, buf);
        sent.map_err(gone)?;
        if read == 0 {
            return Ok(());
        }
        moved.set(worker.clock.now());
    }
}

/// One side is gone, however.
fn gone<E>(_: E) -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}
