//! From a pool to a connection to one of its servers: admission chooses, and another server is tried while nothing has been
//! sent to any.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use evenkeel_config::{Algorithm, Retry, Route};
use evenkeel_core::admission::{self, Answer, Leg, Step, Terms};
use evenkeel_core::health::{LiveFailure, LiveTraffic, TermWatch};
use evenkeel_core::l4::StreamFacts;
use evenkeel_net::Io;
use evenkeel_observe::{ConnectionRefusal, StreamEnded};
use evenkeel_types::Time;

use super::relay::LOOK_EVERY;
use super::{Origin, Stream};
use crate::forward::driver::{Admission, Permit};
use crate::forward::report::tell;
use crate::server::Sender;
use crate::server::error::ServerError;
use crate::worker::Worker;
use crate::worker::pool_view::PoolView;
use crate::worker::timer::{Limit, Timer};
use crate::worker::view::View;

/// A connection to a server, what it holds of the pool as long as it lives, and the term of the server in its role.
type Connected = (Io, Option<Permit>, TermWatch);

/// Why there is none: how the client's connection ends, and the reason for the log.
pub(super) type Unconnected = (StreamEnded, String);

/// What stays the same about a connection or session over all its tries.
pub(super) fn stream_terms<'a>(
    of: LiveTraffic,
    request: &'a StreamFacts<'a>,
    retry: &'a Retry,
) -> Terms<'a, StreamFacts<'a>> {
    Terms { of, request, owner_of: None, retry, hedge: None, is_short: false, deadline: None }
}

/// Connects to a server of the pool. What the client has sent so far is read into `early` if that lets the server's handshake
/// do with a packet less.
///
/// # Errors
/// The pool does not take the connection, no server could be reached, or the client has left.
pub async fn connect(
    worker: &Worker,
    view: &View,
    stream: &mut Stream,
    client: &Io,
    (early, timer): (&mut Vec<u8>, &mut Timer),
) -> Result<Connected, Unconnected> {
    let mut pool = view.pool_now(stream.plan.pool);
    let facts = StreamFacts { client: stream.client.peer.ip().to_canonical(), sni: None };
    let route: &Route = view.snapshot.routes.route(stream.plan.route);
    let retry = &route.retry;
    let terms = stream_terms(LiveTraffic::Connections, &facts, retry);
    let mut admission = Admission::new(&pool.gate, &terms, worker.clock.now());
    let mut last = None;
    loop {
        let step = poll_fn(|cx| Poll::Ready(admission.poll(&terms, worker.clock.now(), cx))).await;
        let step = match step {
            Step::Wait { until } => wait(worker, (&mut admission, &terms), until, client, timer).await,
            step => Some(step),
        };
        match step {
            Some(Step::Send { leg, chosen, .. }) => {
                stream.log.server = Some(chosen.server);
                stream.log.tries += 1;
                if let Err(error) = read_early(worker, client, early) {
                    admission.handle_gone(worker.clock.now());
                    return Err((StreamEnded::ClientLeft, error.to_string()));
                }
                let asked = Asked { server: chosen.server, speaks: !early.is_empty() };
                let trial = open(worker, &pool, (stream, client), asked, timer).await;
                stream.log.connect = Some(stream.log.connect.unwrap_or_default() + trial.took);
                match trial.opened {
                    Ok(server) => {
                        settle(&mut admission, (leg, chosen.server), &trial.answer, &terms, &pool);
                        let term = pool.upstreams[chosen.server].watch_term();
                        return Ok((server, admission.take_permit(), term));
                    }
                    Err(error) => {
                        report(worker, &pool, chosen.server, &error, LiveTraffic::Connections);
                        let failed = error.failed_try(error.cause(false), true);
                        admission.handle_failure(leg, &failed, &terms, trial.answer.at);
                        last = Some(error);
                    }
                }
            }
            Some(Step::Renew) => {
                let Some(newer) = view.pool_again(&pool, worker) else {
                    return Err(given_up(worker, &pool, last.as_ref()));
                };
                admission.renew(&newer.gate);
                pool = newer;
                (stream.log.pool, stream.log.server) = (Some(Rc::clone(&pool)), None);
            }
            Some(Step::Pause { until }) => poll_fn(|cx| timer.poll_until(cx, until)).await,
            Some(Step::Refuse(refusal)) => {
                worker.metrics.connection_refused(ConnectionRefusal::Pool);
                return Err((StreamEnded::Refused, refusal.to_string()));
            }
            // Nothing was sent to any server: there is no other leg.
            Some(Step::GiveUp(_) | Step::Asking { .. } | Step::NotHedged(_)) => {
                return Err(given_up(worker, &pool, last.as_ref()));
            }
            Some(Step::Wait { .. }) => {}
            None => {
                admission.handle_gone(worker.clock.now());
                return Err((StreamEnded::ClientLeft, "the client left while it waited for a server".into()));
            }
        }
    }
}

