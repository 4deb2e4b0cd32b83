//! HEADERS and CONTINUATION: from field blocks to requests, responses and trailers.

use super::reader::Block;
use super::receive::Outcome;
use super::{Connection, Role};
use crate::error::{Code, Fault, StreamError, broken, broken_stream};
use crate::event::{Event, HeadKind};
use crate::frame::{Frame, flag, number};
use crate::head::Head;
use crate::message;
use crate::settings::WINDOW;
use crate::streams::{Half, Stream, UNKNOWN};

/// Frames of one field block beyond those that its bytes need.
const CONTINUATIONS_FREE: usize = 8;
/// Bytes that a frame of a field block should have at least, on average.
const CONTINUATION_MIN: usize = 1024;

impl Connection {
    #[inline]
    pub(super) fn on_headers(&mut self, frame: Frame, payload: &[u8], head: &mut Head) -> Outcome {
        if frame.stream == 0 {
            return Err(broken(Code::PROTOCOL_ERROR, "HEADERS on stream 0").into());
        }
        let fragment =
            if frame.has(flag::PADDED | flag::PRIORITY) { fragment(frame, payload)? } else { payload };
        let ends = frame.has(flag::END_STREAM);
        if frame.has(flag::END_HEADERS) {
            return self.on_block(frame.stream, ends, fragment, head);
        }
        let bytes = fragment.to_vec();
        self.reader.block = Some(Box::new(Block { stream: frame.stream, ends, frames: 1, bytes }));
        Ok(None)
    }

    pub(super) fn on_continuation(&mut self, frame: Frame, payload: &[u8], head: &mut Head) -> Outcome {
        let Some(mut block) = self.reader.block.take() else {
            return Err(broken(Code::PROTOCOL_ERROR, "CONTINUATION without HEADERS before it").into());
        };
        block.frames += 1;
        block.bytes.extend_from_slice(payload);
        let is_last = frame.has(flag::END_HEADERS);
        let frames_max = CONTINUATIONS_FREE + block.bytes.len() / CONTINUATION_MIN;
        if block.bytes.len() > self.config.block_max || block.frames > frames_max && !is_last {
            let code = Code::ENHANCE_YOUR_CALM;
            return Err(broken(code, "a field block of too many bytes or frames").into());
        }
        if is_last {
            return self.on_block(block.stream, block.ends, &block.bytes, head);
        }
        self.reader.block = Some(block);
        Ok(None)
    }

    /// Decodes a whole field block, which must be done even where its stream is of no interest.
    #[inline]
    fn on_block(&mut self, number: u32, ends: bool, block: &[u8], head: &mut Head) -> Outcome {
        head.clear(self.config.head_limits);
        self.decoder.decode(block, head).map_err(|reason| broken(Code::COMPRESSION_ERROR, reason))?;
        if self.role == Role::Server && number > self.streams.last {
            return self.on_request(number, ends, head);
        }
        match self.streams.find(number) {
            Some(slot) => self.on_later_head(slot, ends, head),
            None => self.on_stray_head(number),
        }
    }

    fn on_request(&mut self, number: u32, ends: bool, head: &mut Head) -> Outcome {
        if number.is_multiple_of(2) {
            return Err(broken(Code::PROTOCOL_ERROR, "a request with an even stream id").into());
        }
        self.streams.reach(number);
        if self.leaving.is_beyond(number) {
            // The client has not read our GOAWAY yet, and will ask again elsewhere.
            self.streams.remember_reset(number);
            return Ok(None);
        }
        if self.streams.active() >= self.config.settings.max_concurrent_streams {
            return Err(Fault::Request(
                number,
                StreamError::Refused { reason: "too many streams at a time" },
            ));
        }
        let fault = message::fault_of_request(head, self.config.settings.enable_connect_protocol);
        let is_tunnel = head.method() == b"CONNECT";
        let length = head.content_length().filter(|_| !is_tunnel);
        let is_short = ends && length.is_some_and(|length| length > 0);
        if let Some(reason) = fault.or(is_short.then_some("less DATA than content-length")) {
            let code = Code::PROTOCOL_ERROR;
            return Err(Fault::Request(number, StreamError::PeerMisbehaved { code, reason }));
        }
        let mut stream = self.new_stream(number);
        stream.remote = if ends { Half::Closed } else { Half::Body };
        stream.is_tunnel = is_tunnel;
        stream.body_left = length.unwrap_or(UNKNOWN);
        stream.priority = head.priority;
        if !ends && length.is_some() && self.config.pace.is_some() {
            stream.pace[0].wait(self.now);
        }
        let slot = self.streams.insert(stream);
        Ok(Some(Event::Head { stream: self.streams.id(slot), kind: HeadKind::Request, ends }))
    }

