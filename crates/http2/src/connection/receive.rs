//! Finding frames in what the peer sends, however it is cut, and what holds for all of them.

use evenkeel_types::Time;

use super::reader::{KEPT, Stage};
use super::{Connection, Role, Sweep};
use crate::budget;
use crate::error::{Code, ConnectionError, Fault, StreamError, broken};
use crate::event::{Event, Received};
use crate::frame::{Frame, HEADER, PREFACE, flag, kind};
use crate::head::Head;
use crate::streams::Stream;

/// What a handler of a frame comes to.
pub(super) type Outcome = Result<Option<Event>, Fault>;

impl Connection {
    /// Takes what the peer has sent, up to the first event. It is to be called again with the rest of the input until it
    /// reports none; then all of the input has been taken, and the caller need not keep any of it. `head` is where heads
    /// are written to.
    ///
    /// # Errors
    /// The peer misbehaves: GOAWAY has been written, no further input is looked at, and no command is carried out. When the
    /// output has been sent, the connection is to be closed.
    pub fn receive(&mut self, input: &[u8], head: &mut Head, now: Time) -> Result<Received, ConnectionError> {
        self.now = now;
        if let Some(error) = self.error {
            return Err(self.abort(error));
        }
        if self.is_closed {
            return Ok(Received { taken: input.len(), event: None });
        }
        if !input.is_empty() {
            self.timers.heard = now;
        }
        let mut taken = 0;
        loop {
            if let Some(event) = self.swept()? {
                return Ok(Received { taken, event: Some(event) });
            }
            if taken == input.len() {
                break;
            }
            let (step, outcome) = self.step(&input[taken..], head);
            let event = match outcome {
                Ok(Some(Event::Data { stream, data, ends })) => {
                    Some(Event::Data { stream, data: data.start + taken..data.end + taken, ends })
                }
                Ok(event) => event,
                Err(fault) => self.fail(fault)?,
            };
            taken += step;
            if event.is_some() {
                return Ok(Received { taken, event });
            }
        }
        let since = self.reader.is_in_head().then(|| self.reader.head_since.unwrap_or(now));
        self.reader.head_since = since;
        Ok(Received { taken, event: None })
    }

    /// Takes one frame, or as much of one as there is; yields how many bytes were taken.
    #[inline]
    fn step(&mut self, input: &[u8], head: &mut Head) -> (usize, Outcome) {
        match self.reader.stage {
            Stage::Frame => {
                if self.reader.partial.is_empty()
                    && let Some((header, rest)) = input.split_first_chunk::<HEADER>()
                {
                    let frame = Frame::read(header);
                    if let Err(error) = self.check(frame) {
                        return (HEADER, Err(error.into()));
                    }
                    if let Some(payload) = rest.get(..wanted(frame)) {
                        return (HEADER + payload.len(), self.dispatch(frame, payload, head));
                    }
                }
                self.gather(input, head)
            }
            Stage::Data(data) => self.data(data, input.len()),
            Stage::Skip(left) => {
                let count = left.min(input.len());
                self.reader.skip(left - count);
                (count, Ok(None))
            }
            Stage::Preface(seen) => {
                let count = (PREFACE.len() - seen).min(input.len());
                if input[..count] != PREFACE[seen..seen + count] {
                    let error = broken(Code::PROTOCOL_ERROR, "an invalid preface");
                    return (count, Err(error.into()));
                }
                let seen = seen + count;
                let is_whole = seen == PREFACE.len();
                self.reader.stage = if is_whole { Stage::Frame } else { Stage::Preface(seen) };
                (count, Ok(None))
            }
        }
    }

    /// Collects a frame that comes in pieces.
    fn gather(&mut self, input: &[u8], head: &mut Head) -> (usize, Outcome) {
        let mut taken = self.collect(HEADER, input);
        let Some(header) = self.reader.partial.first_chunk::<HEADER>() else { return (taken, Ok(None)) };
        let frame = Frame::read(header);
        if let Err(error) = self.check(frame) {
            return (taken, Err(error.into()));
        }
        let len = HEADER + wanted(frame);
        taken += self.collect(len, &input[taken..]);
        if self.reader.partial.len() < len {
            return (taken, Ok(None));
        }
        let mut whole = std::mem::take(&mut self.reader.partial);
        let outcome = self.dispatch(frame, &whole[HEADER..], head);
        if whole.capacity() <= KEPT {
            whole.clear();
            self.reader.partial = whole;
        }
        (taken, outcome)
    }

    /// Fills the partial frame up to `len` bytes.
    fn collect(&mut self, len: usize, input: &[u8]) -> usize {
        let partial = &mut self.reader.partial;
        let count = len.saturating_sub(partial.len()).min(input.len());
        partial.extend_from_slice(&input[..count]);
        count
    }

