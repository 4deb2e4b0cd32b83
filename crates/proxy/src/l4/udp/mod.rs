//! Datagrams that are relayed in sessions, by one task for each socket that clients send to: what comes from clients goes up to
//! servers, what comes from servers goes down to clients, and sessions in which nothing moves end.

mod down;
mod handover;
mod join;
mod open;
mod opening;
mod session;
mod up;
mod wait;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use evenkeel_core::l4::{Places, Sessions};
use evenkeel_net::{DatagramSocket, Readiness};
use evenkeel_observe::{DatagramDrop, DatagramSeries, DatagramShard, StreamEnded};
use evenkeel_types::{ListenerName, Time};

pub use self::handover::Pause;
use self::session::{Session, State};
use self::wait::Waits;
use super::own::OwnSocket;
use crate::worker::Worker;
use crate::worker::closing::Closing;
use crate::worker::timer::Timer;
use crate::worker::view::View;

/// Batches of either side that are passed on before other tasks of the worker get their turn.
const ROUNDS: usize = 8;
/// While a listener or the process leaves, a session ends when nothing has moved for so long: what clients have asked has mostly
/// been answered by then.
const DRAIN_IDLE: Duration = Duration::from_secs(2);
/// How long receiving pauses when the kernel has no memory for it.
const BACK_OFF: Duration = Duration::from_millis(50);

/// One socket that clients send to, with its sessions.
pub struct Station {
    worker: Rc<Worker>,
    socket: Rc<DatagramSocket>,
    _own: OwnSocket,
    /// In whose name it takes datagrams: a reload may give it to another listener.
    name: Rc<RefCell<ListenerName>>,
    listener: ListenerName,
    rules: Rules,
    counted: Arc<DatagramSeries>,
    places: Arc<Places>,
    sessions: Sessions<Session>,
    /// The sockets of sessions, by where these stand among the sessions.
    readiness: Readiness,
    ready: Vec<usize>,
    /// Sessions that have waited for a server.
    waits: Rc<Waits>,
    ends: Ends,
    /// The sessions that another process was offered.
    handed_out: Vec<usize>,
    /// Until when sessions may go on, once there are no new ones.
    leaves_at: Option<Time>,
    /// When receiving goes on after a pause.
    pauses_until: Option<Time>,
}

/// What ends a station, or has it rest.
#[derive(Debug)]
pub struct Ends {
    /// It takes no new sessions from then on.
    pub closing: Rc<Closing>,
    /// Its sessions end as well.
    pub cutting: Rc<Closing>,
    /// It rests.
    pub pause: Rc<Pause>,
}

/// What the listener's configuration says, also while the configuration has it no more.
#[derive(Debug, Clone, Copy)]
struct Rules {
    idle: Duration,
    max_sessions: usize,
    max_answers: Option<u32>,
    grace: Duration,
    /// Some peers send PROXY headers.
    takes_headers: bool,
}

