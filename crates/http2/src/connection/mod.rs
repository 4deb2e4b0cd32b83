//! One HTTP/2 connection as a state machine: bytes in, events out; commands in, bytes out.

mod control;
mod data;
mod ending;
mod heads;
mod leave;
mod reader;
mod receive;
mod request;
mod send;

use std::sync::Arc;

use evenkeel_types::Time;

use self::ending::{Leaving, Timers};
use self::reader::Reader;
use crate::budget::Budget;
use crate::config::Config;
use crate::error::{Code, ConnectionError, StreamError};
use crate::flow::Flow;
use crate::frame::{self, PREFACE};
use crate::hpack::{Decoder, Encoder};
use crate::settings::{self, Settings};
use crate::streams::{StreamId, Streams};

/// The least room in the output, in bytes: less would cut DATA into small frames.
const OUTPUT_MIN: usize = 2048;

/// Which side of a connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It sends requests.
    Client,
    /// It answers requests.
    Server,
}

/// A connection. It does no IO and reads no clock.
///
/// * What the peer sent goes to [`receive`](Self::receive), again and again until it reports no event.
/// * What is to be sent lies in [`output`](Self::output) after any call; [`sent`](Self::sent) takes it out.
/// * At [`next_timeout`](Self::next_timeout) it wants [`handle_timeout`](Self::handle_timeout).
/// * While [`wants_input`](Self::wants_input) is false, nothing should be read from the peer.
/// * Data that [`send_data`](Self::send_data) has not taken is offered again when
///   [`next_writable`](Self::next_writable) names its stream.
#[derive(Debug)]
pub struct Connection {
    role: Role,
    config: Arc<Config>,
    /// The time of the last call that had one.
    now: Time,
    reader: Reader,
    decoder: Decoder,
    encoder: Encoder,
    streams: Streams,
    flow: Flow,
    budget: Budget,
    remote: Settings,
    /// True once the peer has acknowledged our settings.
    is_agreed: bool,
    output: Vec<u8>,
    /// Bytes at the start of `output` that were sent.
    sent: usize,
    /// True while the rest of an output is left of which the peer has taken a part.
    is_backlogged: bool,
    /// The stream that may send now, and how many bytes.
    turn: Option<(u32, usize)>,
    leaving: Leaving,
    timers: Timers,
    /// Streams that ended without a frame of the peer, to be reported: from this slot on, those that it names.
    sweep: Option<Sweep>,
    /// Why the connection ends, once that is so.
    error: Option<ConnectionError>,
    is_closed: bool,
}

/// Streams that end together.
#[derive(Debug, Clone, Copy)]
enum Sweep {
    /// Those of a higher number than the last one that the peer has looked at.
    Left { last: u32, code: Code, from: u32 },
    /// Those that are too slow.
    Slow { from: u32 },
}

impl Connection {
    /// The side of a server, which greets its client at once. The client's preface is still to come.
    pub fn server(config: impl Into<Arc<Config>>, now: Time) -> Self {
        Self::new(Role::Server, config.into(), now)
    }

    /// The side of a client, which sends its preface at once.
    pub fn client(config: impl Into<Arc<Config>>, now: Time) -> Self {
        Self::new(Role::Client, config.into(), now)
    }

    fn new(role: Role, config: Arc<Config>, now: Time) -> Self {
        let (flow, opened) = Flow::new(config.connection_window);
        let mut output = Vec::new();
        if role == Role::Client {
            output.extend_from_slice(PREFACE);
        }
        frame::settings(&mut output, &settings::to_values(&config.settings, role == Role::Client));
        if opened > 0 {
            frame::window_update(&mut output, 0, opened);
        }
        Self {
            role,
            now,
            reader: Reader::new(role == Role::Server),
            decoder: Decoder::new(config.settings.header_table_size),
            encoder: Encoder::new(config.encoder_table_max),
            streams: Streams::default(),
            flow,
            budget: Budget::new(config.budget, now),
            remote: Settings::default(),
            is_agreed: false,
            output,
            sent: 0,
            is_backlogged: false,
            turn: None,
            leaving: Leaving::default(),
            timers: Timers::new(&config, now),
            config,
            sweep: None,
            error: None,
            is_closed: false,
        }
    }

    /// Which side this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// What the peer has announced; the defaults of RFC 9113 until then.
    pub fn peer_settings(&self) -> &Settings {
        &self.remote
    }

    /// True once the peer's SETTINGS have come.
    pub fn is_greeted(&self) -> bool {
        self.reader.is_greeted
    }

    /// Streams that are open.
    pub fn active_streams(&self) -> usize {
        self.streams.active() as usize
    }

    /// True if a stream is still open in at least one direction.
    pub fn is_open(&self, stream: StreamId) -> bool {
        self.streams.slot(stream).is_some_and(|slot| !self.streams[slot].is_over())
    }

    /// Why the connection ends by an error, once that is so.
    pub fn error(&self) -> Option<ConnectionError> {
        self.error
    }

