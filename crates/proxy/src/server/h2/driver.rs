//! The task of a connection to a server: sends what requests have written, reads, and hands what comes to their exchanges.

use std::future::poll_fn;
use std::io;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use evenkeel_http2::{Code, Config, Connection, Event, Head, HeadKind, Settings, StreamId};
use evenkeel_net::Io;
use evenkeel_types::Clock;

use super::Shared;
use crate::http::head::HeadLimits;
use crate::http::lines;
use crate::http2::{Answer, Failure, Session, Turn, Wire};
use crate::worker::buffers::Buffers;
use crate::worker::timer::Timer;

/// Bytes of a response body that the server may send ahead, and that a slow client makes us keep.
const WINDOW: u32 = 256 * 1024;
/// The same of all: a request that does not take its data leaves the others their share.
const CONNECTION_WINDOW: u32 = WINDOW * super::STREAMS_MAX as u32;
/// How often the socket is read before other connections have their turn.
const ROUNDS: usize = 8;
/// How long a server may take to take the last bytes of a connection that carries no request any more.
const FAREWELL: Duration = Duration::from_secs(5);

/// What the task of a connection holds.
pub struct Driver {
    wire: Wire,
    session: Rc<Session>,
    /// What heads of responses may measure.
    heads: HeadLimits,
    /// The connection among those of its server; nothing until the server has greeted.
    shared: Weak<Shared>,
    /// Why the server has ended the connection, if it has said so.
    left: Option<Code>,
    farewell: Timer,
}

impl Driver {
    /// That of a connection that has just been opened.
    pub fn new(io: Io, buffers: &Rc<Buffers>, clock: Clock, heads: HeadLimits) -> Self {
        let machine = Connection::client(config(heads), clock.now());
        // Nothing waits for a server but what its requests keep themselves.
        let session = Session::new(machine, Rc::clone(buffers), clock, usize::MAX);
        let wire = Wire::new(Rc::new(io), Rc::clone(&session));
        Self { wire, session, heads, shared: Weak::new(), left: None, farewell: Timer::new(clock) }
    }

    /// What requests speak through.
    pub fn session(&self) -> &Rc<Session> {
        &self.session
    }

    /// Waits for the server's SETTINGS: it would refuse requests that it does not take at once, and some servers forget
    /// requests that come too early.
    ///
    /// # Errors
    /// The server closed the connection, or does not speak HTTP/2.
    pub async fn greet(&mut self) -> io::Result<()> {
        poll_fn(|cx| match self.poll(cx) {
            Poll::Ready(failure) => Poll::Ready(Err(failure.into())),
            Poll::Pending if self.session.machine.borrow().is_greeted() => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Serves the requests of a connection until it is over; yields why it is.
    pub async fn run(mut self, shared: Weak<Shared>) -> Failure {
        self.shared = shared;
        let failure = poll_fn(|cx| self.poll(cx)).await;
        self.session.machine.borrow_mut().close(Code::NO_ERROR, "");
        if let Some(shared) = self.shared.upgrade() {
            shared.close();
            shared.wake_waiting();
        }
        self.session.fail_all(failure);
        failure
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        self.session.enter();
        let polled = self.poll_rounds(cx);
        self.session.leave(cx);
        polled
    }

    fn poll_rounds(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        for _ in 0..ROUNDS {
            if let Poll::Ready(Err(error)) = self.wire.poll_flush(cx) {
                return Poll::Ready(self.last_words(cx, &error));
            }
            if self.wire.is_finished() {
                return Poll::Ready(self.ended());
            }
            match self.poll_read(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(failure)) => {
                    // Whether or not the server comes to read why.
                    let _ = self.wire.poll_flush(cx);
                    return Poll::Ready(failure);
                }
                Poll::Pending => {
                    self.give_turns();
                    return self.poll_farewell(cx);
                }
            }
        }
        self.give_turns();
        Turn::pass(cx);
        Poll::Pending
    }

    /// Nothing can be written any more: the server may have answered before that.
    fn last_words(&mut self, cx: &mut Context<'_>, error: &io::Error) -> Failure {
        loop {
            match self.poll_read(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(failure)) => return failure,
                Poll::Pending => return Failure::Lost(error.kind()),
            }
        }
    }

    /// The server has ended the connection, or no request will follow.
    fn ended(&self) -> Failure {
        self.left.filter(|code| *code != Code::NO_ERROR).map_or(Failure::Closed, Failure::Left)
    }

    /// Has requests send that have to wait no longer: with their data, or at all.
    fn give_turns(&self) {
        loop {
            let Some(stream) = self.session.machine.borrow_mut().next_writable() else { break };
            if let Some(exchange) = self.session.exchange(stream) {
                exchange.has_turn();
            }
        }
        if let Some(shared) = self.shared.upgrade() {
            shared.wake_waiting();
        }
    }

    /// Ready when a connection that carries no request any more has taken too long to take what it was sent.
    fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        let Some(since) = self.wire.stuck.filter(|_| self.session.machine.borrow().is_finished()) else {
            return Poll::Pending;
        };
        ready!(self.farewell.poll_until(cx, since + FAREWELL));
        Poll::Ready(self.ended())
    }

