//! What the workers and the control side have in common, and what they say to each other.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam_utils::CachePadded;
use evenkeel_cache::{DiskLimits, Limits, OpenError};
use evenkeel_config::{self as config, Eviction, Transport};
use evenkeel_core::cache::evict::Policy;
use evenkeel_core::health::LiveFailure;
use evenkeel_core::l4::Places;
use evenkeel_core::overload::OverloadStep;
use evenkeel_core::snapshot::Snapshot;
use evenkeel_net::{Detached, Peer, Socket};
use evenkeel_observe::Registry;
use evenkeel_tls::{ClientTls, ServerTls};
use evenkeel_types::{Address, BackendId, Clock, ListenerName, PoolName, Time};

use tokio::sync::mpsc;

use crate::cache::store::{CODEC, Store as CacheStore};
use crate::client::count::Clients;
use crate::handover::{ListeningSocket, StationSessions, Successor, TakenOver};
use crate::l4::own::OwnSockets;
use crate::worker::lag::Lag;

/// For how long a listener must have accepted before it is said again that it cannot.
const QUIET: Duration = Duration::from_secs(60);

/// What workers tell the control side.
#[derive(Debug)]
pub enum Event {
    /// Live traffic failed on a server whose pool has passive checks.
    Failure {
        /// The server's pool.
        pool: PoolName,
        /// The server.
        id: BackendId,
        /// Of what, and how.
        failure: LiveFailure,
    },
}

/// Who we are to clients, and who the servers must be.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// For each listener with TLS.
    pub listeners: HashMap<ListenerName, Arc<ServerTls>>,
    /// For each pool with TLS.
    pub pools: HashMap<PoolName, Arc<ClientTls>>,
    /// For the Redis of `[redis]`.
    pub redis_password: Option<String>,
    /// For the checks of each pool that sign in.
    pub checks: HashMap<PoolName, Arc<[u8]>>,
}

/// What the workers and the control side have in common.
#[derive(Debug)]
pub struct Shared {
    /// What is in force.
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// What belongs to its configuration.
    credentials: ArcSwap<Credentials>,
    /// Its generation: looked at on each request, where loading the snapshot itself would cost more.
    generation: CachePadded<AtomicU64>,
    /// Metrics.
    pub registry: Arc<Registry>,
    /// The process's clock.
    pub clock: Clock,
    /// What the caches of all routes keep.
    pub cache: Arc<CacheStore>,
    /// What this process is called among cache nodes, in `CDN-Loop`: chosen at its start, so that no other node has the same, and
    /// no client can guess it.
    pub node: Box<str>,
    /// Client connections of each worker.
    pub(crate) open: Box<[CachePadded<AtomicUsize>]>,
    /// Tasks that accept, of all workers: as long as there is one, connections may be handed over.
    pub(crate) accepting: CachePadded<AtomicUsize>,
    /// Connections of each client.
    pub(crate) clients: Arc<Clients>,
    /// The sockets of this process that send datagrams.
    pub(crate) own_sockets: OwnSockets,
    /// How many sessions each udp listener has.
    sessions: Mutex<HashMap<ListenerName, Weak<Places>>>,
    /// When each listener could not accept last.
    unaccepted: Mutex<HashMap<ListenerName, Time>>,
    /// When the log last said that a listener got no PROXY header.
    unproxied: Mutex<HashMap<ListenerName, Time>>,
    leaving: AtomicBool,
    /// How far the process withdraws; written seldom, read by each request.
    step: CachePadded<AtomicU8>,
    /// The event-loop lag of each worker.
    pub(crate) lag: Box<[CachePadded<Lag>]>,
    events: mpsc::Sender<Event>,
    orders: Box<[mpsc::UnboundedSender<Order>]>,
}

/// An address, and what sockets take there.
pub(crate) type Place = (Transport, Address);

