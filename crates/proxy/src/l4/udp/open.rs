//! From the first datagram of a client to a server for it: limits, route, admission, and a socket of its own.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Context;

use evenkeel_core::admission::{Leg, Step, Terms};
use evenkeel_core::l4::{Allowance, SessionKey, StreamDenied, StreamFacts, StreamPlan, is_answerable, plan};
use evenkeel_core::overload::OverloadStep;
use evenkeel_net::{Peer, SessionSocket, is_exhausted};
use evenkeel_observe::{ConnectionRefusal, DatagramDrop, Protocol, StreamEnded};
use evenkeel_types::{Address, Time};

use super::Station;
use super::session::{Counts, Relayed, Session, State};
use super::wait::Waiting;
use crate::forward::driver::{Admission, Permit};
use crate::l4::connect::{Unconnected, given_up, report};
use crate::l4::log::StreamLog;
use crate::server::Sender;
use crate::server::error::ServerError;
use crate::worker::pool_view::PoolView;
use crate::worker::view::View;
use crate::worker::{OpenSession, Worker};

/// A session on its way to a server.
pub struct Opening {
    pub worker: Rc<Worker>,
    pub view: Rc<View>,
    plan: StreamPlan,
    /// The client's address, as far as it is believed.
    client: IpAddr,
    sender: Sender,
    pub log: StreamLog,
    admission: Admission,
    pool: Rc<PoolView>,
    last: Option<ServerError>,
}

/// How far a session has got.
pub enum Progress {
    /// It has a server.
    Connected(SessionSocket, Option<Permit>),
    /// Nothing happens before it is woken, or before then.
    Wait(Time),
    /// The name of its server is to be looked up.
    Resolve(Leg, usize),
}

impl Station {
    /// Begins a session for `count` datagrams; where it stands. `to` is the address that the client sent them to. `None` if they
    /// are dropped, which was counted.
    pub(super) fn begin(
        &mut self,
        view: &Rc<View>,
        key: SessionKey,
        to: SocketAddr,
        count: usize,
        (now, cx): (Time, &mut Context<'_>),
    ) -> Option<usize> {
        let client = key.client.unwrap_or(key.peer);
        let counts = match self.count(view, &key, client) {
            Ok(counts) => counts,
            Err(why) => {
                self.drop_some(why, count);
                return None;
            }
        };
        let position = view.listener_position(&self.listener)?;
        let mut log = StreamLog::new(&self.worker, "udp", &self.listener, Peer::Ip(client));
        let facts = StreamFacts { client: client.ip().to_canonical(), sni: None };
        let (step, random) = (self.worker.shared.step(), || self.worker.random());
        let planned = plan(&view.snapshot, position, &facts, step, random);
        let route_name = |route: usize| view.snapshot.routes.route(route).name.clone();
        let plan = match planned {
            Ok(plan) => plan,
            Err(StreamDenied { why, route }) => {
                self.drop_some(DatagramDrop::Refused, count);
                log.route = route.map(route_name);
                log.finish(StreamEnded::Refused, Some(why.to_string()));
                return None;
            }
        };
        self.worker.metrics.connection_speaks(Protocol::Udp);
        log.route = Some(route_name(plan.route));
        let sender = Sender::new(Vec::new(), Peer::Ip(client), Some(to), None);
        let mut opening = Opening::new(&self.worker, view, plan, (facts.client, sender), log, now);
        let state = match opening.advance(cx) {
            Ok(Progress::Connected(socket, permit)) => State::Relayed(opening.relayed(socket, permit, now)),
            Ok(Progress::Wait(_)) => State::Waiting(Waiting::new(&self.waits, key, opening, None)),
            Ok(Progress::Resolve(leg, server)) => {
                State::Waiting(Waiting::new(&self.waits, key, opening, Some((leg, server))))
            }
            Err((ended, why)) => {
                let is_ours = opening.is_short_of_descriptors();
                let why_dropped = if is_ours { DatagramDrop::Descriptors } else { DatagramDrop::Refused };
                self.drop_some(why_dropped, count);
                opening.log.finish(ended, Some(why));
                return None;
            }
        };
        let session = Session { state, allowance: Allowance::default(), _counts: counts };
        let (at, _) = self.sessions.add(key, session, now);
        self.watch(at).then_some(at)
    }

    /// Has the kernel tell of answers; false if it does not, and the session has ended.
    pub(super) fn watch(&mut self, at: usize) -> bool {
        let Some(Session { state: State::Relayed(relayed), .. }) = self.sessions.get_mut(at) else {
            return true;
        };
        match self.readiness.add(&relayed.socket, at) {
            Ok(()) => true,
            Err(error) => {
                self.end(at, StreamEnded::Refused, Some(error.to_string()));
                false
            }
        }
    }

    /// Takes what a session counts as.
    fn count(&self, view: &View, key: &SessionKey, client: SocketAddr) -> Result<Counts, DatagramDrop> {
        let Some(position) = view.listener_position(&self.listener).filter(|_| self.leaves_at.is_none())
        else {
            return Err(DatagramDrop::Leaving);
        };
        let shared = &self.worker.shared;
        if !is_answerable(key.peer, key.local) || shared.own_sockets.has(key.peer) {
            return Err(DatagramDrop::Source);
        }
        if shared.step() == OverloadStep::Refuse && !view.leads_to_high[position] {
            return Err(DatagramDrop::Overload);
        }
        let limit = view.snapshot.config.limits.connections;
        if shared.open.iter().map(|open| open.load(Relaxed)).sum::<usize>() >= limit {
            return Err(DatagramDrop::Limit);
        }
        let place = self.places.take(self.rules.max_sessions).ok_or(DatagramDrop::Sessions)?;
        let entered = shared.clients.enter(view.listener(position), Peer::Ip(client));
        let client = entered.map_err(|_| DatagramDrop::Client)?;
        Ok(Counts { _place: place, _client: client, _open: OpenSession::new(&self.worker) })
    }
}

impl Opening {
    fn new(
        worker: &Rc<Worker>,
        view: &Rc<View>,
        plan: StreamPlan,
        (client, sender): (IpAddr, Sender),
        mut log: StreamLog,
        now: Time,
    ) -> Self {
        let pool = view.pool_now(plan.pool);
        log.pool = Some(Rc::clone(&pool));
        let facts = StreamFacts { client, sni: None };
        let admission = Admission::new(&pool.gate, &terms(view, plan, &facts), now);
        let (worker, view) = (Rc::clone(worker), Rc::clone(view));
        Self { worker, view, plan, client, sender, log, admission, pool, last: None }
    }

