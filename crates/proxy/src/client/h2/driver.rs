//! The task of a connection: reads, has the machine make events of it, polls the streams, and sends what they have written.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use evenkeel_http2::{
    Code, Config, Connection, ConnectionError, Event, HEAD_TIMEOUT, Head, HeadKind, HeadLimits, Settings,
    StreamError, StreamId,
};
use evenkeel_net::Io;
use evenkeel_observe::RequestRefusal;

use super::futures::Futures;
use super::session::{Exchange, Failure, Session};
use super::stream::{Asked, refuse, serve};
use super::watch::{Over, Watch};
use crate::client::connection::Client;
use crate::worker::timer::Timer;
use crate::worker::unsent::{CONNECTION_MAX, Unsent};
use crate::worker::view::View;

/// Requests under way at a time.
const STREAMS_MAX: u32 = 128;
/// Exchanges that may be at work, those included whose stream has ended already.
const EXCHANGES_MAX: usize = 2 * STREAMS_MAX as usize;
/// Bytes of a request body that a client may send ahead, of one stream and of all.
const WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Fields of a request that the configuration does not count: the pseudo-header fields.
const PARTS: usize = 5;
/// How long a connection keeps what makes further requests cheaper when there are none.
const LULL: Duration = Duration::from_secs(1);
/// How often the socket is read, and how many streams are polled each time, before other connections have their turn.
const ROUNDS: usize = 8;
const POLLS: usize = 64;

/// What the task of a connection holds.
pub struct Driver {
    client: Rc<Client>,
    io: Rc<Io>,
    session: Rc<Session>,
    /// The exchanges of streams, and the futures that serve them by key.
    exchanges: Vec<Option<(Rc<Exchange>, usize)>>,
    futures: Futures,
    watch: Watch,
    timer: Timer,
    /// True while it keeps no more than an idle connection needs.
    is_shrunk: bool,
    /// How long the client may take to hear why the connection ends.
    farewell: Duration,
}

impl Driver {
    /// That of a connection that has just begun; `None` if its listener is gone.
    pub fn new(client: Rc<Client>, io: Rc<Io>) -> Option<Self> {
        let (view, position) = client.view()?;
        let timeout = view.listener(position).timeout.clone();
        let now = client.worker.clock.now();
        let machine = RefCell::new(Connection::server(&config(&view, timeout.head), now));
        let session = Rc::new(Session { machine, unsent: Unsent::new(CONNECTION_MAX) });
        let timer = Timer::new(client.worker.clock);
        let (farewell, watch) = (timeout.write, Watch::new(timeout, now));
        let (exchanges, futures) = (Vec::new(), Futures::new());
        Some(Self { client, io, session, exchanges, futures, watch, timer, is_shrunk: false, farewell })
    }

    /// Serves the connection, of which `early` has been read already, until it is over.
    pub async fn run(&mut self, early: &[u8]) -> Over {
        let over = match self.take(early) {
            Ok(()) => poll_fn(|cx| self.poll(cx)).await,
            Err(over) => over,
        };
        if over == Over::Stuck {
            self.io.reset_on_close();
        } else {
            // Whether or not the client comes to hear why.
            let mut timer = Timer::new(self.client.worker.clock);
            let _ = timer.within(self.farewell.into(), poll_fn(|cx| self.poll_flush(cx))).await;
        }
        over
    }

    /// The connection is over: what is under way has no client any more.
    pub fn give_up(&mut self) {
        for (exchange, _) in self.exchanges.drain(..).flatten() {
            exchange.fail(Failure::Connection);
        }
    }

