//! What belongs to one worker: its view, buffers, counters and log. Nothing that a request touches is shared with another
//! worker, except what must be global.

pub mod batch;
pub mod buffers;
pub mod closing;
pub mod flight;
pub mod lag;
pub mod pipes;
pub mod pool_view;
pub mod run;
pub mod timer;
pub mod turns;
pub mod unsent;
pub mod view;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::task::Waker;
use std::time::{Duration, SystemTime};

use evenkeel_core::cache::Wall;
use evenkeel_core::compress::lateness;
use evenkeel_core::snapshot::Snapshot;
use evenkeel_observe::{Record, RequestTrace, StreamRecord, WorkerLog, WorkerMetrics, WorkerTraces};
use evenkeel_types::{Clock, ListenerName, RequestIdText, Time};
use slab::Slab;
use tokio::sync::Notify;

use self::batch::Batch;
use self::buffers::Buffers;
use self::flight::FlightDesk;
use self::pipes::Pipes;
use self::turns::Turns;
use self::unsent::Unsent;
use self::view::View;
use crate::files::store::FileStore;
use crate::filter::compress::pool::Encoders;
use crate::http::head::HeadLimits;
use crate::server::exchange::Surroundings;
use crate::shared::Shared;

/// Each byte as two hexadecimal digits.
const HEX: [[u8; 2]; 256] = {
    let digits = *b"0123456789abcdef";
    let mut hex = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        hex[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    hex
};
/// How long a view is kept for the last requests to listeners that only it has.
const RETIRED_FOR: Duration = Duration::from_secs(3);
/// How many pools are looked through before other work goes on.
const POOLS_AT_ONCE: usize = 32;

/// What belongs to one worker.
#[derive(Debug)]
pub struct Worker {
    /// Its place among the workers.
    pub index: usize,
    /// The process's clock.
    pub clock: Clock,
    /// What is shared with the others.
    pub shared: Arc<Shared>,
    /// What this worker counts.
    pub metrics: Arc<WorkerMetrics>,
    /// Buffers that wait for use.
    pub buffers: Rc<Buffers>,
    /// Pipes that wait for use.
    pub pipes: Pipes,
    /// What has come of datagrams and goes on at once; made for the first of them.
    pub datagrams: RefCell<Option<Box<Batch>>>,
    /// Static files that it keeps.
    pub files: FileStore,
    /// What its clients do not take yet: a worker may keep its share of what the process may.
    pub unsent: Unsent,
    /// Which busy connections are at work next.
    pub turns: Turns,
    /// What compresses its responses.
    pub encoders: Encoders,
    /// What it has done for the flight recorder.
    pub flight: FlightDesk,
    /// How late it counts as.
    lateness: Cell<Duration>,
    view: RefCell<Rc<View>>,
    log: RefCell<WorkerLog>,
    traces: RefCell<WorkerTraces>,
    logs: Cell<bool>,
    log_pending: Notify,
    rng: RefCell<fastrand::Rng>,
    unix_base_ns: Cell<u64>,
    /// The line of `Date`, and the second that it is of.
    date: RefCell<(u64, String)>,
    leaving: Cell<bool>,
    closes_idle: Cell<bool>,
    connections: RefCell<Slab<Waker>>,
    /// What was in force before, for a while.
    retired: RefCell<Option<(Time, Rc<View>)>>,
}

impl Worker {
    /// A worker that has no connection yet.
    pub fn new(index: usize, shared: Arc<Shared>, log: WorkerLog, traces: WorkerTraces) -> Self {
        let snapshot = shared.snapshot();
        let logs = snapshot.config.log.access != evenkeel_config::AccessLog::Off;
        Self {
            index,
            clock: shared.clock,
            metrics: shared.registry.worker(index),
            buffers: Rc::default(),
            pipes: Pipes::default(),
            datagrams: RefCell::default(),
            files: FileStore::new(shared.clock, shared.open.len()),
            unsent: Unsent::new(unsent_max(&snapshot, &shared)),
            turns: Turns::default(),
            encoders: Encoders::default(),
            flight: FlightDesk::default(),
            lateness: Cell::default(),
            view: RefCell::new(Rc::new(View::new(&shared, None, index))),
            log: RefCell::new(log),
            traces: RefCell::new(traces),
            logs: Cell::new(logs),
            log_pending: Notify::new(),
            rng: RefCell::new(fastrand::Rng::new()),
            unix_base_ns: Cell::new(unix_base_ns(shared.clock)),
            date: RefCell::default(),
            leaving: Cell::new(false),
            closes_idle: Cell::new(false),
            connections: RefCell::default(),
            retired: RefCell::default(),
            shared,
        }
    }

    /// What is in force now.
    pub fn view(&self) -> Rc<View> {
        let current = self.shared.generation();
        let view = Rc::clone(&self.view.borrow());
        if view.snapshot.generation == current { view } else { self.renew(view) }
    }

    #[cold]
    fn renew(&self, old: Rc<View>) -> Rc<View> {
        let view = Rc::new(View::new(&self.shared, Some(&old), self.index));
        *self.view.borrow_mut() = Rc::clone(&view);
        old.retire_all_but(&view);
        self.unsent.set_max(unsent_max(&view.snapshot, &self.shared));
        *self.retired.borrow_mut() = Some((self.clock.now(), old));
        view
    }

    /// What was in force before the last change of the configuration, if that was just now.
    pub fn retired_view(&self) -> Option<Rc<View>> {
        self.retired.borrow().as_ref().map(|(_, view)| Rc::clone(view))
    }

    /// Where a listener stands in what is in force, or in what just was if it has been taken away.
    pub fn standing(&self, listener: &ListenerName) -> Option<(Rc<View>, usize)> {
        let view = self.view();
        if let Some(position) = view.listener_position(listener) {
            return Some((view, position));
        }
        let retired = self.retired_view()?;
        let position = retired.listener_position(listener)?;
        Some((retired, position))
    }

    /// Looks through idle connections, lets go of what was in force before, and reads the wall clock. Requests go on between pools.
    pub async fn keep_house(&self) {
        self.unix_base_ns.set(unix_base_ns(self.clock));
        let (now, view) = (self.clock.now(), self.view());
        let (bytes, open) = self.files.size();
        self.metrics.files_cached.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.metrics.files_open.set(i64::try_from(open).unwrap_or(i64::MAX));
        self.metrics.unsent.set(i64::try_from(self.unsent.bytes()).unwrap_or(i64::MAX));
        self.retired.borrow_mut().take_if(|(since, _)| now - *since > RETIRED_FOR);
        // A server that has left a pool which no request uses is let go of here.
        for (looked, pool) in view.used_pools().enumerate() {
            pool.upstreams.iter().for_each(|upstream| upstream.sweep(now));
            if (looked + 1) % POOLS_AT_ONCE == 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Waits until there is something to write to the access log, or spans to send.
    pub async fn log_is_pending(&self) {
        self.log_pending.notified().await;
    }

    /// Writes what waits for the access log, and sends the spans that wait.
    pub fn flush_log(&self) {
        self.log.borrow_mut().flush();
        self.traces.borrow_mut().flush();
    }

    /// The process is leaving from now on. With a successor, connections that wait for a request may go on to do so until
    /// [`close_idle`](Self::close_idle).
    pub fn leave(&self, has_successor: bool) {
        self.leaving.set(true);
        self.closes_idle.set(!has_successor);
        self.wake_all();
    }

    /// Connections that wait for a request close.
    pub fn close_idle(&self) {
        if !self.closes_idle.replace(true) {
            self.wake_all();
        }
    }

    /// True once connections that wait for a request close, because the process is leaving.
    pub fn closes_idle(&self) -> bool {
        self.closes_idle.get()
    }

    /// True once the process is leaving.
    pub fn is_leaving(&self) -> bool {
        self.leaving.get()
    }

    /// Has every connection look again at whether it may stay. Those that are busy are woken for nothing.
    pub fn wake_all(&self) {
        self.connections.borrow().iter().for_each(|(_, waker)| waker.wake_by_ref());
    }

    /// How late it counts as: what [`was_late`](Self::was_late) was told, and what it forgets of that with time. Zero while
    /// it does not look.
    pub fn lateness(&self) -> Duration {
        self.lateness.get()
    }

    /// It has come this much later to something than it should.
    pub fn was_late(&self, late: Duration) {
        self.lateness.set(lateness(self.lateness.get(), late));
    }

    /// It does not look any more how late it is.
    pub fn is_on_time(&self) {
        self.lateness.set(Duration::ZERO);
    }

    /// True when no connection is left, and none can come: each is counted before it is handed over.
    pub fn is_empty(&self) -> bool {
        self.shared.accepting.load(Acquire) == 0 && self.shared.open[self.index].load(Acquire) == 0
    }

    /// Notes a connection, which the task behind `waker` serves, for as long as the guard lives.
    pub fn connection_opened(self: &Rc<Self>, waker: Waker) -> Open {
        self.metrics.connections.increment();
        let key = self.connections.borrow_mut().insert(waker);
        Open { worker: Rc::clone(self), key }
    }

    /// Notes a task that accepts, for as long as the guard lives.
    pub fn accepting_began(self: &Rc<Self>) -> AcceptingGuard {
        self.shared.accepting.fetch_add(1, AcqRel);
        AcceptingGuard(Rc::clone(self))
    }

    /// A random number.
    pub fn random(&self) -> u64 {
        self.rng.borrow_mut().u64(..)
    }

    /// A new request id: 32 hexadecimal digits.
    pub fn request_id<'b>(&self, text: &'b mut [u8; 32]) -> RequestIdText<'b> {
        for half in text.chunks_exact_mut(16) {
            let pairs = self.random().to_le_bytes().map(|byte| HEX[usize::from(byte)]);
            half.copy_from_slice(pairs.as_flattened());
        }
        RequestIdText::Own(text)
    }

    /// Nanoseconds since the Unix epoch.
    pub fn unix_ns(&self, time: Time) -> u64 {
        self.unix_base_ns.get() + time.as_nanos()
    }

    /// The time for the cache, which must mean the same after a restart.
    pub fn wall(&self, time: Time) -> Wall {
        Wall::from_millis(self.unix_ns(time) / 1_000_000)
    }

    /// True if there is an access log.
    pub fn logs(&self) -> bool {
        self.logs.get()
    }

    /// Writes a line to the access log, some time soon.
    pub fn log(&self, record: &Record<'_>) {
        self.log_by(|log| log.record(record));
    }

    /// The same of a connection that was relayed.
    pub fn log_stream(&self, record: &StreamRecord<'_>) {
        self.log_by(|log| log.record_stream(record));
    }

    /// Sends the spans of a request, some time soon.
    pub fn trace(&self, request: RequestTrace) {
        let mut traces = self.traces.borrow_mut();
        let was_pending = traces.pending();
        traces.record(request);
        if !was_pending {
            self.log_pending.notify_one();
        }
    }

    #[inline]
    fn log_by(&self, write: impl FnOnce(&mut WorkerLog)) {
        let mut log = self.log.borrow_mut();
        let was_pending = log.pending();
        write(&mut log);
        if !was_pending {
            self.log_pending.notify_one();
        }
    }

    /// What a round trip to a server needs of the worker.
    pub fn surroundings(&self, heads: HeadLimits) -> Surroundings<'_> {
        let (unsent, of_connection) = (Some(&self.unsent), None);
        Surroundings { buffers: &self.buffers, clock: self.clock, heads, unsent, of_connection }
    }

    /// Writes the field `Date` (RFC 9110, 6.6.1), whose text is made once a second.
    pub fn write_date(&self, out: &mut Vec<u8>, now: Time) {
        let second = self.unix_ns(now) / 1_000_000_000;
        let (of, line) = &mut *self.date.borrow_mut();
        if *of != second {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
            (*of, *line) = (second, format!("date: {}\r\n", httpdate::fmt_http_date(at)));
        }
        out.extend_from_slice(line.as_bytes());
    }
}

