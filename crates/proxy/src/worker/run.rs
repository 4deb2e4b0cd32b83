//! A worker's thread: its runtime, the orders that it obeys, and what it does beside requests.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use evenkeel_config::Transport;
use evenkeel_net::{DatagramSocket, Listening, Socket};
use evenkeel_observe::{WorkerLog, WorkerTraces};
use evenkeel_types::ListenerName;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::Worker;
use super::closing::Closing;
use crate::accept::{accept, take_over};
use crate::handover::{ListeningSocket, Successor, TakenOver};
use crate::l4::udp::{Ends, Pause, Station};
use crate::shared::{Order, Place, Shared, Start};

/// How often idle connections are looked through and the wall clock is read.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// Between two looks at the event-loop lag, while it counts.
const LAG_TICK: Duration = Duration::from_millis(25);
/// The same while it does not.
const LAG_TICK_IDLE: Duration = Duration::from_secs(1);
/// How long a client that has a connection may take to its next request, when another process serves on in the place of this one. A
/// response to such a request closes the connection, which loses nothing; to close it between two requests can meet the next one
/// on its way.
const IDLE_AFTER_HANDOVER: Duration = Duration::from_secs(10);
/// How often a worker that leaves looks whether it may.
const LEAVING_TICK: Duration = Duration::from_millis(5);
/// How long a line of the access log may wait for others to be written with.
const LOG_DELAY: Duration = Duration::from_millis(100);

/// A running worker.
#[derive(Debug)]
pub struct WorkerHandle(JoinHandle<()>);

impl WorkerHandle {
    /// Waits until it has left.
    pub fn join(self) {
        // A worker that panicked has said so; the others still want to leave in order.
        let _ = self.0.join();
    }
}

/// Starts a worker's thread.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn(
    start: Start,
    shared: Arc<Shared>,
    log: WorkerLog,
    traces: WorkerTraces,
) -> io::Result<WorkerHandle> {
    let name = format!("worker-{}", start.index);
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(tokio::runtime::LocalOptions::default());
        match runtime {
            Ok(runtime) => {
                runtime.block_on(run(start, shared, log, traces));
                // A call that still waits for a disk does not keep the process from leaving.
                runtime.shutdown_background();
            }
            Err(error) => tracing::error!(%error, "a worker cannot start"),
        }
    })?;
    Ok(WorkerHandle(thread))
}

async fn run(start: Start, shared: Arc<Shared>, log: WorkerLog, traces: WorkerTraces) {
    let Start { index, mut orders } = start;
    let worker = Rc::new(Worker::new(index, shared, log, traces));
    tokio::task::spawn_local(housekeeping(Rc::clone(&worker)));
    tokio::task::spawn_local(flush_log(Rc::clone(&worker)));
    tokio::task::spawn_local(watch_lag(Rc::clone(&worker)));
    let giver = Rc::clone(&worker);
    tokio::task::spawn_local(async move { giver.turns.give().await });
    let mut accepting = AcceptingOn::default();
    while let Some(order) = orders.recv().await {
        let Order::Leave { grace, successor } = order else {
            obey(&worker, order, &mut accepting);
            continue;
        };
        accepting.leave(successor.as_ref());
        worker.leave(successor.is_some());
        finish(&worker, orders, grace).await;
        break;
    }
    worker.flush_log();
}

/// Finishes what is under way. Other workers may still hand over what they accept last. A connection that is not done in time is
/// cut off.
async fn finish(worker: &Rc<Worker>, mut orders: UnboundedReceiver<Order>, grace: Duration) {
    let now = tokio::time::Instant::now();
    let (end, idle_end) = (now + grace, now + IDLE_AFTER_HANDOVER);
    loop {
        let now = tokio::time::Instant::now();
        if worker.is_empty() || now >= end {
            return;
        }
        if now >= idle_end {
            worker.close_idle();
        }
        tokio::select! {
            Some(order) = orders.recv() => obey(worker, order, &mut AcceptingOn::default()),
            () = tokio::time::sleep(LEAVING_TICK) => {}
        }
    }
}

/// What a worker accepts on.
#[derive(Debug, Default)]
struct AcceptingOn {
    places: HashMap<Place, Accepting>,
    /// Addresses of UDP that are closed, and whose sessions go on for a while: closing these ends them.
    draining: HashMap<Place, Rc<Closing>>,
}

/// The tasks that accept on one address. They end with it.
#[derive(Debug)]
struct Accepting {
    listener: Rc<RefCell<ListenerName>>,
    closing: Rc<Closing>,
    /// Ends the sessions of datagrams that go on after that.
    cutting: Rc<Closing>,
    sockets: Vec<Open>,
}

/// A socket that clients come to.
#[derive(Debug)]
enum Open {
    Stream(Rc<Listening>),
    Datagram(Rc<DatagramSocket>, Rc<Pause>),
}

impl AsFd for Open {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Stream(socket) => socket.as_fd(),
            Self::Datagram(socket, _) => socket.as_fd(),
        }
    }
}

