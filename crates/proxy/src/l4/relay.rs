//! Bytes both ways between two connections, until both sides have ended, one fails, or nothing moves any more: for tcp
//! listeners, and for the tunnels of upgraded connections.
//!
//! A direction that carries much at a time goes through a pipe of the kernel's, without a copy, for as long as that lasts.
//!
//! One future for both directions, and one system call to read and one to write for each message: what is read is written
//! at once, and a buffer is held only for what a slow reader has not taken. The runtime is asked to wake the task for a
//! direction only when it has woken it for that direction before. An end is passed on as an end, and a failure as a reset, so
//! that neither is taken for the other.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use evenkeel_core::health::TermWatch;
use evenkeel_net::{Io, Pipe};
use evenkeel_observe::{StreamEnded, StreamShard};
use evenkeel_types::Time;
use tokio::task::coop::has_budget_remaining;

use crate::worker::Worker;
use crate::worker::buffers::MEDIUM;
use crate::worker::timer::Timer;

/// Reads in a row that filled their buffer before a direction goes through a pipe: what comes is more than a message.
const FULL_READS: u8 = 8;

/// What a blocked direction comes from is not read, so the runtime does not tell of a failure of it: so often the kernel is
/// asked. A connection that is not blocked is never asked about.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often the time is taken within `timeout.idle` while bytes move.
const IDLE_LOOKS: u32 = 16;
/// The time between two of these looks at least, unless the timeout is shorter.
const IDLE_LOOKS_MIN: Duration = Duration::from_millis(250);

/// Bytes that were passed on: from the client, and to it.
pub type Moved = (Cell<u64>, Cell<u64>);

/// How long a relay waits.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For something to move, either way.
    pub idle: Duration,
    /// For a peer that takes nothing of what is written to it.
    pub write: Option<Duration>,
}

/// How a relay ended.
#[derive(Debug)]
pub struct RelayEnd {
    /// What came first.
    pub how: StreamEnded,
    /// What the kernel or TLS said of it, or how long was waited.
    pub why: Option<String>,
}

/// Relays until there is nothing more to relay. `early` is what the client has sent before. Bytes are counted in `moved` as
/// they are passed on. When `term` ends, so does the relay, at once.
pub async fn relay(
    worker: &Worker,
    (client, server): (&Io, &Io),
    early: Vec<u8>,
    limits: Limits,
    timer: &mut Timer,
    (moved, shard): (&Moved, Option<&StreamShard>),
    term: &mut TermWatch,
) -> RelayEnd {
    let (mut up, mut down) = (Direction { buf: early, ..Direction::default() }, Direction::default());
    let begun = worker.clock.now();
    let (mut quiet, mut looked) = (Quiet::new(limits.idle, begun), begun);
    let (mut first_end, mut waker) = (None, Waker::noop().clone());
    let ended = poll_fn(|cx| {
        let has_role = if waker.will_wake(cx.waker()) {
            !term.has_ended()
        } else {
            waker.clone_from(cx.waker());
            (up.is_awaited, down.is_awaited) = (false, false);
            timer.is_new_waker();
            term.poll_ended(cx).is_pending()
        };
        if !has_role {
            return Poll::Ready(role_lost(client, server));
        }
        let (was_active, before) = (quiet.is_active, (up.moved, down.moved));
        for is_up in [true, false] {
            let (half, from, to) =
                if is_up { (&mut up, client, server) } else { (&mut down, server, client) };
            match half.poll(worker, from, to, cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) if half.has_ended => {}
                Poll::Ready(Ok(())) => {
                    half.has_ended = true;
                    // The last end is the close that follows at once. A peer that is gone already needs none.
                    if first_end.is_none() {
                        let _ = to.shutdown();
                        first_end = Some(closed(is_up));
                    }
                    quiet.moved(worker);
                }
                Poll::Ready(Err(fault)) => {
                    count((&up, &down), before, moved, shard);
                    return Poll::Ready(fault.end(is_up, (client, server), first_end));
                }
            }
        }
        if (up.moved, down.moved) != before {
            count((&up, &down), before, moved, shard);
            quiet.moved(worker);
        }
        if let (Some(how), true, true) = (first_end, up.has_ended, down.has_ended) {
            return Poll::Ready(RelayEnd { how, why: None });
        }
        let stalled = up.stalled(limits).into_iter().chain(down.stalled(limits)).min();
        let blocked = up.blocked.max(down.blocked);
        // Until the next look, unless that was set for a quiet connection.
        if blocked.is_none() && was_active && timer.still_waits() {
            return Poll::Pending;
        }
        loop {
            let idle = quiet.looks_at();
            let until = stalled.map_or(idle, |at| at.min(idle));
            let look = blocked.map(|since| since.max(looked) + LOOK_EVERY);
            ready!(timer.poll_until(cx, look.map_or(until, |look| look.min(until))));
            looked = worker.clock.now();
            let is_stall = stalled.is_some_and(|at| at < idle);
            if looked >= until && (is_stall || !quiet.goes_on(worker)) {
                return Poll::Ready(timed_out((&up, &down), limits, is_stall));
            }
            if let Some((error, is_up)) = failed_unread((&up, &down), (client, server)) {
                return Poll::Ready(Fault::Read(error).end(is_up, (client, server), first_end));
            }
        }
    })
    .await;
    up.give_pipe(worker);
    down.give_pipe(worker);
    ended
}