    /// What can be said of a frame by its header alone.
    #[inline]
    fn check(&self, frame: Frame) -> Result<(), ConnectionError> {
        if frame.len > self.config.settings.max_frame_size as usize {
            return Err(broken(Code::FRAME_SIZE_ERROR, "a frame above SETTINGS_MAX_FRAME_SIZE"));
        }
        if !self.reader.is_greeted && (frame.kind != kind::SETTINGS || frame.has(flag::ACK)) {
            return Err(broken(Code::PROTOCOL_ERROR, "a first frame that is not SETTINGS"));
        }
        if let Some(block) = &self.reader.block
            && (frame.kind != kind::CONTINUATION || frame.stream != block.stream)
        {
            return Err(broken(Code::PROTOCOL_ERROR, "another frame within a field block"));
        }
        let (is_right, reason) = match frame.kind {
            kind::PRIORITY => (frame.len == 5, "PRIORITY of other than 5 bytes"),
            kind::RST_STREAM => (frame.len == 4, "RST_STREAM of other than 4 bytes"),
            kind::WINDOW_UPDATE => (frame.len == 4, "WINDOW_UPDATE of other than 4 bytes"),
            kind::SETTINGS if frame.has(flag::ACK) => (frame.len == 0, "SETTINGS with ACK and values"),
            kind::SETTINGS => (frame.len.is_multiple_of(6), "SETTINGS of other than a multiple of 6 bytes"),
            kind::PING => (frame.len == 8, "PING of other than 8 bytes"),
            kind::GOAWAY => (frame.len >= 8, "GOAWAY of less than 8 bytes"),
            kind::DATA if frame.has(flag::PADDED) => {
                (frame.len > 0, "padded DATA without a length of its padding")
            }
            _ => return Ok(()),
        };
        if is_right { Ok(()) } else { Err(broken(Code::FRAME_SIZE_ERROR, reason)) }
    }

    /// Hands a frame, of which all is there that is wanted, to what deals with it.
    #[inline]
    fn dispatch(&mut self, frame: Frame, payload: &[u8], head: &mut Head) -> Outcome {
        self.reader.is_greeted = true;
        match frame.kind {
            kind::HEADERS => self.on_headers(frame, payload, head),
            kind::DATA => self.on_data(frame, payload),
            kind::CONTINUATION => self.on_continuation(frame, payload, head),
            kind::WINDOW_UPDATE => self.on_window_update(frame, payload),
            kind::RST_STREAM => self.on_rst_stream(frame, payload),
            kind::SETTINGS => self.on_settings(frame, payload),
            kind::PING => self.on_ping(frame, payload),
            kind::GOAWAY => self.on_goaway(frame, payload),
            kind::PRIORITY => self.on_priority(frame, payload),
            kind::PRIORITY_UPDATE => self.on_priority_update(frame, payload),
            kind::ORIGIN if self.role == Role::Client => self.on_origin(frame, payload, head),
            kind::PUSH_PROMISE => {
                Err(broken(Code::PROTOCOL_ERROR, "PUSH_PROMISE, which was not allowed").into())
            }
            _ => {
                self.budget.spend(budget::FRAME, self.now, "frames of unknown types")?;
                Ok(None)
            }
        }
    }

    /// Acts on a fault: what comes of one that concerns a stream alone.
    #[cold]
    fn fail(&mut self, fault: Fault) -> Result<Option<Event>, ConnectionError> {
        let outcome = match fault {
            Fault::Connection(error) => Err(error),
            Fault::Stream(number, error) => self
                .fail_stream(number, error)
                .map(|stream| stream.map(|stream| Event::Reset { stream, error })),
            Fault::Request(number, error) => {
                self.write_reset(number, error.code()).map(|()| Some(Event::Refused { number, error }))
            }
        };
        outcome.map_err(|error| self.abort(error))
    }

    /// The next of the streams that end together.
    #[inline]
    fn swept(&mut self) -> Result<Option<Event>, ConnectionError> {
        if self.sweep.is_none() { Ok(None) } else { self.sweep_on().map_err(|error| self.abort(error)) }
    }

    fn sweep_on(&mut self) -> Result<Option<Event>, ConnectionError> {
        match self.sweep {
            Some(Sweep::Left { last, code, from }) => {
                let is_left = |stream: &Stream| stream.number > last && !stream.is_over();
                let Some(slot) = self.streams.next_slot(from, is_left) else {
                    self.sweep = None;
                    return Ok(None);
                };
                self.sweep = Some(Sweep::Left { last, code, from: slot + 1 });
                let stream = self.streams.id(slot);
                self.forget(slot);
                Ok(Some(Event::Reset { stream, error: StreamError::PeerLeft { code } }))
            }
            Some(Sweep::Slow { from }) => {
                let (pace, now) = (self.config.pace, self.now);
                let is_slow = |stream: &Stream| {
                    pace.is_some_and(|pace| stream.pace.iter().any(|half| half.is_too_slow(pace, now)))
                };
                let Some(slot) = self.streams.next_slot(from, is_slow) else {
                    self.sweep = None;
                    return Ok(None);
                };
                self.sweep = Some(Sweep::Slow { from: slot + 1 });
                let error = StreamError::PeerMisbehaved {
                    code: Code::ENHANCE_YOUR_CALM,
                    reason: "too slow a stream",
                };
                let stream = self.fail_stream(self.streams[slot].number, error)?;
                Ok(stream.map(|stream| Event::Reset { stream, error }))
            }
            None => Ok(None),
        }
    }
}

/// Bytes of the payload that must be there before a frame is dealt with: all but for DATA.
#[inline]
fn wanted(frame: Frame) -> usize {
    if frame.kind == kind::DATA { usize::from(frame.has(flag::PADDED)) } else { frame.len }
}
