//! Connections that are relayed as streams of bytes, in the order of what happens to one: the hello of its client, its
//! route, a server of the pool, bytes both ways, its line in the log.

mod connect;
mod hello;
mod log;
pub mod own;
pub mod relay;
pub mod udp;

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use evenkeel_core::health::TermWatch;
use evenkeel_core::l4::{StreamDenied, StreamFacts, StreamPlan, plan, plan_passthrough};
use evenkeel_net::proxy_protocol::Tlvs;
use evenkeel_net::{Io, Peer};
use evenkeel_observe::{ConnectionRefusal, HandshakeResult, Protocol, StreamEnded};
use evenkeel_tls::{ClientIdentity, ServerTls};

use self::connect::connect;
use self::hello::read_hello;
use self::log::StreamLog;
use self::relay::{Limits, relay};
use crate::client::count::Place;
use crate::forward::driver::Permit;
use crate::proxied;
use crate::worker::Worker;
use crate::worker::timer::Timer;
use crate::worker::view::View;

/// What becomes of a connection to a listener that takes streams.
pub enum Fate {
    /// Its client speaks HTTP.
    Http,
    /// It is relayed.
    Stream(Box<Stream>),
    /// It is closed, and logged.
    Over,
}

/// A connection that is to be relayed, and where to.
pub struct Stream {
    log: StreamLog,
    plan: StreamPlan,
    client: Origin,
    /// Terminates its TLS.
    tls: Option<Arc<ServerTls>>,
    /// What the handshake came to, if servers are to learn it.
    session: Option<Rc<Tlvs>>,
}

/// Where a connection comes from, as far as that is believed.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    /// Its client.
    pub peer: Peer,
    /// Where the client connected to; `None` if that is where the connection came in.
    pub destination: Option<Option<SocketAddr>>,
}

/// A connection between a client and a server.
struct Relayed {
    client: Io,
    server: Io,
    /// What the client sent before there was a server.
    early: Vec<u8>,
    /// What it holds of the pool.
    permit: Option<Permit>,
    /// Counts it among its client's.
    _place: Option<Place>,
    term: TermWatch,
    limits: Limits,
    timer: Timer,
    log: StreamLog,
}

/// Serves a connection to a tcp listener until it has ended. All that comes before its bytes lies in a box of its own, which
/// goes when they begin: a connection that waits weighs no more than its relay.
pub fn serve(
    worker: Rc<Worker>,
    standing: (Rc<View>, usize),
    (io, peer): (Io, Peer),
) -> impl Future<Output = ()> {
    let arriving = Box::pin(arrive(Rc::clone(&worker), standing, io, peer));
    async move {
        let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        let _open = worker.connection_opened(waker);
        if let Some(relayed) = arriving.await {
            run(&worker, relayed).await;
        }
    }
}

/// Finds a server for a connection to a tcp listener; `None` if it is over before.
async fn arrive(
    worker: Rc<Worker>,
    (view, position): (Rc<View>, usize),
    io: Io,
    peer: Peer,
) -> Option<Box<Relayed>> {
    let listener = view.listener(position);
    let mut origin = Origin { peer, destination: None };
    if let Peer::Ip(address) = peer
        && listener.expects_proxy_header(address.ip())
    {
        let (peer, destination) = Box::pin(proxied::arrive(&worker, listener, &io, peer)).await?;
        origin = Origin { peer, destination: Some(destination) };
    }
    let Ok(place) = worker.shared.clients.enter(listener, origin.peer) else {
        worker.metrics.connection_refused(ConnectionRefusal::Client);
        return None;
    };
    match receive(&worker, &view, position, origin, &io).await {
        Fate::Stream(stream) => begin(&worker, stream, place, (view, position), io).await,
        // A tcp listener has none of HTTP.
        Fate::Http | Fate::Over => None,
    }
}

