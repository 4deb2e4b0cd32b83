//! From the first datagram of a client to a server for it: limits, route, admission, and a socket of its own.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Context;

use evenkeel_core::l4::{Allowance, SessionKey, StreamDenied, StreamFacts, is_answerable, plan};
use evenkeel_core::overload::OverloadStep;
use evenkeel_net::Peer;
use evenkeel_observe::{DatagramDrop, Protocol, StreamEnded};
use evenkeel_types::Time;

use super::Station;
use super::opening::{Opening, Progress};
use super::session::{Counts, Session, State};
use super::wait::wait_for_server;
use crate::l4::log::StreamLog;
use crate::server::Sender;
use crate::worker::OpenSession;
use crate::worker::view::View;

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
            Ok(Progress::Wait(_)) => State::Waiting(wait_for_server(&self.waits, key, opening, None)),
            Ok(Progress::Resolve(leg, server)) => {
                State::Waiting(wait_for_server(&self.waits, key, opening, Some((leg, server))))
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
    pub(super) fn count(
        &self,
        view: &View,
        key: &SessionKey,
        client: SocketAddr,
    ) -> Result<Counts, DatagramDrop> {
        let Some(position) = view.listener_position(&self.listener).filter(|_| self.leaves_at.is_none())
        else {
            return Err(DatagramDrop::Leaving);
        };
        let shared = &self.worker.shared;
        if !is_answerable(key.peer, key.local) {
            return Err(DatagramDrop::Source);
        }
        if shared.step() == OverloadStep::Refuse && !view.uses().leads_to_high[position] {
            return Err(DatagramDrop::Overload);
        }
        let limit = view.snapshot.config.limits.connections;
        if shared.open.iter().map(|open| open.load(Relaxed)).sum::<usize>() >= limit {
            return Err(DatagramDrop::Limit);
        }
        let place = self.places.take(self.rules.max_sessions).ok_or(DatagramDrop::Sessions)?;
        let entered = shared.clients.enter(view.listener(position), Peer::Ip(client));
        let client = entered.map_err(|_| DatagramDrop::Client)?;
        // Last, because it takes locks that all workers share: a flood has mostly been dropped before.
        if shared.own_sockets.has(key.peer) {
            return Err(DatagramDrop::Source);
        }
        Ok(Counts { _place: place, _client: client, _open: OpenSession::new(&self.worker) })
    }

    /// Passes on what sessions have kept that have waited, and are relayed from now on.
    pub(super) fn take_waited(&mut self, view: &Rc<View>, now: Time, cx: &Context<'_>) {
        for (key, outcome) in self.waits.take(cx) {
            let Some(at) = self.sessions.find(&key) else { continue };
            let Some(session) = self.sessions.touch(at, now) else { continue };
            let State::Waiting(waiting) = &mut session.state else { continue };
            let held = waiting.take_held();
            match outcome {
                Some(mut relayed) => {
                    // The server may have gone in the meantime: the next datagram chooses again.
                    let has_server = relayed.has_server(view);
                    session.state = State::Relayed(relayed);
                    if !has_server {
                        self.drop_some(DatagramDrop::Refused, held.len());
                        self.end(at, StreamEnded::ServerDown, None);
                    } else if self.watch(at) {
                        self.send_held(at, &held, now);
                    }
                }
                None => {
                    self.drop_some(DatagramDrop::Refused, held.len());
                    self.sessions.remove(at);
                }
            }
        }
    }
}
