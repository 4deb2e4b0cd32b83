//! How a connection ends, and what happens at which time: GOAWAY, PING, and what the peer leaves out.

use evenkeel_types::Time;

use super::ending::{PACE_EVERY, Stage};
use super::{Connection, Role, Sweep};
use crate::error::{Code, ConnectionError, HEAD_TIMEOUT};
use crate::event::Event;
use crate::frame::{self, MAX_31, flag, kind};

/// What PING carries that asks whether the peer is there, and whether it has read the first GOAWAY.
const ALIVE: [u8; 8] = *b"alive?\0\x01";
const LEAVE: [u8; 8] = *b"leaving\x01";

impl Connection {
    /// Takes no more requests, and lets those that are under way end (RFC 9113, 6.8). A server says so first without
    /// refusing anything, and after a round trip with the last stream that it has taken.
    pub fn leave(&mut self, now: Time) {
        self.now = now;
        if self.is_closed || self.leaving.stage != Stage::Staying {
            return;
        }
        if self.role == Role::Client {
            frame::goaway(&mut self.output, 0, Code::NO_ERROR, "");
            self.leaving.stage = Stage::Final(0);
            return;
        }
        frame::goaway(&mut self.output, MAX_31, Code::NO_ERROR, "");
        frame::ping(&mut self.output, flag::NONE, LEAVE);
        self.leaving.stage = Stage::Announced;
        self.timers.leave_due = Some(now + self.config.leave_timeout);
    }

    /// True once [`leave`](Self::leave) was called, or the peer has sent GOAWAY.
    pub fn is_leaving(&self) -> bool {
        self.leaving.has_begun()
    }

    /// Ends the connection at once: GOAWAY with this code and text, and nothing more is sent or looked at.
    pub fn close(&mut self, code: Code, text: &str) {
        if std::mem::replace(&mut self.is_closed, true) {
            return;
        }
        let last = match (self.role, self.leaving.stage) {
            (Role::Client, _) => 0,
            (_, Stage::Final(last)) => last,
            _ => self.streams.last,
        };
        frame::goaway(&mut self.output, last, code, text);
    }

    /// Sends PING, whose answer is reported as [`Event::Pong`].
    pub fn ping(&mut self, payload: [u8; 8]) {
        if !self.is_closed {
            frame::ping(&mut self.output, flag::NONE, payload);
        }
    }

    /// Tells the client for which origins this server speaks (RFC 8336). A server may do so at any time; those that do not
    /// fit a frame are left out.
    pub fn announce_origins<'o>(&mut self, origins: impl IntoIterator<Item = &'o [u8]>) {
        if self.is_closed || self.role != Role::Server {
            return;
        }
        let start = self.output.len();
        frame::header(&mut self.output, 0, kind::ORIGIN, flag::NONE, 0);
        for origin in origins {
            let len = self.output.len() - start - frame::HEADER + 2 + origin.len();
            if let Ok(size) = u16::try_from(origin.len())
                && len <= self.remote.max_frame_size as usize
            {
                self.output.extend_from_slice(&size.to_be_bytes());
                self.output.extend_from_slice(origin);
            }
        }
        let len = self.output.len() - start - frame::HEADER;
        let frame = frame::Frame { len, kind: kind::ORIGIN, flags: flag::NONE, stream: 0 };
        self.output[start..start + frame::HEADER].copy_from_slice(&frame.bytes());
    }

    pub(super) fn on_pong(&mut self, payload: [u8; 8]) -> Option<Event> {
        match payload {
            ALIVE => self.timers.ping_due = None,
            LEAVE if self.leaving.stage == Stage::Announced => self.leave_finally(),
            LEAVE => {}
            payload => return Some(Event::Pong { payload }),
        }
        None
    }

    fn leave_finally(&mut self) {
        let last = self.streams.last;
        frame::goaway(&mut self.output, last, Code::NO_ERROR, "");
        self.leaving.stage = Stage::Final(last);
        self.timers.leave_due = None;
    }

    /// When [`handle_timeout`](Self::handle_timeout) is wanted next, if nothing comes before that.
    pub fn next_timeout(&self) -> Option<Time> {
        if self.is_closed {
            return None;
        }
        let timers = &self.timers;
        let alive = match (timers.ping_due, self.config.keepalive) {
            (None, Some(keepalive)) => Some(timers.heard + keepalive.after),
            (due, _) => due,
        };
        let pace = (self.config.pace.is_some() && self.streams.active() > 0).then_some(timers.pace_due);
        [timers.settings_due, alive, timers.leave_due, self.head_due(), pace].into_iter().flatten().min()
    }

    fn head_due(&self) -> Option<Time> {
        Some(self.reader.head_since? + self.config.head_timeout?)
    }

    /// Does what is due by now. Streams that are too slow are reported by the next call of
    /// [`receive`](Self::receive), which may have an empty input.
    ///
    /// # Errors
    /// The peer has left out for too long what it must do. GOAWAY has been written.
    pub fn handle_timeout(&mut self, now: Time) -> Result<(), ConnectionError> {
        self.now = now;
        if self.is_closed {
            return Ok(());
        }
        let is_due = |due: Option<Time>| due.is_some_and(|due| due <= now);
        let late = if is_due(self.timers.settings_due) {
            Some((Code::SETTINGS_TIMEOUT, "no acknowledgement of SETTINGS"))
        } else if is_due(self.timers.ping_due) {
            Some((Code::NO_ERROR, "no answer to PING"))
        } else if is_due(self.head_due()) {
            Some((Code::ENHANCE_YOUR_CALM, HEAD_TIMEOUT))
        } else {
            None
        };
        if let Some((code, reason)) = late {
            return Err(self.abort(ConnectionError::PeerSilent { code, reason }));
        }
        if is_due(self.timers.leave_due) {
            self.leave_finally();
        }
        if let Some(keepalive) = self.config.keepalive
            && self.timers.ping_due.is_none()
            && is_due(Some(self.timers.heard + keepalive.after))
        {
            frame::ping(&mut self.output, flag::NONE, ALIVE);
            self.timers.ping_due = Some(now + keepalive.timeout);
        }
        if is_due(Some(self.timers.pace_due)) {
            self.timers.pace_due = now + PACE_EVERY;
            self.sweep = self.sweep.or(self.config.pace.map(|_| Sweep::Slow { from: 0 }));
        }
        Ok(())
    }
}