/// Finds out what a connection is, and where it goes.
pub async fn receive(worker: &Rc<Worker>, view: &View, position: usize, origin: Origin, io: &Io) -> Fate {
    let (listener_config, routes) = (view.listener(position), &view.snapshot.routes);
    let mut log = StreamLog::new(worker, "tcp", &listener_config.name, origin.peer);
    let client = origin.peer.ip().to_canonical();
    if routes.reads_hello(position) {
        let read = Box::pin(read_hello(worker, io, listener_config.timeout.head)).await;
        // A client of HTTP that does not begin, or no TLS that makes sense: what terminates TLS deals with it.
        match read {
            Ok(name) => log.sni = name,
            Err(_) if !listener_config.is_tcp() => {
                log.dismiss();
                return Fate::Http;
            }
            Err((ended, why)) => {
                log.finish(ended, Some(why));
                return Fate::Over;
            }
        }
    }
    let facts = StreamFacts { client, sni: log.sni.as_deref() };
    let step = worker.shared.step();
    let planned = if listener_config.is_tcp() {
        plan(&view.snapshot, position, &facts, step, || worker.random())
    } else {
        match plan_passthrough(&view.snapshot, position, &facts, step) {
            Some(planned) => planned,
            None => {
                log.dismiss();
                return Fate::Http;
            }
        }
    };
    let route_name = |route: usize| routes.route(route).name.clone();
    match planned {
        Ok(plan) => {
            log.route = Some(route_name(plan.route));
            log.pool = Some(view.pool_now(plan.pool));
            let tls = view.tls[position].clone().filter(|_| !plan.passes_through);
            Fate::Stream(Box::new(Stream { log, plan, client: origin, tls, session: None }))
        }
        Err(StreamDenied { why, route }) => {
            log.route = route.map(route_name);
            log.finish(StreamEnded::Refused, Some(why.to_string()));
            Fate::Over
        }
    }
}

/// Serves a connection that was [received](receive) until it has ended, and logs it.
pub async fn relay_stream(worker: &Rc<Worker>, stream: Box<Stream>, view: Rc<View>, position: usize, io: Io) {
    if let Some(relayed) = Box::pin(begin(worker, stream, None, (view, position), io)).await {
        run(worker, relayed).await;
    }
}

/// Connects to a server. `None` if the connection is over, and logged.
async fn begin(
    worker: &Rc<Worker>,
    mut stream: Box<Stream>,
    place: Option<Place>,
    (view, position): (Rc<View>, usize),
    mut client: Io,
) -> Option<Box<Relayed>> {
    worker.metrics.connection_speaks(Protocol::Tcp);
    let timeout = &view.listener(position).timeout;
    let limits = Limits { idle: timeout.idle, write: Some(timeout.write) };
    if let Some(tls) = stream.tls.take() {
        match Box::pin(terminate(worker, &tls, &mut client, timeout.head, &mut stream.log)).await {
            Ok(session) => stream.session = view.sends_tlvs.then(|| Rc::new(session)),
            Err(why) => {
                stream.log.finish(StreamEnded::HelloFailed, Some(why));
                return None;
            }
        }
    }
    let mut early = Vec::new();
    let mut timer = Timer::new(worker.clock);
    let connected = connect(worker, &view, &mut stream, &client, (&mut early, &mut timer)).await;
    let Stream { log, .. } = *stream;
    match connected {
        // A connection may last for days: it does not hold what was in force when it began.
        Ok((server, permit, term)) => {
            Some(Box::new(Relayed { client, server, early, permit, _place: place, term, limits, timer, log }))
        }
        Err((ended, why)) => {
            // The client sees at once that nothing has become of what it sent.
            client.reset_on_close();
            log.finish(ended, Some(why));
            None
        }
    }
}

/// Relays until there is nothing more to relay, and logs that.
async fn run(worker: &Worker, mut relayed: Box<Relayed>) {
    let Relayed { client, server, early, limits, term, timer, log, .. } = &mut *relayed;
    let series = log.opened();
    let counted = series.as_deref().map(|series| series.shard(worker.index));
    let early = std::mem::take(early);
    let ended = relay(worker, (client, server), early, *limits, timer, (&log.moved, counted), term).await;
    let Relayed { client, server, permit, log, .. } = *relayed;
    // The server's limit of connections holds until the server has seen the end of this one.
    drop((client, server));
    drop(permit);
    log.finish(ended.how, ended.why);
}

/// Shakes hands with the client. Returns what servers may learn of it.
///
/// # Errors
/// That failed, and why.
async fn terminate(
    worker: &Worker,
    tls: &ServerTls,
    io: &mut Io,
    limit: std::time::Duration,
    log: &mut StreamLog,
) -> Result<Tlvs, String> {
    let mut timer = Timer::new(worker.clock);
    let shaken = timer.within(limit.into(), io.accept_tls(tls.config())).await;
    let why = match shaken {
        Ok(Ok(handshake)) => {
            let result = if handshake.is_resumed { HandshakeResult::Resumed } else { HandshakeResult::Full };
            worker.metrics.handshake(result);
            let identity = ClientIdentity::of(Some(handshake.peer_certificate.as_slice()));
            let session = proxied::session(&handshake, identity.as_ref());
            log.sni = handshake.server_name.or(log.sni.take());
            return Ok(session);
        }
        Ok(Err(error)) => format!("TLS handshake failed: {error}"),
        Err(_) => "no TLS handshake within timeout.head".into(),
    };
    worker.metrics.handshake(HandshakeResult::Failed);
    Err(why)
}
