//! A session on its way to a server: what admission says, and a socket that is connected to the server it names.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::Context;
use std::time::Duration;

use evenkeel_core::admission::{Leg, Step, Terms};
use evenkeel_core::health::LiveTraffic;
use evenkeel_core::l4::{StreamFacts, StreamPlan};
use evenkeel_net::{SessionSocket, is_exhausted};
use evenkeel_observe::{ConnectionRefusal, StreamEnded};
use evenkeel_types::{Address, Time};

use super::session::Relayed;
use crate::forward::driver::{Admission, Permit};
use crate::l4::connect::{Unconnected, given_up, report, stream_terms};
use crate::l4::log::StreamLog;
use crate::server::Sender;
use crate::server::error::ServerError;
use crate::worker::Worker;
use crate::worker::pool_view::PoolView;
use crate::worker::view::View;

/// A session on its way to a server.
pub struct Opening {
    /// Its worker.
    pub worker: Rc<Worker>,
    view: Rc<View>,
    plan: StreamPlan,
    /// The client's address, as far as it is believed.
    client: IpAddr,
    sender: Sender,
    /// What is recorded of it.
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

impl Opening {
    /// A session that goes where the plan says.
    pub fn new(
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
                report(&self.worker, &self.pool, server, &error, LiveTraffic::Sessions);
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
    pub fn connect_timeout(&self) -> Duration {
        self.pool.config().timeout.connect
    }
}

fn terms<'a>(view: &'a View, plan: StreamPlan, facts: &'a StreamFacts<'a>) -> Terms<'a, StreamFacts<'a>> {
    let retry = &view.snapshot.routes.route(plan.route).retry;
    stream_terms(LiveTraffic::Sessions, facts, retry)
}
