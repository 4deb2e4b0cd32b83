//! What is sent on streams: heads, data as the windows allow, trailers, resets.

use super::{Connection, Role};
use crate::budget::EARNED;
use crate::error::{Code, CommandError};
use crate::frame::{self, Frame, HEADER, flag, kind};
use crate::priority::Priority;
use crate::schedule;
use crate::streams::{Half, StreamId};

/// Bytes that a stream may send before others that wait have their turn.
const TURN: usize = 16 * 1024;
/// Room in the output below which no DATA is begun that would not fit it, so that frames are not cut small.
const ROOM_MIN: usize = 1024;

/// Whether the window of a stream, or what all streams share, keeps data from being taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    Stream,
    Turn,
}

impl Connection {
    /// Sends an interim response (RFC 9110, 15.2): a status from 100 to 199 but 101.
    ///
    /// # Errors
    /// `Gone`, or `OutOfOrder` behind the final head.
    pub fn interim<'f>(
        &mut self,
        stream: StreamId,
        status: u16,
        fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>,
    ) -> Result<(), CommandError> {
        let slot = self.slot_in(stream, Half::Head)?;
        self.write_response(slot, status, fields, false);
        Ok(())
    }

    /// Sends the head of a response; `ends` if nothing follows. Names may be in any case. Fields that belong to a
    /// connection of HTTP/1.1 must not be among them (RFC 9113, 8.2.2).
    ///
    /// # Errors
    /// `Gone`, or `OutOfOrder` if a head was sent already.
    pub fn respond<'f>(
        &mut self,
        stream: StreamId,
        status: u16,
        fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>,
        ends: bool,
    ) -> Result<(), CommandError> {
        let slot = self.slot_in(stream, Half::Head)?;
        self.write_response(slot, status, fields, ends);
        self.streams[slot].local = if ends { Half::Closed } else { Half::Body };
        self.settle(slot);
        Ok(())
    }

    /// The same with fields that are lines, `name: value` CRLF each, up to an empty line or the end of `section`: all but
    /// those whose names `is_left_out` holds for, which must be the same ones throughout a connection. What a `priority`
    /// among them says of the urgency of the response counts (RFC 9218, 8).
    ///
    /// # Errors
    /// `Gone`, or `OutOfOrder` if a head was sent already.
    #[inline]
    pub fn respond_lines(
        &mut self,
        stream: StreamId,
        status: u16,
        section: &[u8],
        is_left_out: impl Fn(&[u8]) -> bool,
        ends: bool,
    ) -> Result<(), CommandError> {
        let slot = self.slot_in(stream, Half::Head)?;
        let start = self.begin_block();
        self.encoder.status(status, &mut self.output);
        let said = self.encoder.lines(section, is_left_out, &mut self.output);
        self.end_block(start, stream.number(), ends);
        if let Some(said) = said {
            // A client that has said nothing takes responses in turns.
            let silent = Priority { incremental: true, ..Priority::default() };
            let priority = self.streams[slot].priority.unwrap_or(silent).updated(said);
            self.prioritise(slot, priority);
        }
        self.streams[slot].local = if ends { Half::Closed } else { Half::Body };
        self.settle(slot);
        Ok(())
    }

    /// Sends trailers, which end the stream. All data must have been taken before.
    ///
    /// # Errors
    /// `Gone`, or `OutOfOrder` before the head.
    pub fn trailers<'f>(
        &mut self,
        stream: StreamId,
        fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>,
    ) -> Result<(), CommandError> {
        let slot = self.slot_in(stream, Half::Body)?;
        let start = self.begin_block();
        self.encoder.fields(fields, &mut self.output);
        self.end_block(start, stream.number(), true);
        self.end_local(slot);
        Ok(())
    }

    /// Sends as much of `data` as windows, output and the turns of other streams allow, and yields how much that is; with
    /// all of it, `ends` ends the stream. The caller keeps the rest, and offers it again when
    /// [`next_writable`](Self::next_writable) names the stream.
    ///
    /// # Errors
    /// `Gone`, or `OutOfOrder` before the head or behind the end.
    pub fn send_data(&mut self, stream: StreamId, data: &[u8], ends: bool) -> Result<usize, CommandError> {
        let slot = self.slot_in(stream, Half::Body)?;
        if data.is_empty() {
            if ends {
                frame::header(&mut self.output, 0, kind::DATA, flag::END_STREAM, stream.number());
                self.budget.earn(EARNED);
                self.end_local(slot);
            }
            return Ok(0);
        }
        let allowed = match self.allowed(slot, data.len()) {
            Ok(allowed) => allowed,
            Err(wait) => {
                self.wait(slot, wait);
                return Ok(0);
            }
        };
        let is_all = allowed == data.len();
        self.write_data(stream.number(), &data[..allowed], ends && is_all);
        self.flow.send.take(allowed);
        self.streams[slot].send.take(allowed);
        self.after_data(slot, allowed, is_all, ends);
        Ok(allowed)
    }

    /// How many bytes of data a caller that has none at hand should fetch for a stream now, at most a turn's: so many would be taken
    /// at once. 0 if other streams or the windows keep it from that; then [`next_writable`](Self::next_writable) names the stream when
    /// it is worth to ask again, as if data had been offered.
    ///
    /// # Errors
    /// `Gone`, or `OutOfOrder` before the head or behind the end.
    pub fn may_send(&mut self, stream: StreamId) -> Result<usize, CommandError> {
        let slot = self.slot_in(stream, Half::Body)?;
        // One that has just got its turn uses it, however little there is room for: it would be named again and again.
        let is_fresh = self.turn == Some((slot, TURN));
        let wait = match self.allowed(slot, TURN) {
            // What is left of a turn or of the output is but a part of a piece.
            Ok(allowed) if !is_fresh && allowed < TURN.min(self.window(stream)) => Wait::Turn,
            Ok(allowed) => {
                self.waits_no_more(slot);
                return Ok(allowed);
            }
            Err(wait) => wait,
        };
        self.wait(slot, wait);
        Ok(0)
    }

    /// The stream that may send now, among those whose data was not taken: the next by urgency and turn (RFC 9218). It has
    /// its turn until the next call. A client's streams may also send later, each as much as fits a turn while others wait: all that
    /// are named must be offered theirs. `None` if no stream can send.
    pub fn next_writable(&mut self) -> Option<StreamId> {
        self.turn = None;
        if self.is_closed
            || self.streams.queue.is_empty()
            || self.flow.send.room() == 0
            || self.room() < ROOM_MIN
        {
            return None;
        }
        let slot = self.streams.next_turn()?;
        self.turn = Some((slot, TURN));
        Some(self.streams.id(slot))
    }

    /// Ends a stream before its end. Streams whose cause of that lies with the peer count against its budget: all codes but
    /// NO_ERROR, INTERNAL_ERROR, CANCEL and CONNECT_ERROR. A stream that is gone stays so.
    pub fn reset(&mut self, stream: StreamId, code: Code) {
        let Some(slot) = self.streams.slot(stream).filter(|_| !self.is_closed) else { return };
        let was_open = !self.streams[slot].is_over();
        self.forget(slot);
        if was_open && let Err(error) = self.write_reset(stream.number(), code) {
            // The next call of `receive` says so, and writes GOAWAY.
            self.error = Some(error);
        }
    }

    /// How urgent a response is, where a server knows better than its client (RFC 9218, 8).
    pub fn set_priority(&mut self, stream: StreamId, priority: Priority) {
        if let Some(slot) = self.streams.slot(stream) {
            self.prioritise(slot, priority);
        }
    }

    /// How urgent a stream is, if its client has said so.
    pub fn priority(&self, stream: StreamId) -> Option<Priority> {
        self.streams.slot(stream).and_then(|slot| self.streams[slot].priority)
    }

    /// How many bytes of data the windows of a stream and of the connection would let pass now.
    pub fn window(&self, stream: StreamId) -> usize {
        let slot = self.streams.slot(stream);
        slot.map_or(0, |slot| self.streams[slot].send.room().min(self.flow.send.room()))
    }

    /// The slot of a stream that is ready to send what belongs to this state.
    #[inline]
    fn slot_in(&self, stream: StreamId, state: Half) -> Result<u32, CommandError> {
        let slot = self.streams.slot(stream).filter(|_| !self.is_closed).ok_or(CommandError::Gone)?;
        match self.streams[slot].local {
            local if local == state => Ok(slot),
            Half::Closed if self.streams[slot].is_over() => Err(CommandError::Gone),
            _ => Err(CommandError::OutOfOrder),
        }
    }

    #[inline]
    fn write_response<'f>(
        &mut self,
        slot: u32,
        status: u16,
        fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>,
        ends: bool,
    ) {
        let start = self.begin_block();
        self.encoder.status(status, &mut self.output);
        self.encoder.fields(fields, &mut self.output);
        let number = self.streams[slot].number;
        self.end_block(start, number, ends);
    }

    /// Begins a field block behind room for a frame's header; yields where.
    #[inline]
    pub(super) fn begin_block(&mut self) -> usize {
        let start = self.output.len();
        self.output.extend_from_slice(&[0; HEADER]);
        self.encoder.begin(&mut self.output);
        start
    }

    /// Ends a block that begins at `start`: writes the header of its frame.
    #[inline]
    pub(super) fn end_block(&mut self, start: usize, stream: u32, ends: bool) {
        let len = self.output.len() - start - HEADER;
        let ends = if ends { flag::END_STREAM } else { flag::NONE };
        let frame = Frame { len, kind: kind::HEADERS, flags: flag::END_HEADERS | ends, stream };
        self.output[start..start + HEADER].copy_from_slice(&frame.bytes());
        if len > self.remote.max_frame_size as usize {
            self.split_block(start, frame);
        }
        self.budget.earn(EARNED);
    }

    /// Makes several frames of a block that is larger than the peer takes in one.
    #[cold]
    fn split_block(&mut self, start: usize, frame: Frame) {
        let block = self.output.split_off(start + HEADER);
        self.output.truncate(start);
        let mut pieces = block.chunks(self.remote.max_frame_size as usize).peekable();
        let mut first = Some(frame.flags & flag::END_STREAM);
        while let Some(piece) = pieces.next() {
            let last = if pieces.peek().is_none() { flag::END_HEADERS } else { flag::NONE };
            let (kind, flags) =
                first.take().map_or((kind::CONTINUATION, last), |ends| (kind::HEADERS, ends | last));
            frame::header(&mut self.output, piece.len(), kind, flags, frame.stream);
            self.output.extend_from_slice(piece);
        }
    }

    /// Room for DATA in the output, headers of frames included.
    fn room(&self) -> usize {
        // Much is sent at a time, which costs both sides less; to a peer that takes less than that, nothing is added.
        if self.is_backlogged { 0 } else { self.output_max().saturating_sub(self.output.len()) }
    }

    /// How much of `len` bytes a stream may send now, at least one; or what keeps it from sending.
    #[inline]
    fn allowed(&self, slot: u32, len: usize) -> Result<usize, Wait> {
        let stream = &self.streams[slot];
        let allowed = len.min(stream.send.room());
        if allowed == 0 {
            return Err(Wait::Stream);
        }
        let room = self.room();
        if room < ROOM_MIN.min(len + HEADER) {
            return Err(Wait::Turn);
        }
        let allowed = allowed.min(self.flow.send.room()).min(room.saturating_sub(HEADER).max(1));
        let turn = match self.turn {
            Some((turn, left)) if turn == slot => left,
            // A client's streams have their turns when their own tasks run: each may send as much as the others.
            _ if self.role == Role::Client && self.streams.others_want(slot) => TURN,
            _ if self.role == Role::Client => usize::MAX,
            _ if self.streams.queue.is_ahead_of(schedule::level(stream)) => 0,
            _ => usize::MAX,
        };
        match allowed.min(turn) {
            0 => Err(Wait::Turn),
            allowed => Ok(allowed),
        }
    }

    #[inline]
    fn write_data(&mut self, stream: u32, data: &[u8], ends: bool) {
        let ends = if ends { flag::END_STREAM } else { flag::NONE };
        let max = self.remote.max_frame_size as usize;
        let mut rest = data;
        while rest.len() > max {
            let (piece, after) = rest.split_at(max);
            self.write_frame(stream, piece, flag::NONE);
            rest = after;
        }
        self.write_frame(stream, rest, ends);
    }

    #[inline]
    fn write_frame(&mut self, stream: u32, data: &[u8], flags: u8) {
        self.output.reserve(HEADER + data.len());
        frame::header(&mut self.output, data.len(), kind::DATA, flags, stream);
        self.output.extend_from_slice(data);
        self.budget.earn(EARNED);
    }

    /// Notes that a stream has data which waits.
    fn wait(&mut self, slot: u32, wait: Wait) {
        if self.config.pace.is_some() {
            self.streams[slot].pace[1].wait(self.now);
        }
        self.streams.set_wants(slot, true);
        match wait {
            // It is put into the queue when its window opens.
            Wait::Stream => self.streams.dequeue(slot),
            Wait::Turn => {
                let has_turn = self.turn.is_some_and(|(turn, _)| turn == slot);
                let keeps = has_turn && self.streams.keeps_turn(slot);
                self.streams.enqueue(slot, keeps);
            }
        }
    }

    /// What follows from `sent` bytes of a stream having been written.
    #[inline]
    fn after_data(&mut self, slot: u32, sent: usize, is_all: bool, ends: bool) {
        if let Some((turn, left)) = &mut self.turn
            && *turn == slot
        {
            *left -= sent;
        }
        if self.config.pace.is_some() {
            self.streams[slot].pace[1].moved(sent);
        }
        if !is_all {
            let wait = if self.streams[slot].send.room() == 0 { Wait::Stream } else { Wait::Turn };
            return self.wait(slot, wait);
        }
        self.waits_no_more(slot);
        if ends {
            self.end_local(slot);
        }
    }

    /// A stream has no data that waits.
    #[inline]
    fn waits_no_more(&mut self, slot: u32) {
        if self.streams[slot].wants {
            self.streams.set_wants(slot, false);
            self.streams.dequeue(slot);
        }
        self.streams[slot].pace[1].go();
    }

    fn end_local(&mut self, slot: u32) {
        self.streams.dequeue(slot);
        self.streams.set_wants(slot, false);
        self.streams[slot].local = Half::Closed;
        self.settle(slot);
    }
}
