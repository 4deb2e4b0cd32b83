//! What a client's frames must look like beyond what `h2` asks, and what the useless ones cost.

use std::ops::ControlFlow;

use h2::Reason;
use tokio::time::Instant;

use super::budget::Budget;
use super::follow::{Frame, Watcher};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const WITH_PRIORITY: u8 = 0x20;

/// A reset is dearer than the rest: behind it may be a request that was routed, sent and cancelled. It costs the same
/// whether the client sends it or makes us send it (CVE-2025-8671).
const RESET_COST: u32 = 4;
/// Tokens for each HEADERS or DATA frame we sent. Clients may answer DATA with two WINDOW_UPDATE and a PING.
const EARNED_PER_ANSWER: u32 = 4;

/// Watches what a client sends.
#[derive(Debug)]
pub struct Inbound {
    greeted: bool,
    budget: Budget,
    /// The last frame was part of a head, and whether it was the last one.
    head: Option<bool>,
}

impl Inbound {
    /// Before the first frame.
    pub fn new(now: Instant) -> Self {
        Self { greeted: false, budget: Budget::new(now), head: None }
    }

    /// True while a head has begun and not ended; `is_in_frame` if that is so of the last frame.
    pub fn is_in_head(&self, is_in_frame: bool) -> bool {
        self.head.is_some_and(|is_last| is_in_frame || !is_last)
    }

    /// Gives the client its due for `frames` that it was sent as an answer.
    pub fn answered(&mut self, frames: u32) {
        self.budget.earn(frames.saturating_mul(EARNED_PER_ANSWER));
    }

    /// Charges the client for `resets` that it made us send.
    pub fn provoked(&mut self, resets: u32) -> ControlFlow<Reason> {
        if resets > 0 && !self.budget.spend(resets.saturating_mul(RESET_COST), Instant::now) {
            return ControlFlow::Break(Reason::ENHANCE_YOUR_CALM);
        }
        ControlFlow::Continue(())
    }

    /// RFC 9113, section 3.4: the preface ends with SETTINGS.
    fn greeting(&mut self, frame: Frame) -> ControlFlow<Reason> {
        if !self.greeted && (frame.kind != SETTINGS || frame.has(ACK)) {
            return ControlFlow::Break(Reason::PROTOCOL_ERROR);
        }
        self.greeted = true;
        ControlFlow::Continue(())
    }
}

impl Watcher for Inbound {
    type Stop = Reason;

    fn header(&mut self, frame: Frame) -> ControlFlow<Reason, usize> {
        self.greeting(frame)?;
        self.head = matches!(frame.kind, HEADERS | CONTINUATION).then(|| frame.has(END_HEADERS));
        if !has_right_length(frame) {
            return ControlFlow::Break(Reason::FRAME_SIZE_ERROR);
        }
        if !self.budget.spend(cost(frame.kind), Instant::now) {
            return ControlFlow::Break(Reason::ENHANCE_YOUR_CALM);
        }
        let depends = frame.kind == HEADERS && frame.has(WITH_PRIORITY);
        ControlFlow::Continue(if depends { 4 + usize::from(frame.has(PADDED)) } else { 0 })
    }

    /// A stream that depends on itself is an error of the stream (RFC 7540, section 5.3.1). `h2` resets it without
    /// decoding its field block, and from there on decodes those of other requests with a wrong table. So it ends the
    /// connection.
    fn prefix(&mut self, frame: Frame, bytes: &[u8]) -> ControlFlow<Reason> {
        let dependency = bytes.last_chunk().map(|b| u32::from_be_bytes(*b) & (u32::MAX >> 1));
        if dependency == Some(frame.stream) {
            return ControlFlow::Break(Reason::PROTOCOL_ERROR);
        }
        ControlFlow::Continue(())
    }
}

/// RFC 9113, sections 6.3 to 6.9, where `h2` would say PROTOCOL_ERROR.
fn has_right_length(frame: Frame) -> bool {
    match frame.kind {
        PRIORITY => frame.length == 5,
        RST_STREAM | WINDOW_UPDATE => frame.length == 4,
        SETTINGS if frame.has(ACK) => frame.length == 0,
        SETTINGS => frame.length.is_multiple_of(6),
        PING => frame.length == 8,
        _ => true,
    }
}

/// DATA, HEADERS and CONTINUATION cost nothing here: `h2` limits them by itself.
fn cost(kind: u8) -> u32 {
    match kind {
        DATA | HEADERS | PUSH_PROMISE | CONTINUATION => 0,
        RST_STREAM => RESET_COST,
        _ => 1,
    }
}

/// Counts, among the frames that we send, those that answer requests and those that the client made us send.
#[derive(Debug, Default)]
pub struct Outbound {
    answers: u32,
    resets: u32,
}

impl Outbound {
    /// HEADERS and DATA since the last call.
    pub fn take_answers(&mut self) -> u32 {
        std::mem::take(&mut self.answers)
    }

    /// RST_STREAM since the last call whose cause is an error of the client.
    pub fn take_provoked(&mut self) -> u32 {
        std::mem::take(&mut self.resets)
    }
}

impl Watcher for Outbound {
    type Stop = std::convert::Infallible;

    fn header(&mut self, frame: Frame) -> ControlFlow<Self::Stop, usize> {
        self.answers += u32::from(matches!(frame.kind, DATA | HEADERS));
        ControlFlow::Continue(if frame.kind == RST_STREAM { 4 } else { 0 })
    }

    fn prefix(&mut self, _: Frame, bytes: &[u8]) -> ControlFlow<Self::Stop> {
        let code = bytes.last_chunk().map(|b| Reason::from(u32::from_be_bytes(*b)));
        self.resets += u32::from(code.is_none_or(|code| !is_ours(code)));
        ControlFlow::Continue(())
    }
}

/// True for codes of resets whose cause lies with us or a server: the rest of a request is not needed (NO_ERROR), a
/// response broke off (INTERNAL_ERROR), a stream was given up (CANCEL). All others answer an error of the client.
fn is_ours(code: Reason) -> bool {
    matches!(code, Reason::NO_ERROR | Reason::INTERNAL_ERROR | Reason::CANCEL)
}
