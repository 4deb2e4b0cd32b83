//! Sessions for which no server is free, or whose server's name is looked up: each waits in a task of its own, and keeps a few
//! datagrams meanwhile.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use evenkeel_core::admission::Leg;
use evenkeel_core::l4::SessionKey;
use evenkeel_observe::{DatagramDrop, StreamEnded};
use evenkeel_types::Time;
use tokio::net::lookup_host;
use tokio::task::AbortHandle;

use super::Station;
use super::open::{Opening, Progress};
use super::session::{Relayed, State};
use crate::server::error::ServerError;
use crate::worker::timer::Timer;
use crate::worker::view::View;

/// Datagrams that a session keeps while it waits, and bytes of them.
const HELD_MAX: usize = 4;
const HELD_BYTES_MAX: usize = 16 * 1024;

/// A session that waits; when this is dropped it waits no more.
pub struct Waiting {
    held: Vec<Box<[u8]>>,
    task: AbortHandle,
}

/// What has come of sessions that have waited.
#[derive(Default)]
pub struct Waits {
    over: RefCell<Vec<(SessionKey, Option<Box<Relayed>>)>>,
    waker: RefCell<Option<Waker>>,
}

impl Waiting {
    /// Has a session wait. `resolve` is the server whose name is to be looked up first.
    pub fn new(waits: &Rc<Waits>, key: SessionKey, opening: Opening, resolve: Option<(Leg, usize)>) -> Self {
        let waits = Rc::clone(waits);
        let task = tokio::task::spawn_local(async move {
            let outcome = wait(Box::new(opening), resolve).await;
            waits.over.borrow_mut().push((key, outcome));
            if let Some(waker) = waits.waker.take() {
                waker.wake();
            }
        });
        Self { held: Vec::new(), task: task.abort_handle() }
    }

    /// Keeps a datagram; false if it keeps as much as it may.
    pub fn hold(&mut self, datagram: &[u8]) -> bool {
        let bytes: usize = self.held.iter().map(|held| held.len()).sum();
        let may = self.held.len() < HELD_MAX && bytes + datagram.len() <= HELD_BYTES_MAX;
        if may {
            self.held.push(datagram.into());
        }
        may
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits until there is a server; `None` if there will be none, which was recorded.
async fn wait(mut opening: Box<Opening>, mut resolve: Option<(Leg, usize)>) -> Option<Box<Relayed>> {
    let mut timer = Timer::new(opening.worker.clock);
    loop {
        let resolved = match resolve.take() {
            Some((leg, server)) => {
                let found = look_up(&opening, server, &mut timer).await;
                opening.connect(leg, server, found)
            }
            None => None,
        };
        let progress = match resolved {
            Some(connected) => Ok(connected),
            None => {
                poll_fn(|cx| {
                    loop {
                        match opening.advance(cx) {
                            Ok(Progress::Wait(until)) if timer.poll_until(cx, until).is_pending() => {
                                return Poll::Pending;
                            }
                            Ok(Progress::Wait(_)) => {}
                            other => return Poll::Ready(other),
                        }
                    }
                })
                .await
            }
        };
        match progress {
            Ok(Progress::Connected(socket, permit)) => {
                let now = opening.worker.clock.now();
                return Some(opening.relayed(socket, permit, now));
            }
            Ok(Progress::Resolve(leg, server)) => resolve = Some((leg, server)),
            Ok(Progress::Wait(_)) => {}
            Err((ended, why)) => {
                opening.log.finish(ended, Some(why));
                return None;
            }
        }
    }
}

/// The first address of a server that is known by its name.
async fn look_up(
    opening: &Opening,
    server: usize,
    timer: &mut Timer,
) -> Result<std::net::SocketAddr, ServerError> {
    let unknown = || {
        let why = std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
        ServerError::Connect(why)
    };
    let Some((host, port)) = opening.name_of(server) else { return Err(unknown()) };
    let looked_up = timer.within(opening.connect_timeout().into(), lookup_host((host, port))).await;
    let mut addresses = looked_up.map_err(|_| ServerError::ConnectTimeout)?.map_err(ServerError::Connect)?;
    addresses.next().ok_or_else(unknown)
}

impl Station {
    /// Passes on what sessions have kept that have waited, and are relayed from now on.
    pub(super) fn take_waited(&mut self, view: &Rc<View>, now: Time, cx: &Context<'_>) {
        *self.waits.waker.borrow_mut() = Some(cx.waker().clone());
        let over = std::mem::take(&mut *self.waits.over.borrow_mut());
        for (key, outcome) in over {
            let Some(at) = self.sessions.find(&key) else { continue };
            let Some(session) = self.sessions.touch(at, now) else { continue };
            let State::Waiting(waiting) = &mut session.state else { continue };
            let held = std::mem::take(&mut waiting.held);
            match outcome {
                Some(mut relayed) => {
                    // The server may have gone in the meantime: the next datagram chooses again.
                    let has_server = relayed.has_server(view);
                    session.state = State::Relayed(relayed);
                    if !has_server {
                        self.drop_some(DatagramDrop::Refused, held.len());
                        self.end(at, StreamEnded::ServerDown, None);
                    } else if self.watch(at) {
                        self.send_held(at, &held, now);
                    }
                }
                None => {
                    self.drop_some(DatagramDrop::Refused, held.len());
                    self.sessions.remove(at);
                }
            }
        }
    }
}
