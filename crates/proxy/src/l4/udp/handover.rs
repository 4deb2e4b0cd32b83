//! Sessions that go on in another process: what leaves this one, and what comes to it from the one before.

use std::cell::{Cell, RefCell};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use evenkeel_core::l4::keeps_sessions;
use evenkeel_net::{Peer, SessionSocket};
use evenkeel_types::Time;
use tokio::sync::mpsc::UnboundedSender;

use super::Station;
use super::session::{Relayed, Session, State};
use crate::forward::driver::Permit;
use crate::handover::{HandedSession, SessionRecord, StationSessions, TakenOver};
use crate::l4::log::StreamLog;
use crate::worker::view::View;

/// Whether a socket's datagrams are left in the kernel, because its sessions are being handed over.
#[derive(Default)]
pub struct Pause {
    state: Cell<PauseState>,
    answer: RefCell<Option<UnboundedSender<StationSessions>>>,
    waker: RefCell<Option<Waker>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum PauseState {
    #[default]
    Over,
    Asked,
    Paused,
}

impl std::fmt::Debug for Pause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pause").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Pause {
    /// Begins it: the station answers what sessions it has, and rests.
    pub fn begin(&self, answer: UnboundedSender<StationSessions>) {
        self.state.set(PauseState::Asked);
        *self.answer.borrow_mut() = Some(answer);
        self.waker.take().into_iter().for_each(Waker::wake);
    }

    /// Begins it for a station that has not begun.
    fn hold(&self) {
        self.state.set(PauseState::Paused);
    }

    /// Ends it: the station goes on with its sessions.
    pub fn end(&self) {
        self.state.set(PauseState::Over);
        self.answer.take();
        self.waker.take().into_iter().for_each(Waker::wake);
    }

    fn watch(&self, cx: &Context<'_>) {
        *self.waker.borrow_mut() = Some(cx.waker().clone());
    }
}

impl Station {
    /// True while datagrams are left in the kernel.
    pub(super) fn is_paused(&mut self, now: Time, cx: &Context<'_>) -> bool {
        let pause = Rc::clone(&self.ends.pause);
        pause.watch(cx);
        if self.ends.closing.is_handed_over() && pause.state.get() == PauseState::Paused {
            pause.end();
            self.forget_handed_over();
        }
        if pause.state.get() == PauseState::Asked {
            pause.state.set(PauseState::Paused);
            let sessions = self.hand_out(now);
            if let Some(answer) = pause.answer.take() {
                // The one who asked may have given up; then it ends the pause.
                let _ = answer.send(StationSessions { inode: self.socket.inode().unwrap_or(0), sessions });
            }
        }
        pause.state.get() == PauseState::Paused
    }

    /// The sessions that have a server, with duplicates of their sockets. One for whose socket no descriptor is left stays here.
    fn hand_out(&mut self, now: Time) -> Vec<HandedSession> {
        self.handed_out.clear();
        let mut handed = Vec::new();
        for at in self.sessions.all().collect::<Vec<_>>() {
            let Some(key) = self.sessions.key(at) else { continue };
            let Some(session) = self.sessions.get_mut(at) else { continue };
            let State::Relayed(relayed) = &session.state else { continue };
            let Ok(descriptor) = relayed.socket.as_fd().try_clone_to_owned() else { continue };
            let (Some(pool), Some(server)) = (&relayed.log.pool, relayed.log.server) else { continue };
            let upstream = &pool.upstreams[server];
            let record = SessionRecord {
                peer: key.peer,
                local: key.local,
                client: key.client,
                route: relayed.log.route.as_ref().map(ToString::to_string),
                pool: pool.config().name.to_string(),
                server: upstream.id.to_string(),
                address: upstream.address().to_string(),
                header: relayed.header.as_deref().map(<[u8]>::to_vec),
                age: relayed.log.age(now),
                bytes: (relayed.log.moved.0.get(), relayed.log.moved.1.get()),
                answers: relayed.answers(),
                tries: relayed.log.tries,
                allowance: session.allowance.parts(),
            };
            handed.push(HandedSession { record, descriptor });
            self.handed_out.push(at);
        }
        handed
    }

    /// Another process has the sessions that were handed out, and records their ends.
    fn forget_handed_over(&mut self) {
        for at in std::mem::take(&mut self.handed_out) {
            if let Some(Session { state: State::Relayed(relayed), .. }) = self.sessions.remove(at) {
                relayed.dismiss();
            }
        }
    }

    /// Goes on with sessions that another process has begun. One whose server its pool does not have here is left out: the next
    /// datagram of its client begins another one.
    pub fn resume_sessions(&mut self, taken: TakenOver) {
        if taken.waits.is_some() {
            self.ends.pause.hold();
        }
        if taken.sessions.is_empty() {
            return;
        }
        let (view, now) = (self.worker.view(), self.worker.clock.now());
        self.follow(&view);
        for HandedSession { record, descriptor } in taken.sessions {
            let Ok(socket) = SessionSocket::take(descriptor) else { continue };
            let (key, allowance) = (record.key(), record.allowance());
            let Ok(counts) = self.count(&view, &key, key.client.unwrap_or(key.peer)) else { continue };
            let Some(relayed) = self.resume(&view, socket, record, now) else { continue };
            let session = Session { state: State::Relayed(relayed), allowance, _counts: counts };
            let (at, _) = self.sessions.add(key, session, now);
            self.watch(at);
        }
        // What has come for them in the meantime is looked at.
        self.readiness.look_again();
    }

    fn resume(
        &self,
        view: &View,
        socket: SessionSocket,
        record: SessionRecord,
        now: Time,
    ) -> Option<Box<Relayed>> {
        let position = view.snapshot.position_of(&record.pool.as_str().into())?;
        let pool = view.pool_now(position);
        let server = pool.servers().members.position(&record.server.as_str().into())?;
        let is_the_same = pool.upstreams[server].address().to_string() == record.address;
        if !is_the_same || !keeps_sessions(pool.servers(), server) {
            return None;
        }
        let client = Peer::Ip(record.client.unwrap_or(record.peer));
        let mut log = StreamLog::new(&self.worker, "udp", &self.listener, client);
        log.carry_on(record.age, record.bytes);
        (log.route, log.tries) = (record.route.map(|name| name.as_str().into()), record.tries);
        let permit = Some(Permit::resumed(&pool.gate, server, now));
        (log.pool, log.server) = (Some(pool), Some(server));
        let seen = (view.snapshot.generation, position);
        let header = record.header.map(Vec::into_boxed_slice);
        let mut relayed = Relayed::new(&self.worker, (socket, permit), header, log, seen, now);
        relayed.resume(record.answers);
        Some(relayed)
    }
}

impl StreamLog {
    /// For how long there has been a connection, in whichever process.
    fn age(&self, now: Time) -> Duration {
        now - self.started + self.carried
    }

    /// It began so long ago in another process, and has moved so many bytes up and down since.
    fn carry_on(&mut self, age: Duration, bytes: (u64, u64)) {
        self.carried = age;
        self.moved.0.set(bytes.0);
        self.moved.1.set(bytes.1);
    }
}