    /// Goes on until there is a server, or something to wait for.
    ///
    /// # Errors
    /// The pool does not take it, or no server could be sent to.
    pub fn advance(&mut self, cx: &Context<'_>) -> Result<Progress, Unconnected> {
        let view = Rc::clone(&self.view);
        let facts = StreamFacts { client: self.client, sni: None };
        let terms = terms(&view, self.plan, &facts);
        loop {
            match self.admission.poll(&terms, self.worker.clock.now(), cx) {
                Step::Send { leg, chosen, .. } => {
                    self.log.server = Some(chosen.server);
                    self.log.tries += 1;
                    let Address::Ip(address) = *self.pool.upstreams[chosen.server].address() else {
                        return Ok(Progress::Resolve(leg, chosen.server));
                    };
                    if let Some(connected) = self.connect(leg, chosen.server, Ok(address)) {
                        return Ok(connected);
                    }
                }
                Step::Wait { until } | Step::Pause { until } => return Ok(Progress::Wait(until)),
                Step::Renew => {
                    let Some(newer) = self.view.pool_again(&self.pool, &self.worker) else {
                        return Err(given_up(&self.worker, &self.pool, self.last.as_ref()));
                    };
                    self.admission.renew(&newer.gate);
                    (self.log.pool, self.log.server) = (Some(Rc::clone(&newer)), None);
                    self.pool = newer;
                }
                Step::Refuse(refusal) => {
                    self.worker.metrics.connection_refused(ConnectionRefusal::Pool);
                    return Err((StreamEnded::Refused, refusal.to_string()));
                }
                // Nothing was sent to any server: there is no other leg.
                Step::GiveUp(_) | Step::Asking { .. } | Step::NotHedged(_) => {
                    return Err(given_up(&self.worker, &self.pool, self.last.as_ref()));
                }
            }
        }
    }

    /// Opens a socket to a server, at this address if it could be looked up; `None` if another server is to be tried.
    pub fn connect(
        &mut self,
        leg: Leg,
        server: usize,
        address: Result<SocketAddr, ServerError>,
    ) -> Option<Progress> {
        let opened = address.and_then(|address| self.pool.upstreams[server].open_session(address));
        match opened {
            Ok(socket) => {
                self.admission.handle_connected(leg);
                Some(Progress::Connected(socket, self.admission.take_permit()))
            }
            Err(error) => {
                report(&self.worker, &self.pool, server, &error);
                let failed = error.failed_try(error.cause(false), true);
                let facts = StreamFacts { client: self.client, sni: None };
                let view = Rc::clone(&self.view);
                let now = self.worker.clock.now();
                self.admission.handle_failure(leg, &failed, &terms(&view, self.plan, &facts), now);
                self.last = Some(error);
                None
            }
        }
    }

    /// The session that it has become.
    pub fn relayed(self, socket: SessionSocket, permit: Option<Permit>, now: Time) -> Box<Relayed> {
        let header =
            self.log.server.and_then(|server| self.pool.upstreams[server].datagram_header(&self.sender));
        // A pool of a newer configuration is looked for again.
        let seen = (self.view.snapshot.generation, self.plan.pool);
        Relayed::new(&self.worker, (socket, permit), header, self.log, seen, now)
    }

    /// True if it was we who had no socket for it.
    pub fn is_short_of_descriptors(&self) -> bool {
        matches!(&self.last, Some(ServerError::Connect(error)) if is_exhausted(error))
    }

    /// The address of a server, by its host name and port.
    pub fn name_of(&self, server: usize) -> Option<(String, u16)> {
        match self.pool.upstreams[server].address() {
            Address::Name(host, port) => Some((host.clone(), *port)),
            Address::Ip(_) | Address::Unix(_) => None,
        }
    }

    /// How long connecting to a server may take.
    pub fn connect_timeout(&self) -> std::time::Duration {
        self.pool.config().timeout.connect
    }
}

fn terms<'a>(view: &'a View, plan: StreamPlan, facts: &'a StreamFacts<'a>) -> Terms<'a, StreamFacts<'a>> {
    let retry = &view.snapshot.routes.route(plan.route).retry;
    Terms { request: facts, owner_of: None, retry, hedge: None, is_short: false, deadline: None }
}