/// An order to a worker.
#[derive(Debug)]
pub(crate) enum Order {
    Serve {
        listener: ListenerName,
        connection: Detached,
        peer: Peer,
    },
    Listen {
        listener: ListenerName,
        place: Place,
        socket: Socket,
        taken: TakenOver,
    },
    Close {
        place: Place,
    },
    Rename {
        place: Place,
        listener: ListenerName,
    },
    /// Gives out duplicates of all that it accepts on.
    Duplicate {
        answer: mpsc::UnboundedSender<ListeningSocket>,
    },
    /// Takes in no datagram for now, and gives out the sessions that it has.
    PauseDatagrams {
        answer: mpsc::UnboundedSender<StationSessions>,
    },
    /// Goes on with its sessions, which no other process has taken over.
    ResumeDatagrams,
    Leave {
        grace: Duration,
        successor: Option<Successor>,
    },
}

/// What a worker starts with.
#[derive(Debug)]
pub struct Start {
    pub(crate) index: usize,
    pub(crate) orders: mpsc::UnboundedReceiver<Order>,
}

impl Shared {
    /// The common ground of `workers` workers, and what each of them starts with.
    pub fn new(
        workers: usize,
        snapshot: Snapshot,
        credentials: Credentials,
        registry: Arc<Registry>,
        clock: Clock,
        events: mpsc::Sender<Event>,
        cache: Arc<CacheStore>,
    ) -> (Arc<Self>, Vec<Start>) {
        let (senders, starts): (Vec<_>, Vec<_>) = (0..workers)
            .map(|index| {
                let (sender, orders) = mpsc::unbounded_channel();
                (sender, Start { index, orders })
            })
            .unzip();
        let shared = Self {
            generation: CachePadded::new(AtomicU64::new(snapshot.generation)),
            credentials: ArcSwap::from_pointee(credentials),
            registry,
            clock,
            cache,
            node: format!("evenkeel-{:016x}", RandomState::new().hash_one(())).into(),
            snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
            open: (0..workers).map(|_| CachePadded::default()).collect(),
            accepting: CachePadded::default(),
            clients: Arc::default(),
            own_sockets: OwnSockets::default(),
            sessions: Mutex::default(),
            unaccepted: Mutex::default(),
            unproxied: Mutex::default(),
            leaving: AtomicBool::new(false),
            step: CachePadded::default(),
            lag: (0..workers).map(|_| CachePadded::default()).collect(),
            events,
            orders: senders.into(),
        };
        (Arc::new(shared), starts)
    }

    /// The places for the sessions of a udp listener, which all workers share.
    pub(crate) fn places(&self, listener: &ListenerName) -> Arc<Places> {
        let mut all = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = all.get(listener).and_then(Weak::upgrade) {
            return places;
        }
        all.retain(|_, places| places.strong_count() > 0);
        let places = Arc::default();
        all.insert(listener.clone(), Arc::downgrade(&places));
        places
    }

    /// A listener could not accept, at some worker: true if that is worth a message, because the last time was long ago.
    pub(crate) fn fails_anew(&self, listener: &ListenerName) -> bool {
        let now = self.clock.now();
        let mut unaccepted = self.unaccepted.lock().unwrap_or_else(PoisonError::into_inner);
        let last = unaccepted.insert(listener.clone(), now);
        last.is_none_or(|last| now.since(last) > QUIET)
    }

    /// A connection to a listener did not begin with a PROXY header as it should have, at some worker: true once a minute.
    pub(crate) fn may_say_unproxied(&self, listener: &ListenerName) -> bool {
        let now = self.clock.now();
        let mut unproxied = self.unproxied.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = unproxied.get(listener).is_none_or(|said| now.since(*said) >= QUIET);
        if is_due {
            unproxied.insert(listener.clone(), now);
        }
        is_due
    }

    /// What is in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// The place where what is in force can be read at any time.
    pub fn snapshots(&self) -> &Arc<ArcSwap<Snapshot>> {
        &self.snapshot
    }

    /// Credentials of the configuration in force.
    pub fn credentials(&self) -> Arc<Credentials> {
        self.credentials.load_full()
    }

    /// Replaces the credentials; [`publish`](Self::publish) of the snapshot that they belong to must follow.
    pub fn set_credentials(&self, credentials: Credentials) {
        self.credentials.store(Arc::new(credentials));
    }