/// For how long nothing has moved, without a look at the clock each time that something does: while bytes move, the time is
/// taken at intervals, so that a connection may be idle for longer than the limit by one of these.
#[derive(Debug)]
struct Quiet {
    idle: Duration,
    /// When something last moved, as of the last look.
    since: Time,
    /// Something has moved not long ago, and the next look comes after an interval.
    is_active: bool,
    /// Something has moved since the last look.
    has_moved: bool,
}

impl Quiet {
    fn new(idle: Duration, since: Time) -> Self {
        Self { idle, since, is_active: false, has_moved: false }
    }

    fn moved(&mut self, worker: &Worker) {
        if !self.is_active {
            (self.is_active, self.since) = (true, worker.clock.now());
        }
        self.has_moved = true;
    }

    /// When to look next.
    fn looks_at(&self) -> Time {
        let interval = (self.idle / IDLE_LOOKS).max(IDLE_LOOKS_MIN).min(self.idle);
        self.since + if self.is_active { interval } else { self.idle }
    }

    /// It is time to look. False if nothing has moved for too long.
    fn goes_on(&mut self, worker: &Worker) -> bool {
        let was_active = self.is_active;
        if std::mem::take(&mut self.has_moved) {
            self.since = worker.clock.now();
        } else {
            self.is_active = false;
        }
        was_active
    }
}

/// One direction.
#[derive(Debug, Default)]
struct Direction {
    /// What was read; `sent` bytes of it are written.
    buf: Vec<u8>,
    sent: usize,
    /// Bytes that were written.
    moved: u64,
    /// Reads in a row that have filled the buffer.
    full_reads: u8,
    /// What the bytes go through while there are many.
    pipe: Option<Pipe>,
    /// Since when the reader takes nothing.
    blocked: Option<Time>,
    /// The runtime will wake the task when there is something to read, and has not done so yet.
    is_awaited: bool,
    has_ended: bool,
}

/// Why a direction failed.
#[derive(Debug)]
enum Fault {
    /// What it comes from.
    Read(io::Error),
    /// What it goes to.
    Write(io::Error),
}

