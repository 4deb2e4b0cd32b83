//! Datagrams of servers on their way back to clients.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use evenkeel_core::l4::SessionKey;
use evenkeel_net::Message;
use evenkeel_observe::DatagramDrop;
use evenkeel_types::Time;

use super::Station;
use super::join::join;
use super::session::{Session, State};
use super::up::{datagrams, is_too_large};
use crate::worker::batch::Batch;

/// Datagrams of one server that are taken before others get their turn.
const OF_ONE: usize = 16;

impl Station {
    /// Passes on what has come from servers; true if there may be more.
    pub(super) fn pass_down(&mut self, batch: &mut Batch, now: Time, cx: &mut Context<'_>) -> bool {
        let mut ready = std::mem::take(&mut self.ready);
        ready.clear();
        let is_told = matches!(self.readiness.poll(cx, &mut ready), Poll::Ready(Ok(())));
        batch.inbox.clear();
        for &at in &ready {
            if batch.inbox.room() == 0 {
                self.send_down(batch, now);
            }
            let Some(Session { state: State::Relayed(relayed), .. }) = self.sessions.get_mut(at) else {
                continue;
            };
            let most = batch.inbox.room().min(OF_ONE);
            match batch.inbox.receive(&relayed.socket, most, at) {
                Ok(come) if come == most => self.readiness.look_again(),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if is_too_large(&error) => {
                    self.readiness.look_again();
                    self.drop_some(DatagramDrop::TooLarge, 1);
                }
                Err(error) => {
                    let (ended, why) = relayed.refused(&self.worker, error, now);
                    // What it has answered before is still passed on.
                    self.send_down(batch, now);
                    self.end(at, ended, Some(why));
                }
            }
        }
        self.send_down(batch, now);
        self.ready = ready;
        is_told
    }

    /// Sends what has come to the clients of its sessions.
    fn send_down(&mut self, batch: &mut Batch, now: Time) {
        let Batch { inbox, outbox } = batch;
        let mut pieces: Vec<IoSlice<'_>> = Vec::with_capacity(inbox.received().len());
        let mut messages: Vec<Message> = Vec::with_capacity(inbox.received().len());
        let (mut lengths, mut refused) = (Vec::new(), 0);
        let max_answers = self.rules.max_answers;
        for of_one in inbox.received().chunk_by(|one, next| one.tag == next.tag) {
            let at = of_one[0].tag;
            let Some(session) = self.sessions.get_mut(at) else { continue };
            let start = pieces.len();
            lengths.clear();
            for received in of_one {
                for datagram in datagrams(inbox.bytes(received), received.segment) {
                    if session.allowance.take(max_answers) {
                        pieces.push(IoSlice::new(datagram));
                        lengths.push(datagram.len());
                    } else {
                        refused += 1;
                    }
                }
            }
            // What is not passed on does not keep a session, which may be of a client that never asked.
            if lengths.is_empty() {
                continue;
            }
            let Some(SessionKey { peer, local, .. }) = self.sessions.key(at) else { continue };
            let Some(session) = self.sessions.touch(at, now) else { continue };

            messages.extend(join(&lengths).into_iter().map(|(range, segment)| Message {
                to: Some(peer),
                from: local,
                pieces: start + range.start..start + range.end,
                segment,
            }));
            if let State::Relayed(relayed) = &mut session.state {
                let bytes = lengths.iter().sum::<usize>() as u64;
                let moved = &relayed.log.moved.1;
                moved.set(moved.get() + bytes);
                if let Some(series) = &relayed.series {
                    series.shard(self.worker.index).sent.add(bytes);
                }
                relayed.handle_answers(lengths.len() as u32, now);
            }
        }
        let (mut too_large, mut unsent) = (0, 0);
        outbox.send(&self.socket, self.socket.is_ipv6(), (&messages, &pieces), |at, error| {
            let count = messages[at].pieces.len();
            if is_too_large(error) { too_large += count } else { unsent += count }
        });
        self.figures().sent.add((pieces.len() - too_large - unsent) as u64);
        self.drop_some(DatagramDrop::Answers, refused);
        self.drop_some(DatagramDrop::TooLarge, too_large);
        self.drop_some(DatagramDrop::Unsent, unsent);
        drop((pieces, messages));
        inbox.clear();
    }
}
