//! Frames about the connection and its streams that carry neither fields nor data.

use super::receive::Outcome;
use super::{Connection, Role, Sweep};
use crate::budget;
use crate::error::{Code, ConnectionError, StreamError, broken, broken_stream};
use crate::event::Event;
use crate::frame::{self, Frame, MAX_31, flag, number};
use crate::head::{Head, HeadLimits};
use crate::priority::Priority;
use crate::settings;

impl Connection {
    pub(super) fn on_settings(&mut self, frame: Frame, payload: &[u8]) -> Outcome {
        if frame.stream != 0 {
            return Err(broken(Code::PROTOCOL_ERROR, "SETTINGS on a stream").into());
        }
        self.budget.spend(budget::FRAME, self.now, "SETTINGS frames")?;
        if frame.has(flag::ACK) {
            self.on_settings_ack();
            return Ok(None);
        }
        let before = self.remote;
        settings::apply(payload, self.role == Role::Client, &mut self.remote)?;
        frame::settings_ack(&mut self.output);
        if self.remote.header_table_size != before.header_table_size {
            self.encoder.limit(self.remote.header_table_size);
        }
        let delta = i64::from(self.remote.initial_window_size) - i64::from(before.initial_window_size);
        if delta != 0 {
            self.change_windows(delta)?;
        }
        Ok(Some(Event::Settings))
    }

    /// The peer goes by our settings from here on.
    fn on_settings_ack(&mut self) {
        if std::mem::replace(&mut self.is_agreed, true) {
            return;
        }
        self.timers.settings_due = None;
        let ours = self.config.settings;
        self.decoder.limit(ours.header_table_size);
        let delta =
            i64::from(ours.initial_window_size) - i64::from(ours.initial_window_size.max(settings::WINDOW));
        for (_, stream) in self.streams.iter_mut() {
            stream.receive.change(delta);
        }
    }

    /// SETTINGS_INITIAL_WINDOW_SIZE has changed, and with it the windows of all streams (RFC 9113, 6.9.2).
    fn change_windows(&mut self, delta: i64) -> Result<(), ConnectionError> {
        let mut waiting = Vec::new();
        for (slot, stream) in self.streams.iter_mut() {
            if !stream.send.change(delta) {
                let reason = "SETTINGS that open a window beyond 2^31-1";
                return Err(broken(Code::FLOW_CONTROL_ERROR, reason));
            }
            if stream.wants {
                waiting.push((slot, stream.send.room() > 0));
            }
        }
        for (slot, has_room) in waiting {
            if has_room {
                self.streams.enqueue(slot, false);
            } else {
                self.streams.dequeue(slot);
            }
        }
        Ok(())
    }

    pub(super) fn on_window_update(&mut self, frame: Frame, payload: &[u8]) -> Outcome {
        self.budget.spend(budget::FRAME, self.now, "WINDOW_UPDATE frames")?;
        let increment = number(payload) & MAX_31;
        let delta = i64::from(increment);
        if frame.stream == 0 {
            if increment == 0 {
                return Err(broken(Code::PROTOCOL_ERROR, "WINDOW_UPDATE by 0").into());
            }
            if !self.flow.send.change(delta) {
                let reason = "a connection's window beyond 2^31-1";
                return Err(broken(Code::FLOW_CONTROL_ERROR, reason).into());
            }
            return Ok(None);
        }
        let Some(slot) = self.streams.find(frame.stream) else { return self.on_stray(frame.stream) };
        if increment == 0 {
            return Err(broken_stream(frame.stream, Code::PROTOCOL_ERROR, "WINDOW_UPDATE by 0"));
        }
        let stream = &mut self.streams[slot];
        if stream.is_over() {
            return Ok(None);
        }
        if !stream.send.change(delta) {
            let reason = "a stream's window beyond 2^31-1";
            return Err(broken_stream(frame.stream, Code::FLOW_CONTROL_ERROR, reason));
        }
        if stream.wants && stream.send.room() > 0 {
            self.streams.enqueue(slot, false);
        }
        Ok(None)
    }

    pub(super) fn on_rst_stream(&mut self, frame: Frame, payload: &[u8]) -> Outcome {
        if frame.stream == 0 {
            return Err(broken(Code::PROTOCOL_ERROR, "RST_STREAM on stream 0").into());
        }
        self.budget.spend(budget::RESET, self.now, "RST_STREAM frames")?;
        let Some(slot) = self.streams.find(frame.stream) else { return self.on_stray(frame.stream) };
        let stream = self.streams.id(slot);
        if self.streams[slot].is_over() {
            // It only holds data that was not consumed.
            return Ok(None);
        }
        self.forget(slot);
        Ok(Some(Event::Reset { stream, error: StreamError::PeerReset { code: Code(number(payload)) } }))
    }