    /// Reads once, and acts on what has come.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let input = match ready!(self.wire.poll_read(cx)) {
            Ok(input) => input,
            Err(error) => return Poll::Ready(Err(Failure::Lost(error.kind()))),
        };
        let taken = if input.is_empty() { Err(self.ended()) } else { self.take(&input) };
        self.session.buffers.give(input);
        Poll::Ready(taken)
    }

    /// Acts on what has come.
    fn take(&mut self, input: &[u8]) -> Result<(), Failure> {
        let session = Rc::clone(&self.session);
        let now = self.session.clock.now();
        session.machine.borrow_mut().lend_output(|| session.buffers.large());
        let mut head = session.buffers.http2_head.take();
        let mut rest = input;
        let taken = loop {
            match session.next_event(&mut rest, &mut head, now) {
                Ok(Some((event, piece))) => self.act(event, &head, piece),
                Ok(None) => break Ok(()),
                Err(error) => break Err(Failure::Connection(error)),
            }
        };
        session.buffers.http2_head.replace(head);
        taken
    }

    fn act(&mut self, event: Event, head: &Head, piece: &[u8]) {
        match event {
            Event::Head { stream, kind: HeadKind::Interim | HeadKind::Response, ends } => {
                self.answer(stream, head, ends);
            }
            Event::Head { stream, .. } => {
                if let Some(exchange) = self.session.exchange(stream) {
                    exchange.trailers(head);
                }
            }
            Event::Data { stream, data, ends } => {
                if let Some(exchange) = self.session.exchange(stream) {
                    exchange.data(&piece[data], ends);
                }
            }
            Event::Reset { stream, error } => self.session.reset(stream, error),
            Event::GoAway { code, .. } => {
                self.left = Some(code);
                if let Some(shared) = self.shared.upgrade() {
                    shared.close();
                }
            }
            Event::Settings | Event::Refused { .. } | Event::Pong { .. } | Event::Origins => {}
        }
    }

    fn answer(&self, stream: StreamId, head: &Head, ends: bool) {
        let Some(exchange) = self.session.exchange(stream) else { return };
        let buffers = &self.session.buffers;
        let (mut lines, mut fields) = (buffers.small(), buffers.fields());
        let head = lines::of_response(head, self.heads, &mut lines, &mut fields);
        exchange.answer(Answer { head, lines, fields }, ends);
    }
}

fn config(heads: HeadLimits) -> Config {
    let size = list_size(heads);
    let settings =
        Settings { initial_window_size: WINDOW, max_header_list_size: size, ..Config::client().settings };
    Config {
        settings,
        connection_window: CONNECTION_WINDOW,
        block_max: (size as usize).max(Config::client().block_max),
        // `:status` is a field here.
        head_limits: evenkeel_http2::HeadLimits { size: size as usize, fields: heads.fields + 1 },
        // Servers that never acknowledge are served all the same.
        settings_timeout: None,
        ..Config::client()
    }
}

/// Twice the limit as HTTP/2 counts it, where each field weighs 32 bytes more than its name and value (RFC 9113,
/// 6.5.2): what counts is the limit by lines.
fn list_size(heads: HeadLimits) -> u32 {
    u32::try_from(2 * (heads.bytes + 32 * heads.fields)).unwrap_or(u32::MAX)
}