    /// Puts another snapshot in force. Requests under way end with the one that they began with.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        let generation = snapshot.generation;
        self.snapshot.store(snapshot);
        self.generation.store(generation, Release);
    }

    /// Client connections open.
    pub fn connections(&self) -> usize {
        self.open.iter().map(|open| open.load(Relaxed)).sum()
    }

    /// Has the workers accept on sockets of an address, dealt out in turn.
    pub fn listen(
        &self,
        listener: &ListenerName,
        (transport, address): (Transport, &Address),
        sockets: Vec<Socket>,
    ) {
        for (i, socket) in sockets.into_iter().enumerate() {
            self.listen_at(i, listener, (transport, address), socket);
        }
    }

    /// Has one worker, by its turn, accept on a socket of an address, where another process had these sessions.
    pub(crate) fn listen_with(
        &self,
        turn: usize,
        listener: &ListenerName,
        (transport, address): (Transport, &Address),
        (socket, taken): (Socket, TakenOver),
    ) {
        let (listener, place) = (listener.clone(), (transport, address.clone()));
        self.order(turn % self.orders.len(), Order::Listen { listener, place, socket, taken });
    }

    /// Has one worker, by its turn, accept on one more socket of an address.
    pub fn listen_at(
        &self,
        turn: usize,
        listener: &ListenerName,
        place: (Transport, &Address),
        socket: Socket,
    ) {
        self.listen_with(turn, listener, place, (socket, TakenOver::default()));
    }

    /// How many workers there are.
    pub(crate) fn worker_count(&self) -> usize {
        self.orders.len()
    }

    /// Has the workers accept no more on an address. What is under way goes on; idle connections close.
    pub fn close(&self, transport: Transport, address: &Address) {
        for worker in 0..self.orders.len() {
            self.order(worker, Order::Close { place: (transport, address.clone()) });
        }
    }

    /// Has the workers accept on an address in another listener's name from now on.
    pub fn rename(&self, transport: Transport, address: &Address, listener: &ListenerName) {
        for worker in 0..self.orders.len() {
            let place = (transport, address.clone());
            self.order(worker, Order::Rename { place, listener: listener.clone() });
        }
    }

    /// Has the workers accept no more at all, close what is idle, and end within `grace`. With a successor, they close nothing
    /// between two requests at first, and what waits at the sockets that it has taken is left to it.
    pub fn leave(&self, grace: Duration, successor: Option<&Successor>) {
        self.leaving.store(true, Release);
        for worker in 0..self.orders.len() {
            self.order(worker, Order::Leave { grace, successor: successor.cloned() });
        }
    }

    /// How far the process withdraws.
    #[inline]
    pub fn step(&self) -> OverloadStep {
        match self.step.load(Relaxed) {
            0 => OverloadStep::None,
            step => OverloadStep::of(step),
        }
    }

    /// Has the process withdraw so far.
    pub fn set_step(&self, step: OverloadStep) {
        self.step.store(step as u8, Relaxed);
    }

    /// The worst event-loop lag of a worker since this was asked last.
    pub fn lag(&self, now: Time) -> Duration {
        self.lag.iter().map(|worker| worker.take(now)).max().unwrap_or_default()
    }

    /// The generation of the snapshot in force.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Acquire)
    }

    /// Tells the control side something. When it is far behind, it has evidence enough already.
    pub(crate) fn tell(&self, event: Event) {
        let _ = self.events.try_send(event);
    }

    /// True once the workers were told to leave.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Acquire)
    }

    /// Gives an order to a worker; one that has left gives it back.
    pub(crate) fn order(&self, worker: usize, order: Order) -> Option<Order> {
        self.orders[worker].send(order).err().map(|refused| refused.0)
    }
}

/// The store that the configuration describes.
///
/// # Errors
/// The directory of the disk cache cannot be used.
pub fn open_store(config: &config::CacheStore) -> Result<Arc<CacheStore>, OpenError> {
    let limits = store_limits(config);
    match &config.disk {
        Some(disk) => {
            CacheStore::open(limits, &DiskLimits { path: disk.path.clone(), size: disk.size }, CODEC)
        }
        None => Ok(CacheStore::new(limits)),
    }
}

/// What the store may hold, as the configuration says.
pub fn store_limits(config: &config::CacheStore) -> Limits {
    let policy = match config.eviction {
        Eviction::S3Fifo => Policy::S3Fifo,
        Eviction::Lru => Policy::Lru,
        Eviction::Lfu => Policy::Lfu,
        Eviction::Fifo => Policy::Fifo,
    };
    Limits { capacity: config.memory, policy }
}