impl Station {
    /// Takes datagrams in the name of `name` until it is closed, and then those of the sessions that there are, for as long as these go
    /// on, or until they are cut.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn new(
        worker: Rc<Worker>,
        name: Rc<RefCell<ListenerName>>,
        socket: Rc<DatagramSocket>,
        ends: Ends,
    ) -> io::Result<Self> {
        let listener = name.borrow().clone();
        let rules = Rules {
            idle: DRAIN_IDLE,
            max_sessions: 0,
            max_answers: None,
            grace: DRAIN_IDLE,
            takes_headers: false,
        };
        Ok(Self {
            _own: OwnSocket::listener(&worker.shared, socket.bound()),
            counted: worker.shared.registry.datagrams(&listener),
            places: worker.shared.places(&listener),
            sessions: Sessions::new(rules.idle),
            readiness: Readiness::new()?,
            ready: Vec::new(),
            waits: Rc::default(),
            ends,
            handed_out: Vec::new(),
            leaves_at: None,
            pauses_until: None,
            rules,
            listener,
            name,
            socket,
            worker,
        })
    }

    /// Serves until it is closed and its sessions have ended.
    pub async fn serve(mut self) {
        let mut timer = Timer::new(self.worker.clock);
        poll_fn(|cx| self.poll(&mut timer, cx)).await;
    }

    fn poll(&mut self, timer: &mut Timer, cx: &mut Context<'_>) -> Poll<()> {
        if self.ends.cutting.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let view = self.worker.view();
        let now = self.worker.clock.now();
        let is_closed = self.ends.closing.poll(cx).is_ready();
        if self.is_paused(now, cx) {
            return Poll::Pending;
        }
        self.follow(&view);
        if self.leaves_at.is_none() && is_closed {
            self.leaves_at = Some(now + self.rules.grace);
            self.follow(&view);
        }
        self.take_waited(&view, now, cx);
        let mut batch = self.worker.datagrams.take().unwrap_or_default();
        let mut rounds = 0;
        while rounds < ROUNDS {
            let went_up = self.pass_up(&view, &mut batch, now, cx);
            let went_down = self.pass_down(&mut batch, now, cx);
            if !went_up && !went_down {
                break;
            }
            rounds += 1;
        }
        *self.worker.datagrams.borrow_mut() = Some(batch);
        if rounds == ROUNDS {
            cx.waker().wake_by_ref();
        }
        self.wait(timer, cx)
    }

    /// Ends what is due; ready when it is over.
    fn wait(&mut self, timer: &mut Timer, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = self.worker.clock.now();
            self.expire(now);
            if self.leaves_at.is_some_and(|at| self.sessions.is_empty() || now >= at) {
                return Poll::Ready(());
            }
            if self.pauses_until.take_if(|until| now >= *until).is_some() {
                cx.waker().wake_by_ref();
            }
            let due = [self.sessions.due(), self.leaves_at, self.pauses_until].into_iter().flatten().min();
            match due {
                Some(due) if timer.poll_until(cx, due).is_ready() => {}
                _ => return Poll::Pending,
            }
        }
    }

    /// Takes over what the configuration in force says.
    fn follow(&mut self, view: &View) {
        if *self.name.borrow() != self.listener {
            self.listener = self.name.borrow().clone();
            self.counted = self.worker.shared.registry.datagrams(&self.listener);
            self.places = self.worker.shared.places(&self.listener);
        }
        if let Some(position) = view.listener_position(&self.listener) {
            let listener = view.listener(position);
            self.rules = Rules {
                idle: listener.timeout.idle,
                max_sessions: listener.max_sessions as usize,
                max_answers: listener.max_answers,
                grace: view.snapshot.config.server.grace,
                takes_headers: !listener.accept_proxy_protocol.is_empty(),
            };
        }
        let idle = self.rules.idle;
        self.sessions.set_idle(if self.leaves_at.is_some() { idle.min(DRAIN_IDLE) } else { idle });
    }

    /// Ends sessions in which nothing has moved for too long.
    fn expire(&mut self, now: Time) {
        while let Some(at) = self.sessions.expired(now) {
            match self.sessions.get_mut(at).map(|session| &session.state) {
                // The pool says how long it may wait.
                Some(State::Waiting(_)) if self.leaves_at.is_none() => {
                    self.sessions.touch(at, now);
                }
                _ => self.end(
                    at,
                    StreamEnded::IdleTimeout,
                    Some(format!("nothing moved for {:?}", self.rules.idle)),
                ),
            }
        }
    }

    /// Ends a session, and records it.
    fn end(&mut self, at: usize, ended: StreamEnded, reason: Option<String>) {
        if let Some(session) = self.sessions.remove(at) {
            session.finish(ended, reason);
        }
    }

    fn figures(&self) -> &DatagramShard {
        self.counted.shard(self.worker.index)
    }

    fn drop_some(&self, why: DatagramDrop, count: usize) {
        self.figures().drop_some(why, count as u64);
    }
}
