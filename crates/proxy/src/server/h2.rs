//! Speaking HTTP/2 to a server: connections that many requests share, and one request's place on one.

mod driver;
mod head;

use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use evenkeel_config::Keepalive;
use evenkeel_http2::{CommandError, StreamError};
use evenkeel_net::Io;
use evenkeel_types::Time;
use tokio::sync::Mutex;

use self::driver::Driver;
use super::counted::Counted;
use super::error::ServerError;
use super::outgoing::{OutgoingHead, Surroundings};
use crate::http::field::Field;
use crate::http::head::ResponseHead;
use crate::http::lines;
use crate::http2::{Answer, Exchange, Failure, Session};
use crate::worker::buffers::Buffers;

/// Requests under way on one connection, even if the server would take more: beyond that another is opened, so that
/// one lost packet or one busy thread of the server does not hold up all requests.
const STREAMS_MAX: usize = 100;
/// Connections to one server from one worker.
const CONNECTIONS_MAX: usize = 64;

/// The connections to one server.
#[derive(Debug)]
pub struct Connections {
    /// Where they are counted; those of probes are not.
    counted: Option<Counted>,
    open: RefCell<Vec<Rc<Shared>>>,
    /// Held while one is being opened: those who come meanwhile can share it.
    opening: Mutex<()>,
}

/// A connection that many requests share.
#[derive(Debug)]
struct Shared {
    session: Rc<Session>,
    /// Requests under way.
    streams: Cell<usize>,
    /// Requests of those for which the server allows no stream yet.
    waiting: RefCell<Vec<Waker>>,
    /// When it was last used.
    used: Cell<Time>,
    opened: Time,
    /// Requests that it was given.
    requests: Cell<u32>,
    is_closed: Cell<bool>,
    /// True while it waits for a request, and is counted as one that does.
    is_idle: Cell<bool>,
    counted: Option<Counted>,
}

/// One request's place on a connection.
#[derive(Debug)]
pub struct Place {
    shared: Rc<Shared>,
    /// Its stream, once it has one.
    exchange: OnceCell<Rc<Exchange>>,
    /// True if the connection had been open before: the server may be closing it just now.
    pub reused: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.get() {
            exchange.leave();
        }
        self.shared.streams.set(self.shared.streams.get() - 1);
        self.shared.count();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
        // No request is under way any more, or will be.
        self.session.command(|machine| machine.leave(self.session.clock.now()));
    }
}

impl Connections {
    /// None yet.
    pub fn new(counted: Counted) -> Self {
        Self { counted: Some(counted), ..Self::uncounted() }
    }

    /// None yet, of which none will be counted.
    pub fn uncounted() -> Self {
        Self { counted: None, open: RefCell::default(), opening: Mutex::default() }
    }

    /// A place on an open connection, the first that has one.
    pub fn place(&self, now: Time, keepalive: Keepalive) -> Option<Place> {
        let mut open = self.open.borrow_mut();
        // One that has had its time closes when its last request has ended.
        open.retain(|shared| !shared.is_closed.get() && shared.may_serve(now, keepalive));
        open.iter().find(|shared| shared.has_room()).map(|shared| shared.take(now, true))
    }

    /// A place on a connection that `connect` opens, or another request in the meantime.
    ///
    /// # Errors
    /// What came of connecting.
    pub async fn open(
        &self,
        keepalive: Keepalive,
        around: Surroundings<'_>,
        connect: impl Future<Output = io::Result<Io>>,
    ) -> io::Result<Place> {
        let _alone = self.opening.lock().await;
        let now = around.clock.now();
        if let Some(mut place) = self.place(now, keepalive) {
            place.reused = false;
            return Ok(place);
        }
        if self.open.borrow().len() >= CONNECTIONS_MAX {
            let why = "too many connections with all their streams in use";
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, why));
        }
        let mut driver = Driver::new(connect.await?, around.buffers, around.clock, around.heads);
        driver.greet().await?;
        let shared = Rc::new(Shared::new(Rc::clone(driver.session()), now, self.counted.clone()));
        let (watched, counted) = (Rc::downgrade(&shared), self.counted.clone());
        tokio::task::spawn_local(async move {
            let ended = driver.run(watched).await;
            match (counted, ended) {
                (None, _) => {}
                (Some(counted), Failure::Closed) => {
                    counted.log_closed("idle for too long, or the server has ended it");
                }
                (Some(counted), failure) => counted.log_closed(failure),
            }
        });
        let place = shared.take(now, false);
        self.open.borrow_mut().push(shared);
        Ok(place)
    }

    /// Closes those that were not used for `idle_max`, and forgets those that have closed.
    pub fn sweep(&self, now: Time, idle_max: Duration) {
        self.open.borrow_mut().retain(|shared| {
            !shared.is_closed.get() && (shared.streams.get() > 0 || now - shared.used.get() < idle_max)
        });
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.open.borrow().is_empty()
    }

    /// True if no request is under way over any.
    pub fn is_idle(&self) -> bool {
        self.open.borrow().iter().all(|shared| shared.streams.get() == 0)
    }

    /// Closes all, each as soon as its last request has ended.
    pub fn retire(&self) {
        self.open.borrow_mut().clear();
    }
}

impl Shared {
    fn new(session: Rc<Session>, now: Time, counted: Option<Counted>) -> Self {
        let (streams, waiting, requests, is_closed, is_idle) = <_>::default();
        Self {
            session,
            streams,
            waiting,
            used: Cell::new(now),
            opened: now,
            requests,
            is_closed,
            is_idle,
            counted,
        }
    }