impl Direction {
    /// Passes on what there is; ready once the end has come.
    fn poll(&mut self, worker: &Worker, from: &Io, to: &Io, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        if self.has_ended {
            return Poll::Ready(Ok(()));
        }
        // What is left after a read that did not fill its buffer, the runtime tells of later.
        let mut is_drained = false;
        loop {
            if !self.buf.is_empty() {
                ready!(self.poll_write(worker, to, cx)).map_err(Fault::Write)?;
                // A relay that waits holds no buffer.
                worker.buffers.give(std::mem::take(&mut self.buf));
                self.sent = 0;
            }
            if self.pipe.is_some() && ready!(self.poll_pipe(worker, from, to, cx))? {
                return Poll::Ready(Ok(()));
            }
            let read = ready!(self.poll_pass(worker, from, to, is_drained, cx))?;
            is_drained = read < MEDIUM;
            if read == 0 {
                return Poll::Ready(Ok(()));
            }
            self.full_reads = if read == MEDIUM { self.full_reads.saturating_add(1) } else { 0 };
            if self.full_reads >= FULL_READS && from.splices() && to.splices() {
                self.full_reads = 0;
                self.pipe = worker.pipes.take();
            }
        }
    }

    /// Reads once and writes what was read, as far as the kernel takes it; the rest is held. 0 is the end.
    fn poll_pass(
        &mut self,
        worker: &Worker,
        from: &Io,
        to: &Io,
        mut is_drained: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, Fault>> {
        loop {
            ready!(self.poll_readable(from, is_drained, cx)).map_err(Fault::Read)?;
            is_drained = false;
            let mut passing = worker.buffers.passing();
            let read = match from.try_read(&mut passing) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Poll::Ready(Err(Fault::Read(error))),
            };
            let written = match to.is_secure() {
                false if read > 0 => to.try_write(&[io::IoSlice::new(&passing)]),
                _ => Ok(0),
            };
            match written {
                Ok(written) => {
                    self.sent = written;
                    self.moved += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.sent = 0,
                Err(error) => return Poll::Ready(Err(Fault::Write(error))),
            }
            if self.sent < read {
                self.buf = std::mem::replace(&mut *passing, worker.buffers.medium());
            }
            return Poll::Ready(Ok(read));
        }
    }

    /// Ready when there may be something to read. A direction that is idle costs one look at what the runtime knows already.
    fn poll_readable(&mut self, from: &Io, is_drained: bool, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_awaited || self.full_reads == 0 && !is_drained {
            let is_ready = from.is_ready_to_read();
            if is_ready || self.is_awaited {
                self.is_awaited = !is_ready;
                return if is_ready { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
        }
        // Where much comes, the runtime also says when it is another task's turn.
        let polled = from.poll_readable(cx);
        // Without budget it is pending for that alone.
        self.is_awaited = polled.is_pending() && !from.is_secure() && has_budget_remaining();
        polled
    }

    /// Passes on what there is through the pipe, until nothing comes for the moment, and then gives the pipe back. True once
    /// the end has come.
    fn poll_pipe(
        &mut self,
        worker: &Worker,
        from: &Io,
        to: &Io,
        cx: &mut Context<'_>,
    ) -> Poll<Result<bool, Fault>> {
        let Some(pipe) = &mut self.pipe else { return Poll::Ready(Ok(false)) };
        loop {
            while pipe.held() > 0 {
                match to.try_drain(pipe) {
                    Ok(0) => return Poll::Ready(Err(Fault::Write(io::ErrorKind::WriteZero.into()))),
                    Ok(moved) => {
                        self.moved += moved as u64;
                        self.blocked = None;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.blocked.get_or_insert_with(|| worker.clock.now());
                        ready!(to.poll_writable(cx)).map_err(Fault::Write)?;
                    }
                    Err(error) => return Poll::Ready(Err(Fault::Write(error))),
                }
            }
            ready!(from.poll_readable(cx)).map_err(Fault::Read)?;
            match from.try_fill(pipe, usize::MAX) {
                Ok(0) => {
                    self.give_pipe(worker);
                    return Poll::Ready(Ok(true));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.give_pipe(worker);
                    // It has carried much before: the next read that fills a buffer shows that it goes on.
                    self.full_reads = FULL_READS - 1;
                    return Poll::Ready(Ok(false));
                }
                Err(error) => return Poll::Ready(Err(Fault::Read(error))),
            }
        }
    }

    fn give_pipe(&mut self, worker: &Worker) {
        self.pipe.take().into_iter().for_each(|pipe| worker.pipes.give(pipe));
    }

    /// Writes all that was read.
    fn poll_write(&mut self, worker: &Worker, to: &Io, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let written = match self.buf.get(self.sent..) {
                Some(rest) if !rest.is_empty() => to.try_write(&[io::IoSlice::new(rest)]),
                _ => match to.try_flush() {
                    Ok(()) => return Poll::Ready(Ok(())),
                    Err(error) => Err(error),
                },
            };
            match written {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(written) => {
                    self.sent += written;
                    self.moved += written as u64;
                    self.blocked = None;
                    if self.sent == self.buf.len() && !to.is_secure() {
                        return Poll::Ready(Ok(()));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked.get_or_insert_with(|| worker.clock.now());
                    ready!(to.poll_writable(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// When its reader will have taken nothing for too long.
    fn stalled(&self, limits: Limits) -> Option<Time> {
        Some(self.blocked? + limits.write?)
    }
}

impl Fault {
    /// Ends both connections: the other side gets a reset, unless the failed one had ended in order before, so that what it
    /// sent is whole.
    #[cold]
    fn end(self, is_up: bool, (client, server): (&Io, &Io), first_end: Option<StreamEnded>) -> RelayEnd {
        let (of_client, error) = match self {
            Self::Read(error) => (is_up, error),
            Self::Write(error) => (!is_up, error),
        };
        let (how, closed, other) = if of_client {
            (StreamEnded::ClientReset, StreamEnded::ClientClosed, server)
        } else {
            (StreamEnded::ServerReset, StreamEnded::ServerClosed, client)
        };
        if first_end == Some(closed) {
            return RelayEnd { how: closed, why: Some(error.to_string()) };
        }
        other.reset_on_close();
        RelayEnd { how, why: Some(error.to_string()) }
    }
}

/// How a relay ends that the client, or the server, has closed first.
fn closed(by_client: bool) -> StreamEnded {
    if by_client { StreamEnded::ClientClosed } else { StreamEnded::ServerClosed }
}

/// The failure of a connection that is not read, because what came of it before is not taken; and whether it is the client's.
fn failed_unread(
    (up, down): (&Direction, &Direction),
    (client, server): (&Io, &Io),
) -> Option<(io::Error, bool)> {
    let of_client = up.blocked.and_then(|_| client.take_failure()).map(|error| (error, true));
    of_client.or_else(|| down.blocked.and_then(|_| server.take_failure()).map(|error| (error, false)))
}

/// Adds what has moved since `before`.
fn count(
    (up, down): (&Direction, &Direction),
    before: (u64, u64),
    moved: &Moved,
    shard: Option<&StreamShard>,
) {
    moved.0.set(up.moved);
    moved.1.set(down.moved);
    if let Some(shard) = shard {
        shard.received.add(up.moved - before.0);
        shard.sent.add(down.moved - before.1);
    }
}

/// Both sides get a reset: what was under way is not whole.
#[cold]
fn role_lost(client: &Io, server: &Io) -> RelayEnd {
    client.reset_on_close();
    server.reset_on_close();
    RelayEnd { how: StreamEnded::RoleLost, why: Some("the server has lost its role, or was disabled".into()) }
}

#[cold]
fn timed_out((up, down): (&Direction, &Direction), limits: Limits, is_stall: bool) -> RelayEnd {
    let (how, limit) = match (is_stall, up.blocked, down.blocked) {
        (false, ..) => (StreamEnded::IdleTimeout, limits.idle),
        // The one that has been blocked for longer.
        (true, Some(up), Some(down)) if up <= down => {
            (StreamEnded::ServerStalled, limits.write.unwrap_or_default())
        }
        (true, Some(_), None) => (StreamEnded::ServerStalled, limits.write.unwrap_or_default()),
        (true, ..) => (StreamEnded::ClientStalled, limits.write.unwrap_or_default()),
    };
    RelayEnd { how, why: Some(format!("nothing moved for {limit:?}")) }
}