impl AcceptingOn {
    /// Accepts no more. What waits where a successor accepts is left to it. Sessions of datagrams of other places go on here.
    fn leave(self, successor: Option<&Successor>) {
        let Some(successor) = successor else { return };
        for (place, accepting) in &self.places {
            if successor.has(place) {
                accepting.closing.hand_over();
            } else {
                accepting.pauses().for_each(|pause| pause.end());
            }
        }
    }

    /// Gives out duplicates of all sockets.
    fn duplicate(&self, answer: &UnboundedSender<ListeningSocket>) {
        for ((transport, address), accepting) in &self.places {
            for socket in &accepting.sockets {
                let descriptor = socket.as_fd().try_clone_to_owned();
                // The one who asked may have given up.
                let _ = answer.send(ListeningSocket {
                    transport: *transport,
                    address: address.clone(),
                    descriptor,
                });
            }
        }
    }

    fn pauses(&self) -> impl Iterator<Item = &Rc<Pause>> {
        self.places.values().flat_map(Accepting::pauses)
    }
}

impl Accepting {
    fn pauses(&self) -> impl Iterator<Item = &Rc<Pause>> {
        self.sockets.iter().filter_map(|socket| match socket {
            Open::Stream(_) => None,
            Open::Datagram(_, pause) => Some(pause),
        })
    }

    fn by(listener: ListenerName) -> Self {
        let listener = Rc::new(RefCell::new(listener));
        Self { listener, closing: Rc::default(), cutting: Rc::default(), sockets: Vec::new() }
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.closing.close();
    }
}

/// Carries out an order other than to leave.
fn obey(worker: &Rc<Worker>, order: Order, accepting: &mut AcceptingOn) {
    match order {
        Order::Serve { listener, connection, peer } => take_over(worker, listener, connection, peer),
        Order::Listen { listener, place, socket, taken } => {
            let address = place.1.clone();
            if let Err(error) = listen(worker, listener.clone(), place, (socket, taken), accepting) {
                tracing::error!(%listener, %address, %error, "cannot watch a listening socket");
            }
        }
        Order::Close { place } => {
            if let Some(closed) = accepting.places.remove(&place)
                && place.0 == Transport::Datagram
            {
                accepting.draining.insert(place, Rc::clone(&closed.cutting));
            }
            worker.wake_all();
        }
        Order::Rename { place, listener } => {
            if let Some(place) = accepting.places.get(&place) {
                *place.listener.borrow_mut() = listener;
            }
            worker.wake_all();
        }
        Order::Duplicate { answer } => accepting.duplicate(&answer),
        Order::PauseDatagrams { answer } => accepting.pauses().for_each(|it| it.begin(answer.clone())),
        Order::ResumeDatagrams => accepting.pauses().for_each(|it| it.end()),
        Order::Leave { .. } => {}
    }
}

/// Takes what comes to a socket from now on.
fn listen(
    worker: &Rc<Worker>,
    listener: ListenerName,
    place: Place,
    (socket, taken): (Socket, TakenOver),
    accepting: &mut AcceptingOn,
) -> io::Result<()> {
    if let Some(before) = accepting.draining.remove(&place) {
        // Its clients would reach one or the other socket.
        before.close();
    }
    let transport = place.0;
    let place = accepting.places.entry(place).or_insert_with(|| Accepting::by(listener));
    let (listener, closing) = (Rc::clone(&place.listener), Rc::clone(&place.closing));
    match transport {
        Transport::Stream => {
            let (listening, guard) = (Rc::new(socket.register()?), worker.accepting_began());
            place.sockets.push(Open::Stream(Rc::clone(&listening)));
            tokio::task::spawn_local(accept(Rc::clone(worker), listener, listening, closing, guard));
        }
        Transport::Datagram => {
            let (socket, pause) = (Rc::new(socket.register_datagrams()?), Rc::<Pause>::default());
            let ends = Ends { closing, cutting: Rc::clone(&place.cutting), pause: Rc::clone(&pause) };
            let mut station = Station::new(Rc::clone(worker), listener, Rc::clone(&socket), ends)?;
            place.sockets.push(Open::Datagram(socket, pause));
            station.resume_sessions(taken);
            tokio::task::spawn_local(station.serve());
        }
    }
    Ok(())
}

async fn housekeeping(worker: Rc<Worker>) {
    let mut ticks = tokio::time::interval(HOUSEKEEPING);
    loop {
        ticks.tick().await;
        worker.keep_house().await;
    }
}

async fn flush_log(worker: Rc<Worker>) {
    loop {
        worker.log_is_pending().await;
        tokio::time::sleep(LOG_DELAY).await;
        worker.flush_log();
    }
}

/// Measures the event-loop lag again and again.
async fn watch_lag(worker: Rc<Worker>) {
    let lag = &worker.shared.lag[worker.index];
    loop {
        let view = worker.view();
        let counts = view.uses().compresses || view.snapshot.config.overload.delay.is_some();
        drop(view);
        let tick = if counts { LAG_TICK } else { LAG_TICK_IDLE };
        let due = worker.clock.now() + tick;
        lag.expect(counts.then_some(due));
        tokio::time::sleep(tick).await;
        if counts {
            let late = worker.clock.now().since(due);
            lag.looked(late);
            worker.was_late(late);
        } else {
            worker.is_on_time();
        }
    }
}