    /// Waits for the exchanges that are still under way.
    pub async fn rest(&mut self) {
        poll_fn(|cx| self.futures.poll_rest(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        self.futures.enter();
        let polled = self.poll_rounds(cx);
        self.futures.leave(cx);
        polled
    }

    fn poll_rounds(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        let now = || self.client.worker.clock.now();
        if self.client.is_to_close() {
            self.session.machine.borrow_mut().leave(now());
        }
        for _ in 0..ROUNDS {
            self.session.machine.borrow_mut().lend_output(|| self.client.worker.buffers.large());
            let has_polled = self.futures.poll_ready(POLLS);
            self.give_turns();
            let written = self.output_len();
            if let Poll::Ready(Err(_)) = self.poll_flush(cx) {
                return Poll::Ready(Over::Closed);
            }
            // What was sent makes room for streams that wait for it.
            let has_sent = self.output_len() < written;
            if self.is_finished() {
                return Poll::Ready(Over::Closed);
            }
            match self.poll_read(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(over)) => return Poll::Ready(over),
                Poll::Pending if has_polled || has_sent => {}
                Poll::Pending => return self.poll_timers(cx),
            }
        }
        // Other connections have their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn output_len(&self) -> usize {
        self.session.machine.borrow().output().len()
    }

    fn is_finished(&self) -> bool {
        let machine = self.session.machine.borrow();
        machine.is_finished() && machine.output().is_empty()
    }

    /// Polls the streams whose turn it is to send, as long as there is room.
    fn give_turns(&mut self) {
        loop {
            let Some(stream) = self.session.machine.borrow_mut().next_writable() else { break };
            if let Some(Some((_, key))) = self.exchanges.get(stream.slot()) {
                self.futures.poll(*key);
            }
        }
    }

    /// Sends what is written. Ready when nothing is left of it.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.try_write() {
                Ok(true) => return Poll::Ready(Ok(())),
                Ok(false) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.watch.blocked(self.client.worker.clock.now());
                    ready!(self.io.poll_writable(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Writes once; true when nothing is left to be written.
    fn try_write(&mut self) -> io::Result<bool> {
        let mut machine = self.session.machine.borrow_mut();
        if machine.output().is_empty() {
            self.io.try_flush()?;
            if let Some(buffer) = machine.take_buffer() {
                self.client.worker.buffers.give(buffer);
            }
            self.watch.wrote();
            return Ok(true);
        }
        let count = self.io.try_write(&[IoSlice::new(machine.output())])?;
        machine.sent(count);
        self.watch.wrote();
        Ok(false)
    }

    /// Reads once, and acts on what has come.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Over>> {
        if !self.session.machine.borrow().wants_input() {
            return Poll::Pending;
        }
        let buffers = &self.client.worker.buffers;
        let mut input = Vec::new();
        let read = ready!(buffers.poll_large(&self.io, cx, &mut input));
        let taken = match read {
            Ok(1..) => self.take(&input),
            Ok(0) | Err(_) => Err(Over::Closed),
        };
        self.client.worker.buffers.give(input);
        Poll::Ready(taken)
    }

    /// Acts on what has come.
    fn take(&mut self, input: &[u8]) -> Result<(), Over> {
        let worker = Rc::clone(&self.client.worker);
        let session = Rc::clone(&self.session);
        let now = worker.clock.now();
        let mut head = worker.http2_head.take();
        let mut rest = input;
        let taken = loop {
            let received = session.machine.borrow_mut().receive(rest, &mut head, now);
            let received = match received {
                Ok(received) => received,
                Err(error) => break Err(self.broken(error)),
            };
            let (piece, after) = rest.split_at(received.taken);
            rest = after;
            match received.event {
                Some(event) => self.act(event, &head, piece),
                None => break Ok(()),
            }
        };
        worker.http2_head.replace(head);
        taken
    }

    fn broken(&self, error: ConnectionError) -> Over {
        tracing::debug!(client = %self.client.peer().ip(), "HTTP/2 connection ends: {error}");
        if error.reason() == HEAD_TIMEOUT {
            self.client.worker.metrics.request_refused(RequestRefusal::HeadTimeout);
            return Over::Late;
        }
        Over::Closed
    }

    fn act(&mut self, event: Event, head: &Head, piece: &[u8]) {
        match event {
            Event::Head { stream, kind: HeadKind::Request, ends } => self.request(stream, head, ends),
            Event::Head { stream, .. } => {
                if let Some(exchange) = self.exchange(stream) {
                    exchange.trailers(head.section());
                }
            }
            Event::Data { stream, data, ends } => {
                if let Some(exchange) = self.exchange(stream) {
                    exchange.data(&piece[data], ends);
                }
            }
            Event::Reset { stream, error } => {
                if let Some(Some((exchange, _))) =
                    self.exchanges.get_mut(stream.slot()).map(|entry| entry.take())
                {
                    exchange.fail(Failure::Stream(error));
                }
            }
            Event::Refused { error, .. } => self.refused(head, error),
            Event::Settings | Event::GoAway { .. } | Event::Pong { .. } | Event::Origins => {}
        }
    }

    fn exchange(&self, stream: StreamId) -> Option<&Rc<Exchange>> {
        let (exchange, _) = self.exchanges.get(stream.slot())?.as_ref()?;
        Some(exchange)
    }

    fn request(&mut self, stream: StreamId, head: &Head, ends: bool) {
        self.watch.asked();
        let exchange = Rc::new(Exchange::new(Rc::clone(&self.session), Some(stream), ends));
        let Some(asked) = Asked::read(&self.client, head).filter(|_| self.futures.len() < EXCHANGES_MAX)
        else {
            // Nothing was done for it: it may be asked for again elsewhere (RFC 9113, 8.7).
            exchange.reset(Code::REFUSED_STREAM);
            return;
        };
        let serving = serve(Rc::clone(&self.client), Rc::clone(&exchange), asked, ends);
        let key = self.futures.insert(Box::pin(serving));
        if stream.slot() >= self.exchanges.len() {
            self.exchanges.resize_with(stream.slot() + 1, || None);
        }
        self.exchanges[stream.slot()] = Some((exchange, key));
    }

    /// A request that the machine has refused is recorded like any other.
    fn refused(&mut self, head: &Head, error: StreamError) {
        self.watch.asked();
        let exchange = Rc::new(Exchange::new(Rc::clone(&self.session), None, true));
        if let Some(asked) = Asked::refused(&self.client, head, error) {
            self.futures.insert(Box::pin(refuse(Rc::clone(&self.client), exchange, asked)));
        }
    }

    /// What is due; to be polled last.
    fn poll_timers(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        if self.futures.len() == 0 && self.watch.rested().is_none() {
            self.watch.rest(self.client.worker.clock.now());
            self.is_shrunk = false;
        }
        let lull = self.watch.rested().filter(|_| !self.is_shrunk).map(|rested| rested + LULL);
        let machine_due = self.session.machine.borrow().next_timeout();
        let due = self.watch.due();
        let Some(first) = machine_due.into_iter().chain(due.map(|(due, _)| due)).chain(lull).min() else {
            return Poll::Pending;
        };
        ready!(self.timer.poll_until(cx, first));
        let now = self.client.worker.clock.now();
        if machine_due.is_some_and(|due| due <= now) {
            let handled = self.session.machine.borrow_mut().handle_timeout(now);
            if let Err(error) = handled {
                return Poll::Ready(self.broken(error));
            }
        }
        if lull.is_some_and(|lull| lull <= now) {
            self.shrink();
        }
        let is_leaving = self.session.machine.borrow().is_leaving();
        match due.filter(|(due, _)| *due <= now) {
            Some((_, Over::Idle)) if !is_leaving => {
                self.session.machine.borrow_mut().leave(now);
                self.watch.rest_again(now);
            }
            Some((_, over)) => return Poll::Ready(over),
            None => {}
        }
        // What was written goes out with the next round.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// An idle connection keeps little.
    fn shrink(&mut self) {
        self.is_shrunk = true;
        self.session.machine.borrow_mut().shrink();
        self.futures.shrink();
        self.exchanges = Vec::new();
    }
}

fn config(view: &View, head_timeout: Duration) -> Config {
    let settings = Settings {
        max_concurrent_streams: STREAMS_MAX,
        initial_window_size: WINDOW,
        max_header_list_size: u32::try_from(view.heads.bytes).unwrap_or(u32::MAX),
        ..Config::server().settings
    };
    Config {
        settings,
        connection_window: CONNECTION_WINDOW,
        block_max: (2 * view.heads.bytes).max(Config::server().block_max),
        head_limits: HeadLimits { size: view.heads.bytes, fields: view.heads.fields + PARTS },
        head_timeout: Some(head_timeout),
        leave_timeout: head_timeout,
        ..Config::server()
    }
}