    /// A stream with the windows that both sides have agreed on, or go by until then.
    pub(super) fn new_stream(&self, number: u32) -> Stream {
        let ours = self.config.settings.initial_window_size;
        let receive = if self.is_agreed { ours } else { ours.max(WINDOW) };
        Stream::new(number, self.remote.initial_window_size, receive)
    }

    /// A head on a stream that is open: a response, or trailers.
    fn on_later_head(&mut self, slot: u32, ends: bool, head: &mut Head) -> Outcome {
        let number = self.streams[slot].number;
        let misbehaved = |reason| Err(broken_stream(number, Code::PROTOCOL_ERROR, reason));
        match self.streams[slot].remote {
            Half::Closed => {
                Err(broken_stream(number, Code::STREAM_CLOSED, "HEADERS behind the end of their stream"))
            }
            Half::Head => self.on_response(slot, ends, head),
            Half::Body => {
                if let Some(reason) = message::fault_of_trailers(head, ends) {
                    return misbehaved(reason);
                }
                if !self.streams[slot].count_body(0, true) {
                    return misbehaved("less DATA than content-length");
                }
                self.streams[slot].remote = Half::Closed;
                let stream = self.streams.id(slot);
                self.settle(slot);
                Ok(Some(Event::Head { stream, kind: HeadKind::Trailers, ends }))
            }
        }
    }

    fn on_response(&mut self, slot: u32, ends: bool, head: &mut Head) -> Outcome {
        let id = self.streams.id(slot);
        let misbehaved = |reason| Err(broken_stream(id.number(), Code::PROTOCOL_ERROR, reason));
        if let Some(reason) = message::fault_of_response(head, ends) {
            return misbehaved(reason);
        }
        let status = head.status();
        if status < 200 {
            return Ok(Some(Event::Head { stream: id, kind: HeadKind::Interim, ends }));
        }
        let stream = &mut self.streams[slot];
        if stream.is_tunnel && (200..300).contains(&status) {
            stream.body_left = UNKNOWN;
        } else if stream.is_bodiless || matches!(status, 204 | 304) {
            stream.body_left = 0;
        } else {
            stream.body_left = head.content_length().unwrap_or(UNKNOWN);
        }
        if ends && !stream.count_body(0, true) {
            return misbehaved("less DATA than content-length");
        }
        stream.remote = if ends { Half::Closed } else { Half::Body };
        if ends {
            self.settle(slot);
        }
        Ok(Some(Event::Head { stream: id, kind: HeadKind::Response, ends }))
    }

    /// A head on a stream that is not open.
    fn on_stray_head(&mut self, number: u32) -> Outcome {
        if number > self.streams.last || number.is_multiple_of(2) {
            return Err(broken(Code::PROTOCOL_ERROR, "HEADERS on a stream that was not opened").into());
        }
        if !self.streams.was_opened(number) {
            return Err(broken(Code::PROTOCOL_ERROR, "a stream id below the last one").into());
        }
        if !self.streams.may_be_reset(number) {
            return Err(broken(Code::STREAM_CLOSED, "HEADERS on a closed stream").into());
        }
        self.budget.spend(crate::budget::FRAME, self.now, "HEADERS on closed streams")?;
        Ok(None)
    }
}

/// The field block within HEADERS that have padding or a priority (RFC 9113, 6.2).
fn fragment(frame: Frame, payload: &[u8]) -> Result<&[u8], Fault> {
    let too_short =
        || Fault::from(broken(Code::FRAME_SIZE_ERROR, "HEADERS that are too short for their flags"));
    let mut rest = payload;
    if frame.has(flag::PADDED) {
        let (padding, after) = payload.split_first().ok_or_else(too_short)?;
        let len = after.len().checked_sub(usize::from(*padding));
        let len = len.ok_or(broken(Code::PROTOCOL_ERROR, "HEADERS with more padding than payload"))?;
        rest = &after[..len];
    }
    if frame.has(flag::PRIORITY) {
        let (priority, after) = rest.split_at_checked(5).ok_or_else(too_short)?;
        if number(priority) & crate::frame::MAX_31 == frame.stream {
            return Err(broken(Code::PROTOCOL_ERROR, "HEADERS of a stream that depends on itself").into());
        }
        rest = after;
    }
    Ok(rest)
}