    /// True if another request may be under way now.
    fn has_room(&self) -> bool {
        let machine = self.session.machine.borrow();
        let allowed = machine.peer_settings().max_concurrent_streams as usize;
        self.streams.get() < STREAMS_MAX.min(allowed) && !machine.is_leaving()
    }

    /// Has a request look again when there may be a stream for it.
    fn wait(&self, waker: &Waker) {
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|listed| listed.will_wake(waker)) {
            waiting.push(waker.clone());
        }
    }

    /// Has requests that wait for a stream look again, if there may be one.
    fn wake_waiting(&self) {
        if self.waiting.borrow().is_empty() {
            return;
        }
        let machine = self.session.machine.borrow();
        let may_go_on = machine.room_for_requests() > 0 || machine.is_leaving() || machine.is_finished();
        drop(machine);
        if may_go_on {
            self.waiting.take().into_iter().for_each(Waker::wake);
        }
    }

    fn take(self: &Rc<Self>, now: Time, reused: bool) -> Place {
        self.streams.set(self.streams.get() + 1);
        self.used.set(now);
        self.requests.set(self.requests.get().saturating_add(1));
        self.count();
        Place { shared: Rc::clone(self), exchange: OnceCell::new(), reused }
    }

    /// True if it may be given another request.
    fn may_serve(&self, now: Time, keepalive: Keepalive) -> bool {
        keepalive.requests.is_none_or(|max| self.requests.get() < max)
            && keepalive.age.is_none_or(|age| now - self.opened < age)
    }

    /// Takes no more requests.
    fn close(&self) {
        self.is_closed.set(true);
        self.count();
    }

    /// Keeps the count of those that wait for a request.
    fn count(&self) {
        let is_idle = self.streams.get() == 0 && !self.is_closed.get();
        let was_idle = self.is_idle.replace(is_idle);
        let Some(counted) = &self.counted else { return };
        match (was_idle, is_idle) {
            (false, true) => counted.figures().connections_idle.increment(),
            (true, false) => counted.figures().connections_idle.decrement(),
            _ => {}
        }
    }
}

impl Place {
    /// Sends a request's head; `ends` if it has no body. Waits while the server takes no further stream.
    ///
    /// # Errors
    /// The request is none that HTTP/2 has a place for, or the connection takes no more: nothing was sent.
    pub async fn send(&self, head: &OutgoingHead<'_>, ends: bool) -> Result<Rc<Exchange>, ServerError> {
        let target = head.target.concat();
        let (request, section) = head::parts(head, &target)?;
        let session = &self.shared.session;
        let is_tunnel = !request.protocol.is_empty();
        if is_tunnel && !session.machine.borrow().peer_settings().enable_connect_protocol {
            return Err(ServerError::NoTunnels);
        }
        let opened = poll_fn(|cx| {
            let has_place = |name| !is_tunnel || !head::is_of_http1_tunnels(name);
            let fields = lines::section_fields(section).filter(|(name, _)| has_place(name));
            match session.command(|machine| machine.request(&request, fields, ends)) {
                Err(CommandError::Busy) => {
                    self.shared.wait(cx.waker());
                    Poll::Pending
                }
                opened => Poll::Ready(opened),
            }
        });
        let Ok(stream) = opened.await else {
            self.give_up();
            return Err(ServerError::Unprocessed);
        };
        let exchange = Rc::new(Exchange::new(Rc::clone(session), Some(stream), false));
        session.enlist(stream, Rc::clone(&exchange));
        Ok(Rc::clone(self.exchange.get_or_init(|| exchange)))
    }

    /// Its stream, if a request was sent over it.
    pub fn exchange(&self) -> Option<&Rc<Exchange>> {
        self.exchange.get()
    }

    /// Takes no more requests: something is wrong with the connection.
    pub fn give_up(&self) {
        self.shared.close();
    }
}

/// Takes the next head of an answer, as lines, once it has come.
///
/// # Errors
/// The server closed, failed, or sent what is no acceptable head.
pub async fn read_head(
    exchange: &Exchange,
    buffers: &Buffers,
    buf: &mut Vec<u8>,
    fields: &mut Vec<Field>,
) -> Result<ResponseHead, ServerError> {
    begun(exchange).await?;
    let Some(answer) = exchange.take_answer() else { return Err(ServerError::Closed) };
    let Answer { head, lines, fields: listed } = answer;
    buffers.give(std::mem::replace(buf, lines));
    buffers.give_fields(std::mem::replace(fields, listed));
    Ok(head?)
}

/// Waits for the next head of an answer.
///
/// # Errors
/// The server closed or failed.
pub async fn begun(exchange: &Exchange) -> Result<(), ServerError> {
    poll_fn(|cx| exchange.poll_answer(cx)).await.map_err(failed)
}

fn failed(failure: Failure) -> ServerError {
    match failure {
        // The server says that it has not looked at the request (RFC 9113, 8.7).
        Failure::Stream(error) if error.is_unprocessed() => ServerError::Unprocessed,
        Failure::Stream(StreamError::PeerMisbehaved { reason, .. }) => ServerError::Malformed(reason),
        Failure::Closed | Failure::Lost(_) => ServerError::Closed,
        Failure::TooManyInterim => ServerError::TooManyInterim,
        failure => ServerError::Reset(failure.into()),
    }
}
