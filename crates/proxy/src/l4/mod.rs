//! Connections that are relayed as streams of bytes, in the order of what happens to one: the hello of its client, its
//! route, a server of the pool, bytes both ways, its line in the log.

mod connect;
mod hello;
mod log;
pub mod own;
pub mod relay;
pub mod udp;

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use evenkeel_core::l4::{StreamDenied, StreamFacts, StreamPlan, plan, plan_passthrough};
use evenkeel_net::proxy_protocol::Tlvs;
use evenkeel_net::{Io, Peer};
use evenkeel_observe::{HandshakeResult, Protocol, StreamEnded};
use evenkeel_tls::{ClientIdentity, ServerTls};
use evenkeel_types::ListenerName;

use self::connect::connect;
use self::hello::read_hello;
use self::log::StreamLog;
use self::relay::{Limits, relay};
use crate::proxied;
use crate::server::Sender;
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
    /// The client's address, as far as it is believed.
    client: IpAddr,
    /// The client's connection, as servers learn it.
    sender: Rc<Sender>,
    /// Terminates its TLS.
    tls: Option<Arc<ServerTls>>,
}

/// Finds out what a connection is, and where it goes.
pub async fn receive(
    worker: &Rc<Worker>,
    view: &View,
    position: usize,
    (listener, peer, sender): (&ListenerName, Peer, Sender),
    io: &Io,
) -> Fate {
    let (listener_config, routes) = (view.listener(position), &view.snapshot.routes);
    let mut log = StreamLog::new(worker, "tcp", listener, peer);
    let client = peer.ip().to_canonical();
    if routes.reads_hello(position) {
        let read = read_hello(worker, io, listener_config.timeout.head).await;
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
            Fate::Stream(Box::new(Stream { log, plan, client, sender: Rc::new(sender), tls }))
        }
        Err(StreamDenied { why, route }) => {
            log.route = route.map(route_name);
            log.finish(StreamEnded::Refused, Some(why.to_string()));
            Fate::Over
        }
    }
}

/// Serves a connection until it has ended, and logs it.
pub async fn serve(worker: Rc<Worker>, mut stream: Box<Stream>, view: Rc<View>, position: usize, mut io: Io) {
    worker.metrics.connection_speaks(Protocol::Tcp);
    let timeout = &view.listener(position).timeout;
    let limits = Limits { idle: timeout.idle, write: Some(timeout.write) };
    if let Some(tls) = stream.tls.take() {
        match Box::pin(terminate(&worker, &tls, &mut io, timeout.head, &mut stream.log)).await {
            Ok(session) if view.sends_tlvs => {
                // Nothing else has it yet.
                if let Some(sender) = Rc::get_mut(&mut stream.sender) {
                    sender.set_session(session);
                }
            }
            Ok(_) => {}
            Err(why) => return stream.log.finish(StreamEnded::HelloFailed, Some(why)),
        }
    }
    let connected = Box::pin(connect(&worker, &view, &mut stream, &io)).await;
    // A connection may last for days: it does not hold what was in force when it began.
    drop(view);
    let Stream { mut log, .. } = *stream;
    let (server, permit, mut term) = match connected {
        Ok(connected) => connected,
        Err((ended, why)) => {
            // The client sees at once that nothing has become of what it sent.
            io.reset_on_close();
            return log.finish(ended, Some(why));
        }
    };
    let series = log.opened();
    let counted = series.as_deref().map(|series| series.shard(worker.index));
    let ended = relay(&worker, (&io, &server), &[], limits, (&log.moved, counted), &mut term).await;
    // The server's limit of connections holds until the server has seen the end of this one.
    drop((io, server));
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