    /// A frame on a stream that is not open: no fault if it was.
    fn on_stray(&self, stream: u32) -> Outcome {
        if stream > self.streams.last || stream.is_multiple_of(2) {
            return Err(broken(Code::PROTOCOL_ERROR, "a frame on a stream that was not opened").into());
        }
        Ok(None)
    }

    pub(super) fn on_ping(&mut self, frame: Frame, payload: &[u8]) -> Outcome {
        if frame.stream != 0 {
            return Err(broken(Code::PROTOCOL_ERROR, "PING on a stream").into());
        }
        self.budget.spend(budget::FRAME, self.now, "PING frames")?;
        let payload = *payload.first_chunk().unwrap_or(&[0; 8]);
        if frame.has(flag::ACK) {
            return Ok(self.on_pong(payload));
        }
        frame::ping(&mut self.output, flag::ACK, payload);
        Ok(None)
    }

    pub(super) fn on_goaway(&mut self, frame: Frame, payload: &[u8]) -> Outcome {
        if frame.stream != 0 {
            return Err(broken(Code::PROTOCOL_ERROR, "GOAWAY on a stream").into());
        }
        self.budget.spend(budget::FRAME, self.now, "GOAWAY frames")?;
        let (last, code) = (number(payload) & MAX_31, Code(number(&payload[4..])));
        if self.leaving.peer_last.is_some_and(|before| before < last) {
            return Err(broken(Code::PROTOCOL_ERROR, "a GOAWAY that names more streams than before").into());
        }
        self.leaving.peer_last = Some(last);
        if self.role == Role::Client {
            self.sweep = Some(Sweep::Left { last, code, from: 0 });
        }
        Ok(Some(Event::GoAway { last, code }))
    }

    /// RFC 9113 gives it no meaning any more.
    pub(super) fn on_priority(&mut self, frame: Frame, payload: &[u8]) -> Outcome {
        if frame.stream == 0 {
            return Err(broken(Code::PROTOCOL_ERROR, "PRIORITY on stream 0").into());
        }
        self.budget.spend(budget::FRAME, self.now, "PRIORITY frames")?;
        if number(payload) & MAX_31 != frame.stream {
            return Ok(None);
        }
        let reason = "a stream that depends on itself";
        match self.streams.find(frame.stream) {
            Some(_) => Err(broken_stream(frame.stream, Code::PROTOCOL_ERROR, reason)),
            None if frame.stream > self.streams.last => Err(broken(Code::PROTOCOL_ERROR, reason).into()),
            None => {
                self.budget.spend(budget::RESET, self.now, "PRIORITY frames")?;
                Ok(None)
            }
        }
    }

    /// RFC 9218, 7.1. One for a stream that is not open yet is not kept: the request that opens it may say the same.
    pub(super) fn on_priority_update(&mut self, frame: Frame, payload: &[u8]) -> Outcome {
        if frame.stream != 0 {
            return Err(broken(Code::PROTOCOL_ERROR, "PRIORITY_UPDATE on a stream").into());
        }
        if self.role == Role::Client {
            return Err(broken(Code::PROTOCOL_ERROR, "PRIORITY_UPDATE by a server").into());
        }
        let Some((stream, value)) = payload.split_first_chunk::<4>() else {
            return Err(broken(Code::FRAME_SIZE_ERROR, "PRIORITY_UPDATE of less than 4 bytes").into());
        };
        self.budget.spend(budget::FRAME, self.now, "PRIORITY_UPDATE frames")?;
        let stream = u32::from_be_bytes(*stream) & MAX_31;
        if stream.is_multiple_of(2) {
            return Err(broken(Code::PROTOCOL_ERROR, "PRIORITY_UPDATE for no request").into());
        }
        if let Some(slot) = self.streams.find(stream) {
            self.prioritise(slot, Priority::parse(value));
        }
        Ok(None)
    }

    pub(super) fn prioritise(&mut self, slot: u32, priority: Priority) {
        let is_queued = self.streams[slot].is_queued;
        self.streams.dequeue(slot);
        self.streams[slot].priority = Some(priority);
        if is_queued {
            self.streams.enqueue(slot, false);
        }
    }

    /// RFC 8336, 2: what is not on stream 0 is ignored.
    pub(super) fn on_origin(&mut self, frame: Frame, payload: &[u8], head: &mut Head) -> Outcome {
        self.budget.spend(budget::FRAME, self.now, "ORIGIN frames")?;
        if frame.stream != 0 || frame.flags & 0xf != 0 {
            return Ok(None);
        }
        head.clear(HeadLimits::default());
        head.bytes.extend_from_slice(payload);
        Ok(Some(Event::Origins))
    }
}