/// Reads what the client has sent already, as far as the runtime knows, unless something was read before. An end stays to be
/// read.
///
/// # Errors
/// The client is gone.
fn read_early(worker: &Worker, client: &Io, early: &mut Vec<u8>) -> io::Result<()> {
    if !early.is_empty() || !client.is_ready_to_read() {
        return Ok(());
    }
    let mut buf = worker.buffers.small();
    match client.try_read(&mut buf) {
        Ok(1..) => *early = buf,
        Ok(0) => worker.buffers.give(buf),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => worker.buffers.give(buf),
        Err(error) => return Err(error),
    }
    Ok(())
}

impl Stream {
    /// The client's connection, as servers learn it.
    fn sender(&self, client: &Io) -> Sender {
        let Origin { peer, destination } = self.client;
        let destination = destination.unwrap_or_else(|| client.local_address());
        Sender::new(Vec::new(), peer, destination, self.session.clone())
    }
}

/// A try to connect to one server.
struct Trial {
    opened: Result<Io, ServerError>,
    took: Duration,
    /// What a connection says of the server, where requests have an answer.
    answer: Answer,
}

/// A server, and whether there is something to send as soon as it is there.
struct Asked {
    server: usize,
    speaks: bool,
}

async fn open(
    worker: &Worker,
    pool: &PoolView,
    (stream, client): (&Stream, &Io),
    Asked { server, speaks }: Asked,
    timer: &mut Timer,
) -> Trial {
    let before = worker.clock.now();
    let limit = Limit { since: Some(before), ..pool.config().timeout.connect.into() };
    let sender = pool.config().proxy_protocol.is_some().then(|| Rc::new(stream.sender(client)));
    let connecting = pool.upstreams[server].open_stream(sender.as_ref(), speaks);
    let opened = timer.within(limit, connecting).await.unwrap_or_else(|_| {
        let error = ServerError::ConnectTimeout;
        pool.upstreams[server].log_failed(&error);
        Err(error)
    });
    let now = worker.clock.now();
    Trial { opened, took: now - before, answer: Answer::whole(200, before, now) }
}

/// The server has taken the connection, which is all that it can be judged by.
fn settle(
    admission: &mut Admission,
    (leg, server): (Leg, usize),
    answer: &Answer,
    terms: &Terms<'_, StreamFacts<'_>>,
    pool: &PoolView,
) {
    admission.handle_connected(leg);
    admission.handle_head(leg, answer, terms);
    if let (Algorithm::LeastResponseTime, Some(took)) = (&pool.config().algorithm, answer.took) {
        pool.upstreams[server].load.observe_latency(took, answer.at);
    }
}

/// Counts a server that could not be connected to, and tells passive checks.
pub(super) fn report(worker: &Worker, pool: &PoolView, server: usize, error: &ServerError, of: LiveTraffic) {
    let figures = pool.upstreams[server].figures();
    figures.connect_failures.increment();
    if let Some(kind) = error.kind() {
        figures.failed(kind);
        pool.upstreams[server].notes().failed(error);
    }
    if let Some(how) = error.failure() {
        tell(worker, pool.config(), server, LiveFailure { of, how });
    }
}

/// Why there is no server, after the last of those that were tried.
#[cold]
pub(super) fn given_up(worker: &Worker, pool: &PoolView, last: Option<&ServerError>) -> Unconnected {
    match last {
        Some(error) => (StreamEnded::ConnectFailed, error.to_string()),
        None => {
            worker.metrics.connection_refused(ConnectionRefusal::Pool);
            (StreamEnded::Refused, format!("no healthy server in pool {}", pool.config().name))
        }
    }
}

/// Waits in the pool's queue; `None` if the client's connection failed meanwhile. One that has only ended its side may still
/// wait for an answer.
async fn wait(
    worker: &Worker,
    (admission, terms): (&mut Admission, &Terms<'_, StreamFacts<'_>>),
    until: Time,
    client: &Io,
    timer: &mut Timer,
) -> Option<admission::Step> {
    let mut until = until;
    poll_fn(|cx| {
        loop {
            if client.poll_failed(cx).is_ready() {
                return Poll::Ready(None);
            }
            match admission.poll(terms, worker.clock.now(), cx) {
                Step::Wait { until: later } => until = later,
                step => return Poll::Ready(Some(step)),
            }
            // If the client has sent something, a failure that follows wakes no task.
            let look = worker.clock.now() + LOOK_EVERY;
            if timer.poll_until(cx, until.min(look)).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await
}