/// A task that accepts.
#[derive(Debug)]
pub struct AcceptingGuard(Rc<Worker>);

impl Drop for AcceptingGuard {
    fn drop(&mut self) {
        self.0.shared.accepting.fetch_sub(1, AcqRel);
    }
}

/// A client connection that is open.
#[derive(Debug)]
pub struct Open {
    worker: Rc<Worker>,
    key: usize,
}

impl Drop for Open {
    fn drop(&mut self) {
        let worker = &self.worker;
        worker.metrics.connections.decrement();
        worker.shared.open[worker.index].fetch_sub(1, Relaxed);
        worker.connections.borrow_mut().remove(self.key);
    }
}

/// A session of datagrams that is open: it counts as a connection of a client.
#[derive(Debug)]
pub struct OpenSession(Rc<Worker>);

impl OpenSession {
    /// Counts one, for as long as it lives.
    pub fn new(worker: &Rc<Worker>) -> Self {
        worker.metrics.connections_accepted.increment();
        worker.metrics.connections.increment();
        worker.shared.open[worker.index].fetch_add(1, Relaxed);
        Self(Rc::clone(worker))
    }
}

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.0.metrics.connections.decrement();
        self.0.shared.open[self.0.index].fetch_sub(1, Relaxed);
    }
}

/// The share of one worker in what clients may leave untaken.
fn unsent_max(snapshot: &Snapshot, shared: &Shared) -> usize {
    snapshot.config.limits.unsent_memory / shared.open.len().max(1)
}

/// The wall clock's reading at the clock's zero.
fn unix_base_ns(clock: Clock) -> u64 {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX).saturating_sub(clock.now().as_nanos())
}
