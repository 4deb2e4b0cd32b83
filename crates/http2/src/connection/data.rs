//! DATA: pieces of bodies, which count against windows until they are consumed.

use super::reader::Data;
use super::receive::Outcome;
use super::{Connection, Role};
use crate::budget;
use crate::error::{Code, broken, broken_stream};
use crate::event::Event;
use crate::frame::{self, Frame, flag};
use crate::streams::{Half, StreamId};

impl Connection {
    /// The header of a DATA frame, and the length of its padding if it has some: `payload`.
    #[inline]
    pub(super) fn on_data(&mut self, frame: Frame, payload: &[u8]) -> Outcome {
        if frame.stream == 0 {
            return Err(broken(Code::PROTOCOL_ERROR, "DATA on stream 0").into());
        }
        let left = frame.len - payload.len();
        let padding = payload.first().map_or(0, |padding| usize::from(*padding));
        let Some(len) = left.checked_sub(padding) else {
            return Err(broken(Code::PROTOCOL_ERROR, "DATA with more padding than payload").into());
        };
        if !self.flow.receive.receive(frame.len) {
            return Err(broken(Code::FLOW_CONTROL_ERROR, "DATA beyond the connection's window").into());
        }
        self.reader.skip(left);
        let Some(slot) = self.streams.find(frame.stream) else {
            self.release(frame.len);
            return self.on_stray_data(frame.stream);
        };
        let ends = frame.has(flag::END_STREAM);
        if let Err((code, reason)) = self.admit_data(slot, frame.len, len, ends) {
            return Err(broken_stream(frame.stream, code, reason));
        }
        let stream = self.streams.id(slot);
        if len < frame.len {
            self.consume_in(slot, frame.len - len);
        }
        if len > 0 {
            // A server is trusted with small pieces: the window bounds what of them waits.
            if self.role == Role::Server && len < budget::SMALL_DATA && !ends {
                self.budget.lend(self.now)?;
            }
            self.reader.deliver(Data { stream, left: len, padding, ends });
            return Ok(None);
        }
        if ends {
            self.settle(slot);
            return Ok(Some(Event::Data { stream, data: 0..0, ends }));
        }
        self.budget.spend(budget::FRAME, self.now, "DATA frames without data")?;
        Ok(None)
    }

    /// Counts a frame of `size` bytes, of which `len` are data, against its stream; or says what is wrong with it.
    #[inline]
    fn admit_data(
        &mut self,
        slot: u32,
        size: usize,
        len: usize,
        ends: bool,
    ) -> Result<(), (Code, &'static str)> {
        let stream = &mut self.streams[slot];
        let fault = match stream.remote {
            Half::Head => Some((Code::PROTOCOL_ERROR, "DATA before a head")),
            Half::Closed => Some((Code::STREAM_CLOSED, "DATA behind the end of its stream")),
            Half::Body if !stream.receive.receive(size) => {
                Some((Code::FLOW_CONTROL_ERROR, "DATA beyond the stream's window"))
            }
            Half::Body => None,
        };
        if let Some(fault) = fault {
            self.release(size);
            return Err(fault);
        }
        if !stream.count_body(len, ends) {
            return Err((Code::PROTOCOL_ERROR, "DATA unlike content-length"));
        }
        if self.config.pace.is_some() {
            stream.pace[0].moved(len);
            if ends || stream.receive.is_shut() {
                stream.pace[0].go();
            }
        }
        if ends {
            stream.remote = Half::Closed;
        }
        Ok(())
    }

    /// More of a DATA frame whose header was dealt with: `count` bytes of input.
    #[inline]
    pub(super) fn data(&mut self, data: Data, count: usize) -> (usize, Outcome) {
        let Some(slot) = self.streams.slot(data.stream) else {
            // Reset meanwhile. What it held of the window has been given back.
            self.reader.skip(data.left + data.padding);
            return (0, Ok(None));
        };
        let count = count.min(data.left);
        let left = data.left - count;
        let ends = data.ends && left == 0;
        if left > 0 {
            self.reader.deliver(Data { left, ..data });
        } else {
            self.reader.skip(data.padding);
            if ends {
                self.settle(slot);
            }
        }
        (count, Ok(Some(Event::Data { stream: data.stream, data: 0..count, ends })))
    }

    fn on_stray_data(&mut self, number: u32) -> Outcome {
        if number > self.streams.last || number.is_multiple_of(2) {
            return Err(broken(Code::PROTOCOL_ERROR, "DATA on a stream that was not opened").into());
        }
        if self.streams.may_be_reset(number) {
            self.budget.spend(budget::FRAME, self.now, "DATA on closed streams")?;
            return Ok(None);
        }
        Err(broken_stream(number, Code::STREAM_CLOSED, "DATA on a closed stream"))
    }

    /// `bytes` of a stream's data have been dealt with, and need no memory any more: the peer may send as many again. Data
    /// of a stream that was reset has been given back already.
    #[inline]
    pub fn consume(&mut self, stream: StreamId, bytes: usize) {
        if let Some(slot) = self.streams.slot(stream)
            && !self.is_closed
        {
            self.consume_in(slot, bytes);
            if self.role == Role::Client && self.streams[slot].is_over() {
                self.settle(slot);
            }
        }
    }

    #[inline]
    fn consume_in(&mut self, slot: u32, bytes: usize) {
        let size = self.config.settings.initial_window_size;
        let stream = &mut self.streams[slot];
        let bytes = bytes.min(stream.receive.held());
        let increment = stream.receive.consume(bytes, size);
        if let Some(increment) = increment.filter(|_| stream.remote == Half::Body) {
            frame::window_update(&mut self.output, stream.number, increment);
            if self.config.pace.is_some() && stream.body_left != crate::streams::UNKNOWN {
                stream.pace[0].wait(self.now);
            }
        }
        self.budget.consumed(bytes);
        self.release(bytes);
    }
}
