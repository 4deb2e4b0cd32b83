//! Sessions for which no server is free, or whose server's name is looked up: each waits in a task of its own, and keeps a few
//! datagrams meanwhile.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use evenkeel_core::admission::Leg;
use evenkeel_core::l4::SessionKey;
use tokio::net::lookup_host;

use super::opening::{Opening, Progress};
use super::session::{Relayed, Waiting};
use crate::server::error::ServerError;
use crate::worker::timer::Timer;

/// What has come of sessions that have waited.
#[derive(Default)]
pub struct Waits {
    over: RefCell<Vec<Waited>>,
    waker: RefCell<Option<Waker>>,
}

/// A session that has waited, and what it has become.
pub type Waited = (SessionKey, Option<Box<Relayed>>);

impl Waits {
    /// Those that have waited since this was asked last; `cx` is woken by the next one.
    pub fn take(&self, cx: &Context<'_>) -> Vec<Waited> {
        *self.waker.borrow_mut() = Some(cx.waker().clone());
        std::mem::take(&mut *self.over.borrow_mut())
    }
}

/// Has a session wait. `resolve` is the server whose name is to be looked up first.
pub fn wait_for_server(
    waits: &Rc<Waits>,
    key: SessionKey,
    opening: Opening,
    resolve: Option<(Leg, usize)>,
) -> Waiting {
    let waits = Rc::clone(waits);
    let task = tokio::task::spawn_local(async move {
        let outcome = wait(Box::new(opening), resolve).await;
        waits.over.borrow_mut().push((key, outcome));
        if let Some(waker) = waits.waker.take() {
            waker.wake();
        }
    });
    Waiting::by(task.abort_handle())
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
