//! The task of a connection: reads, has the machine make events of it, polls the streams, and sends what they have written.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use evenkeel_http2::{
    Code, Connection, ConnectionError, Event, HEAD_TIMEOUT, Head, HeadKind, StreamError, StreamId,
};
use evenkeel_net::Io;
use evenkeel_observe::{ConnectionRefusal, RequestRefusal};

use super::lanes::Lanes;
use super::stream::{Asked, Job, serve};
use super::watch::{Over, Watch};
use crate::client::connection::Client;
use crate::http2::{Exchange, Failure, Session, Turn, Wire};
use crate::worker::Worker;
use crate::worker::timer::Timer;
use crate::worker::turns::Ticket;

/// Exchanges that may be at work, those included whose stream has ended already: so many times the streams.
const EXCHANGES_FACTOR: usize = 2;
/// How long a connection keeps what makes further requests cheaper when there are none.
const LULL: Duration = Duration::from_millis(50);
/// How often the socket is read, and how many streams are polled each time, before other connections have their turn.
const ROUNDS: usize = 8;
const POLLS: usize = 64;
/// Streams that are polled, and requests that are taken, between two looks at whether the turn is over.
const BATCH: usize = 4;

/// What the task of a connection holds.
pub struct Driver {
    client: Rc<Client>,
    wire: Wire,
    session: Rc<Session>,
    /// What serves the streams, by the keys of their exchanges.
    lanes: Lanes<Job>,
    watch: Watch,
    timer: Timer,
    exchanges_max: usize,
    ticket: Ticket,
    /// What has been read, and how much of it was taken.
    input: (Vec<u8>, usize),
    /// True while it keeps no more than an idle connection needs.
    is_shrunk: bool,
}

impl Driver {
    /// That of a connection that has just begun, of which `early` has been read already; `None` if its listener is gone.
    pub fn new(client: Client, io: Rc<Io>, early: Vec<u8>) -> Option<Self> {
        let (view, position) = client.view()?;
        let limits = view.listener(position).limits;
        let now = client.worker.clock.now();
        let machine = Connection::server(Arc::clone(&view.http2[position]), now);
        let clock = client.worker.clock;
        let unsent_max = limits.http2_memory / 2;
        let session = Session::new(machine, Rc::clone(&client.worker.buffers), clock, unsent_max);
        let wire = Wire::new(io, Rc::clone(&session));
        let timer = Timer::new(clock);
        let watch = Watch::new(&view.listener(position).timeout, now);
        let (lanes, is_shrunk, input) = (Lanes::new(), false, (early, 0));
        let ticket = Ticket::default();
        let exchanges_max = EXCHANGES_FACTOR * limits.http2_streams as usize;
        let client = Rc::new(client);
        Some(Self { client, wire, session, lanes, watch, timer, exchanges_max, ticket, input, is_shrunk })
    }

    /// Who serves it.
    pub fn worker(&self) -> &Rc<Worker> {
        &self.client.worker
    }

    /// Its bytes.
    pub fn io(&self) -> &Rc<Io> {
        &self.wire.io
    }