    /// True if nothing more will come of this connection: when the output has been sent, it is to be closed.
    pub fn is_finished(&self) -> bool {
        self.is_closed || self.streams.active() == 0 && self.leaving.is_final()
    }

    /// What is to be sent to the peer.
    pub fn output(&self) -> &[u8] {
        &self.output[self.sent..]
    }

    /// The first `bytes` of the output have been sent.
    pub fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
        debug_assert!(self.sent <= self.output.len(), "more was sent than there was");
        self.is_backlogged = self.sent < self.output.len();
        if self.sent >= self.output.len() {
            self.output.clear();
            self.sent = 0;
        } else if self.sent > self.output.len() / 2 {
            self.output.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Lends the connection a buffer for its output, unless it has one, which saves an allocation. What the buffer holds is
    /// thrown away.
    pub fn lend_output(&mut self, buffer: impl FnOnce() -> Vec<u8>) {
        if self.output.capacity() == 0 {
            self.output = buffer();
            self.output.clear();
        }
    }

    /// Takes the memory of the output away, to be lent again. Nothing must be left in it.
    pub fn take_buffer(&mut self) -> Option<Vec<u8>> {
        (self.output.is_empty() && self.output.capacity() > 0).then(|| std::mem::take(&mut self.output))
    }

    /// Moves what waits in the output to memory of its own size, and yields the buffer that was lent: for a peer that takes no more
    /// for now.
    pub fn withdraw_buffer(&mut self) -> Vec<u8> {
        let rest = self.output().to_vec();
        self.sent = 0;
        std::mem::replace(&mut self.output, rest)
    }

    /// False while so much waits in the output that the peer should be read no further until it has taken some of it.
    pub fn wants_input(&self) -> bool {
        !self.is_closed && self.output().len() <= self.output_max()
    }

    fn output_max(&self) -> usize {
        self.config.output_max.max(OUTPUT_MIN)
    }

    /// Lets go of memory that is only of use while there is traffic. Responses are larger by a few bytes afterwards, until
    /// the encoder has learned again what repeats.
    pub fn shrink(&mut self) {
        self.streams.shrink();
        self.reader.shrink();
        if self.output.is_empty() {
            self.output = Vec::new();
        }
        if self.streams.active() == 0 {
            self.encoder.forget();
        }
    }

    /// Bytes of memory that the connection takes, on the heap and itself.
    pub fn memory(&self) -> usize {
        size_of::<Self>()
            + self.output.capacity()
            + self.reader.memory()
            + self.decoder.memory()
            + self.encoder.memory()
            + self.streams.memory()
    }

    /// Opens the connection's window by what was consumed.
    fn release(&mut self, bytes: usize) {
        if let Some(increment) = self.flow.consume(bytes) {
            frame::window_update(&mut self.output, 0, increment);
        }
    }

    /// Forgets a stream. What it holds of the connection's window is given back.
    fn forget(&mut self, slot: u32) {
        let held = self.streams[slot].receive.held();
        self.budget.consumed(held);
        self.release(held);
        if self.turn.is_some_and(|(turn, _)| turn == slot) {
            self.turn = None;
        }
        self.streams.remove(slot);
    }

    /// Forgets a stream if both of its directions have ended. A client's may still hold data that its caller has not
    /// consumed: it stays until then, since the window is what bounds that.
    fn settle(&mut self, slot: u32) {
        let stream = &self.streams[slot];
        if !stream.is_over() {
            return;
        }
        if self.role == Role::Client && stream.receive.held() > 0 {
            self.streams.retire(slot);
        } else {
            self.forget(slot);
        }
    }

    /// Resets a stream, open or not, and charges the peer for it if it is the cause.
    fn write_reset(&mut self, number: u32, code: Code) -> Result<(), ConnectionError> {
        frame::rst_stream(&mut self.output, number, code);
        self.streams.remember_reset(number);
        let is_ours =
            matches!(code, Code::NO_ERROR | Code::INTERNAL_ERROR | Code::CANCEL | Code::CONNECT_ERROR);
        if is_ours {
            return Ok(());
        }
        self.budget.spend(crate::budget::RESET, self.now, "streams that it made us reset")
    }

    /// Ends a stream by an error of the peer.
    fn fail_stream(&mut self, number: u32, error: StreamError) -> Result<Option<StreamId>, ConnectionError> {
        let ended = self.streams.find(number).map(|slot| {
            let id = self.streams.id(slot);
            let was_open = !self.streams[slot].is_over();
            self.forget(slot);
            was_open.then_some(id)
        });
        self.write_reset(number, error.code())?;
        Ok(ended.flatten())
    }

    /// Ends the connection by an error of the peer.
    fn abort(&mut self, error: ConnectionError) -> ConnectionError {
        if !self.is_closed {
            self.error = Some(error);
            self.close(error.code(), error.reason());
        }
        error
    }
}
