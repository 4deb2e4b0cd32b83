//! Accepting connections and spreading them: evenly over the workers, even when there are few and they live long.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use evenkeel_core::overload::OverloadStep;
use evenkeel_net::{Accepted, Detached, Io, Listening, Peer};
use evenkeel_observe::ConnectionRefusal;
use evenkeel_types::ListenerName;
use tokio::task::coop::has_budget_remaining;

use crate::l4;
use crate::serve::serve;
use crate::shared::Order;
use crate::worker::closing::Closing;
use crate::worker::{AcceptingGuard, Worker};

/// How long accepting pauses when the process is out of descriptors or memory.
const BACK_OFF: Duration = Duration::from_millis(50);

/// No descriptor left in the system, in the process (errno(3)).
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

/// Accepts in the name of `listener` until `closing`, and then the connections that already wait: the kernel has
/// completed their handshakes, so their clients count on them. Those that wait at a socket which another process has taken over
/// are that process's.
pub async fn accept(
    worker: Rc<Worker>,
    listener: Rc<RefCell<ListenerName>>,
    listening: Rc<Listening>,
    closing: Rc<Closing>,
    _accepting: AcceptingGuard,
) {
    let mut last = false;
    loop {
        if closing.is_handed_over() {
            return;
        }
        let accepted = poll_fn(|cx| match listening.poll_accept(cx) {
            Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
            // Without budget it is pending even if a connection waits; the task will be polled again at once.
            Poll::Pending if !has_budget_remaining() => Poll::Pending,
            Poll::Pending => closing.poll(cx).map(|()| None),
        });
        match accepted.await {
            None if last => return,
            None => {
                // What is known of the socket may be older than its queue: the driver must look once more.
                last = true;
                tokio::task::yield_now().await;
            }
            Some(Ok((accepted, peer))) => take(&worker, &listener.borrow(), accepted, peer),
            // The client was gone before we came to it.
            Some(Err(e)) if matches!(e.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => {
            }
            Some(Err(error)) => {
                worker.metrics.connection_refused(match error.raw_os_error() {
                    Some(EMFILE | ENFILE) => ConnectionRefusal::Descriptors,
                    _ => ConnectionRefusal::Accept,
                });
                if worker.shared.fails_anew(&listener.borrow()) {
                    let retry = "it is tried again every 50 ms, and said again after a minute without";
                    tracing::warn!(listener = %listener.borrow(), %error, retry, "cannot accept");
                }
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

/// Serves a connection here, or hands it to the worker with the fewest.
fn take(worker: &Rc<Worker>, listener: &ListenerName, accepted: Accepted, peer: Peer) {
    worker.metrics.connections_accepted.increment();
    let view = worker.view();
    // A listener that is just going is not worth a look at what it leads to.
    let is_spared =
        || view.listener_position(listener).is_some_and(|position| view.uses().leads_to_high[position]);
    if worker.shared.step() == OverloadStep::Refuse && !is_spared() {
        worker.metrics.connection_refused(ConnectionRefusal::Overload);
        return;
    }
    let open = &worker.shared.open;
    let limit = view.snapshot.config.limits.connections;
    if open.iter().map(|open| open.load(Relaxed)).sum::<usize>() >= limit {
        worker.metrics.connection_refused(ConnectionRefusal::Limit);
        return;
    }
    let here = worker.index;
    let mine = open[here].load(Relaxed);
    let lightest = (0..open.len()).min_by_key(|i| (open[*i].load(Relaxed), *i != here)).unwrap_or(here);
    // Exactly even while there are few; with many, an even share is not worth a hand-over each.
    let slack = mine / 16;
    let too_many = open[lightest].load(Relaxed) + slack < mine;
    let target = if too_many && !worker.shared.is_leaving() { lightest } else { here };
    open[target].fetch_add(1, Relaxed);
    if target == here {
        return begin(worker, listener, accepted.into_io(), peer);
    }
    let Ok(connection) = accepted.detach() else {
        open[target].fetch_sub(1, Relaxed);
        worker.metrics.connection_refused(ConnectionRefusal::Accept);
        return;
    };
    let order = Order::Serve { listener: listener.clone(), connection, peer };
    if let Some(Order::Serve { listener, connection, peer }) = worker.shared.order(target, order) {
        // That worker has left in the meantime.
        open[target].fetch_sub(1, Relaxed);
        open[here].fetch_add(1, Relaxed);
        take_over(worker, listener, connection, peer);
    }
}

/// Serves a connection here, in a task of its own.
fn begin(worker: &Rc<Worker>, listener: &ListenerName, io: Io, peer: Peer) {
    match worker.standing(listener) {
        Some((view, position)) if view.listener(position).is_tcp() => {
            tokio::task::spawn_local(l4::serve(Rc::clone(worker), (view, position), (io, peer)))
        }
        _ => tokio::task::spawn_local(serve(Rc::clone(worker), listener.clone(), io, peer)),
    };
}

/// Serves a connection that another worker accepted, and has counted for this one.
pub fn take_over(worker: &Rc<Worker>, listener: ListenerName, connection: Detached, peer: Peer) {
    match connection.attach() {
        Ok(io) => begin(worker, &listener, io, peer),
        Err(_) => drop(worker.shared.open[worker.index].fetch_sub(1, Relaxed)),
    }
}