    /// Serves the connection until it is over.
    pub async fn run(&mut self) -> Over {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// The connection is over: sends what it still has to say, and gives up what is under way, which has no client any more.
    pub async fn end(&mut self, over: Over) {
        if over == Over::Stuck {
            self.wire.io.reset_on_close();
        } else {
            // Whether or not the client comes to hear why.
            let mut timer = Timer::new(self.client.worker.clock);
            let _ = timer.within(self.watch.farewell().into(), poll_fn(|cx| self.wire.poll_flush(cx))).await;
        }
        self.session.fail_all(Failure::Closed);
    }

    /// Waits for the exchanges that are still under way.
    pub async fn rest(&mut self) {
        poll_fn(|cx| self.lanes.poll_rest(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        if self.ticket.waits() {
            return Poll::Pending;
        }
        self.lanes.enter();
        let polled = self.poll_rounds(cx);
        // One whose turn is over need not be woken by its lanes before the next.
        let has_more = matches!(polled, Poll::Ready(None)) || !self.lanes.leave(cx);
        if let Poll::Ready(Some(over)) = polled {
            return Poll::Ready(over);
        }
        if has_more {
            self.client.worker.turns.wait(&self.ticket, cx);
        }
        Poll::Pending
    }

    /// Is at work for a turn; `None` if that is over before the work is done.
    fn poll_rounds(&mut self, cx: &mut Context<'_>) -> Poll<Option<Over>> {
        let now = || self.client.worker.clock.now();
        if self.client.is_to_close() {
            self.session.machine.borrow_mut().leave(now());
        }
        let turn = Turn::begin(self.client.worker.clock);
        for _ in 0..ROUNDS {
            self.session.machine.borrow_mut().lend_output(|| self.client.worker.buffers.large());
            let has_polled = self.poll_streams(turn);
            self.give_turns(turn);
            let written = self.wire.output_len();
            if let Poll::Ready(Err(_)) = self.wire.poll_flush(cx) {
                return Poll::Ready(Some(Over::Closed));
            }
            // What was sent makes room for streams that wait for it.
            let has_sent = self.wire.output_len() < written;
            if self.wire.is_finished() {
                return Poll::Ready(Some(Over::Closed));
            }
            match self.poll_read(cx, turn) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(over)) => return Poll::Ready(Some(over)),
                Poll::Pending if has_polled || has_sent => {}
                Poll::Pending => return self.poll_timers(cx).map(Some),
            }
            if turn.is_over() {
                break;
            }
        }
        Poll::Ready(None)
    }

    /// Polls streams that were woken; true if there were some.
    fn poll_streams(&mut self, turn: Turn) -> bool {
        let mut polled = 0;
        while polled < POLLS {
            let count = self.lanes.poll_ready(BATCH);
            polled += count;
            if count < BATCH || turn.is_over() {
                break;
            }
        }
        polled > 0
    }

    /// Polls the streams whose turn it is to send, as long as there is room.
    fn give_turns(&mut self, turn: Turn) {
        for count in 1.. {
            let Some(stream) = self.session.machine.borrow_mut().next_writable() else { break };
            if let Some(exchange) = self.session.exchange(stream) {
                self.lanes.poll(exchange.key.get());
            }
            if count % BATCH == 0 && turn.is_over() {
                break;
            }
        }
    }

    /// Reads once, unless something is left, and acts on what has come.
    fn poll_read(&mut self, cx: &mut Context<'_>, turn: Turn) -> Poll<Result<(), Over>> {
        let (mut input, mut taken) = std::mem::take(&mut self.input);
        if input.is_empty() {
            let Ok(read) = ready!(self.wire.poll_read(cx)) else { return Poll::Ready(Err(Over::Closed)) };
            if read.is_empty() {
                self.client.worker.buffers.give(read);
                return Poll::Ready(Err(Over::Closed));
            }
            input = read;
        } else if !self.session.machine.borrow().wants_input() {
            self.input = (input, taken);
            return Poll::Pending;
        }
        let acted = self.take(&input[taken..], turn).map(|count| taken += count);
        if acted.is_ok() && taken < input.len() {
            self.input = (input, taken);
        } else {
            self.client.worker.buffers.give(input);
        }
        Poll::Ready(acted)
    }

    /// Acts on what has come, until the turn is over; tells how much that was.
    fn take(&mut self, input: &[u8], turn: Turn) -> Result<usize, Over> {
        let (buffers, session) = (Rc::clone(&self.client.worker.buffers), Rc::clone(&self.session));
        let now = self.client.worker.clock.now();
        let mut head = buffers.http2_head.take();
        let (mut rest, mut requests) = (input, 0);
        let taken = loop {
            let (event, piece) = match session.next_event(&mut rest, &mut head, now) {
                Ok(Some(next)) => next,
                Ok(None) => break Ok(input.len()),
                Err(error) => break Err(self.broken(error)),
            };
            let is_request = matches!(event, Event::Head { .. } | Event::Refused { .. });
            self.act(event, &head, piece);
            requests += usize::from(is_request);
            // With what follows the last of them, which may be its reset: then no server is asked.
            if requests >= BATCH + usize::from(is_request) {
                requests = 0;
                if turn.is_over() {
                    break Ok(input.len() - rest.len());
                }
            }
        };
        buffers.http2_head.replace(head);
        taken
    }

    fn broken(&self, error: ConnectionError) -> Over {
        tracing::debug!(client = %self.client.peer().ip(), "HTTP/2 connection ends: {error}");
        if let ConnectionError::PeerExceeded { .. } = error {
            self.client.worker.metrics.connection_refused(ConnectionRefusal::Http2Budget);
        }
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
            Event::Refused { error, .. } => self.refused(head, error),
            Event::Settings | Event::GoAway { .. } | Event::Pong { .. } | Event::Origins => {}
        }
    }

    fn request(&mut self, stream: StreamId, head: &Head, ends: bool) {
        self.watch.asked();
        let exchange = self.session.open(stream, ends);
        let has_room = self.lanes.len() < self.exchanges_max;
        let Some(asked) = Asked::read(&self.client, head, ends).filter(|_| has_room) else {
            // Nothing was done for it: it may be asked for again elsewhere (RFC 9113, 8.7).
            exchange.reset(Code::REFUSED_STREAM);
            if !has_room {
                self.refused(head, StreamError::Refused { reason: "too many requests are being cancelled" });
            }
            return;
        };
        let key = self.serve(Job { exchange: Rc::clone(&exchange), asked });
        exchange.key.set(key);
    }

    fn serve(&mut self, job: Job) -> usize {
        let client = &self.client;
        self.lanes.serve(job, |inlet| Box::pin(serve(Rc::clone(client), inlet)))
    }

    /// A request that the machine has refused is recorded like any other.
    fn refused(&mut self, head: &Head, error: StreamError) {
        self.watch.asked();
        let exchange = Rc::new(Exchange::new(Rc::clone(&self.session), None, true));
        if let Some(asked) = Asked::refused(&self.client, head, error) {
            self.serve(Job { exchange, asked });
        }
    }

    /// What is due; to be polled last.
    fn poll_timers(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        if self.lanes.len() == 0 && self.watch.rested().is_none() {
            self.watch.rest(self.client.worker.clock.now());
            self.is_shrunk = false;
        }
        let lull = self.watch.rested().filter(|_| !self.is_shrunk).map(|rested| rested + LULL);
        let machine_due = self.session.machine.borrow().next_timeout();
        let due = self.watch.due(self.wire.stuck);
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
        self.session.shrink();
        self.lanes.shrink();
        // No lane has it any more.
        if let Some(client) = Rc::get_mut(&mut self.client) {
            client.rest();
        }
    }
}
