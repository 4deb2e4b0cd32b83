//! Bytes both ways between a client and a server after an upgrade: a relay between two connections, or over a stream of
//! HTTP/2.

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
use crate::l4::relay::{Limits, Moved, relay};
use crate::request::log::RequestLog;
use crate::response::Tunnel;
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
    let Tunnel { connection, term, idle, .. } = &mut *tunnel;
    let server = &*connection.io;
    let Some(client) = writer.io().map(Rc::clone) else {
        // A stream (RFC 8441), whose bytes body and writer count themselves.
        let moved = Cell::new(worker.clock.now());
        body.borrow_mut().lift_limits();
        let up = upload(worker, body, server, &moved);
        let down = download(worker, server, writer, &moved);
        both(worker, (up, down), &moved, *idle, term).await;
        return end(log, term, 0, 0);
    };
    let early = body.borrow().surplus().concat();
    let (limits, bytes) = (Limits { idle: *idle, write: None }, Moved::default());
    worker.metrics.tunnels.increment();
    let mut timer = Timer::new(worker.clock);
    relay(worker, (&client, server), early, limits, &mut timer, (&bytes, None), term).await;
    worker.metrics.tunnels.decrement();
    end(log, term, bytes.0.get(), bytes.1.get());
}

fn end(log: &mut RequestLog, term: &TermWatch, up: u64, down: u64) {
    log.tunnelled(up, down);
    if term.has_ended() {
        log.reason = Some("the server has lost its role, or was disabled".into());
    }
}

/// Runs both halves of a stream until both have ended, one fails, nothing has moved for `idle`, or the server loses its role.
async fn both<H: Future<Output = io::Result<()>>, O: Future<Output = io::Result<()>>>(
    worker: &Worker,
    (up, down): (H, O),
    moved: &Cell<Time>,
    idle: Duration,
    term: &mut TermWatch,
) {
    worker.metrics.tunnels.increment();
    let (mut up, mut down) = (pin!(up), pin!(down));
    let mut done = [false; 2];
    let mut timer = Timer::new(worker.clock);
    poll_fn(|cx| {
        for (which, done) in done.iter_mut().enumerate().filter(|(_, done)| !**done) {
            let half = if which == 0 { up.as_mut().poll(cx) } else { down.as_mut().poll(cx) };
            // A half that has ended leaves the other one open; one that has failed takes it along.
            match half {
                Poll::Ready(Ok(())) => *done = true,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
        if term.poll_ended(cx).is_ready() {
            return Poll::Ready(());
        }
        if done == [true; 2] { Poll::Ready(()) } else { timer.poll_until(cx, moved.get() + idle) }
    })
    .await;
    worker.metrics.tunnels.decrement();
}

/// What a stream's client sends.
async fn upload(worker: &Worker, body: &RefCell<Body<'_>>, to: &Io, moved: &Cell<Time>) -> io::Result<()> {
    let broken = |_| io::Error::from(io::ErrorKind::BrokenPipe);
    loop {
        let advance = body.borrow_mut().advance().map_err(broken)?;
        match advance {
            Advance::Piece => {
                let piece = body.borrow().piece().to_vec();
                to.write_all(&mut [IoSlice::new(&piece)]).await?;
            }
            Advance::End => return to.shutdown(),
            Advance::MustRead => poll_fn(|cx| body.borrow_mut().poll_read(cx)).await.map_err(broken)?,
        }
        moved.set(worker.clock.now());
    }
}

/// What it gets.
async fn download(
    worker: &Worker,
    from: &Io,
    writer: &mut ResponseWriter<'_>,
    moved: &Cell<Time>,
) -> io::Result<()> {
    let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
    loop {
        let mut buf = Vec::new();
        let read = poll_fn(|cx| worker.buffers.poll_medium(from, cx, &mut buf)).await?;
        let sent = match read {
            0 => writer.end_tunnel().await,
            _ => writer.raw(&buf).await,
        };
        worker.buffers.give(buf);
        sent.map_err(gone)?;
        if read == 0 {
            return Ok(());
        }
        moved.set(worker.clock.now());
    }
}
