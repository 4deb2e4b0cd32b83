//! One stream of a connection of HTTP/2: what has come for it and was not taken yet, and what is sent over it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::{fmt, io};

use evenkeel_http2::{Code, CommandError, ConnectionError, Head, StreamError, StreamId};

use super::session::Session;
use crate::http::field::Field;
use crate::http::head::{HeadError, ResponseHead};
use crate::http::lines;
use crate::worker::buffers::{MEDIUM, ReadSize};

/// Heads of a server that wait to be read, and their bytes: one that sends more interim responses than are read has its stream reset.
const HEADS_MAX: usize = 128;
const HEADS_BYTES_MAX: usize = 256 * 1024;

/// One stream of a [`Session`].
#[derive(Debug)]
pub struct Exchange {
    /// Its connection.
    pub session: Rc<Session>,
    /// Its stream; `None` if it was refused before it became one.
    id: Option<StreamId>,
    /// The key of the lane that serves it, where the connection's task polls that.
    pub key: Cell<usize>,
    inbox: RefCell<Inbox>,
    reader: RefCell<Option<Waker>>,
    watcher: RefCell<Option<Waker>>,
}

/// What has come and was not taken yet.
#[derive(Debug, Default)]
struct Inbox {
    answers: VecDeque<Answer>,
    data: Vec<u8>,
    has_ended: bool,
    trailers: Vec<u8>,
    failure: Option<Failure>,
}

/// A head that a server has sent, as lines.
#[derive(Debug)]
pub struct Answer {
    /// The head, unless it breaks the rules or its limits.
    pub head: Result<ResponseHead, HeadError>,
    /// The bytes that it is positions in.
    pub lines: Vec<u8>,
    /// Its fields.
    pub fields: Vec<Field>,
}

/// Why a stream ended before its end.
#[derive(Debug, Clone, Copy)]
pub enum Failure {
    /// For a reason of its own.
    Stream(StreamError),
    /// Its trailers exceed the limits.
    Oversized,
    /// More interim responses than are read.
    TooManyInterim,
    /// The peer has broken the protocol of its connection.
    Connection(ConnectionError),
    /// The peer has ended its connection, and has said why.
    Left(Code),
    /// Its connection has failed.
    Lost(io::ErrorKind),
    /// Its connection has ended.
    Closed,
}

impl Exchange {
    /// That of a stream whose peer has sent a request, or is sent one; `has_ended` if nothing more comes of the peer.
    pub fn new(session: Rc<Session>, id: Option<StreamId>, has_ended: bool) -> Self {
        let inbox = RefCell::new(Inbox { has_ended, ..Inbox::default() });
        let (key, reader, watcher) = <_>::default();
        Self { session, id, key, inbox, reader, watcher }
    }

    /// Becomes that of another stream, once nothing is left to be done for this one.
    pub fn begin(&mut self, id: StreamId, has_ended: bool) {
        self.id = Some(id);
        *self.inbox.get_mut() = Inbox { has_ended, ..Inbox::default() };
        (*self.reader.get_mut(), *self.watcher.get_mut()) = (None, None);
    }

    /// The head of a response has come, and nothing follows it if it `ends` the stream.
    pub fn answer(&self, answer: Answer, ends: bool) {
        let mut inbox = self.inbox.borrow_mut();
        let waiting: usize = inbox.answers.iter().map(|answer| answer.lines.len()).sum();
        if inbox.answers.len() >= HEADS_MAX || waiting > HEADS_BYTES_MAX {
            drop(inbox);
            self.reset(Code::CANCEL);
            return self.fail(Failure::TooManyInterim);
        }
        inbox.answers.push_back(answer);
        inbox.has_ended |= ends;
        drop(inbox);
        wake(&self.reader);
    }

    /// Data of its body has come.
    pub fn data(&self, data: &[u8], ends: bool) {
        let mut inbox = self.inbox.borrow_mut();
        inbox.data.extend_from_slice(data);
        inbox.has_ended |= ends;
        drop(inbox);
        wake(&self.reader);
    }

    /// The trailers of its body have come, and with them its end.
    pub fn trailers(&self, head: &Head) {
        if head.is_oversized() {
            self.reset(Code::CANCEL);
            return self.fail(Failure::Oversized);
        }
        let mut inbox = self.inbox.borrow_mut();
        inbox.trailers = [head.section(), b"\r\n"].concat();
        inbox.has_ended = true;
        drop(inbox);
        wake(&self.reader);
    }

    /// It has ended before its end.
    pub fn fail(&self, failure: Failure) {
        self.inbox.borrow_mut().failure.get_or_insert(failure);
        wake(&self.reader);
        wake(&self.watcher);
    }

    /// Its data may be sent, if there is some that has to wait.
    pub fn has_turn(&self) {
        wake(&self.watcher);
    }

    /// Ready when a head waits to be taken.
    ///
    /// # Errors
    /// The stream or its connection has ended before that.
    pub fn poll_answer(&self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let inbox = self.inbox.borrow();
        match inbox.failure {
            _ if !inbox.answers.is_empty() => Poll::Ready(Ok(())),
            Some(failure) => Poll::Ready(Err(failure)),
            None => {
                register(&self.reader, cx);
                Poll::Pending
            }
        }
    }

    /// Takes the next head.
    pub fn take_answer(&self) -> Option<Answer> {
        self.inbox.borrow_mut().answers.pop_front()
    }

    /// The status of the next head.
    pub fn status(&self) -> Option<u16> {
        self.inbox
            .borrow()
            .answers
            .front()
            .and_then(|answer| answer.head.as_ref().ok())
            .map(|head| head.status)
    }

    /// Takes what has come of its body into `piece`, which must be empty. True if that is something, false at the end.
    ///
    /// # Errors
    /// The stream or its connection has ended before that.
    pub fn poll_data(&self, cx: &mut Context<'_>, piece: &mut Vec<u8>) -> Poll<Result<bool, Failure>> {
        let mut inbox = self.inbox.borrow_mut();
        if !inbox.data.is_empty() {
            std::mem::swap(&mut inbox.data, piece);
            return Poll::Ready(Ok(true));
        }
        match inbox.failure {
            _ if inbox.has_ended => Poll::Ready(Ok(false)),
            Some(failure) => Poll::Ready(Err(failure)),
            None => {
                register(&self.reader, cx);
                Poll::Pending
            }
        }
    }

    /// True if nothing is left of its body but trailers.
    pub fn is_drained(&self) -> bool {
        let inbox = self.inbox.borrow();
        inbox.has_ended && inbox.data.is_empty()
    }

    /// True if nothing is left of it at all.
    pub fn is_bare(&self) -> bool {
        self.is_drained() && self.inbox.borrow().trailers.is_empty()
    }

    /// Takes its body if it has come whole, up to its end, and without trailers.
    pub fn take_whole(&self) -> Option<Vec<u8>> {
        let mut inbox = self.inbox.borrow_mut();
        let is_whole = inbox.has_ended && inbox.trailers.is_empty();
        is_whole.then(|| std::mem::take(&mut inbox.data))
    }

    /// Takes its trailer section, with its empty line.
    pub fn take_trailers(&self) -> Vec<u8> {
        std::mem::take(&mut self.inbox.borrow_mut().trailers)
    }

    /// So many bytes of its body have been passed on: the peer may send as many again.
    pub fn consume(&self, bytes: usize) {
        if let Some(id) = self.id {
            self.session.command(|machine| machine.consume(id, bytes));
        }
    }

    /// True if it has ended before its end.
    pub fn has_failed(&self) -> bool {
        self.inbox.borrow().failure.is_some()
    }

    /// Ready when it has ended before its end. Until then the task is also woken when data that had to wait may be sent.
    pub fn poll_failed(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_failed() {
            return Poll::Ready(());
        }
        register(&self.watcher, cx);
        Poll::Pending
    }

    /// Sends an interim head.
    ///
    /// # Errors
    /// The stream is gone.
    pub fn interim(&self, status: u16, section: &[u8]) -> Result<(), CommandError> {
        let id = self.id.ok_or(CommandError::Gone)?;
        self.session.command(|machine| machine.interim(id, status, lines::section_fields(section)))
    }

    /// Sends the head of the response, and nothing behind it if it `ends`. What its `priority` says of its urgency counts
    /// (RFC 9218, section 8).
    ///
    /// # Errors
    /// The stream is gone.
    pub fn respond(&self, status: u16, section: &[u8], ends: bool) -> Result<(), CommandError> {
        let id = self.id.ok_or(CommandError::Gone)?;
        self.session.command(|machine| machine.respond_lines(id, status, section, lines::has_no_place, ends))
    }

    /// Sends the head of the response, and of its whole `body` as much as windows and turns allow now; yields how much.
    ///
    /// # Errors
    /// The stream is gone.
    pub fn respond_whole(&self, status: u16, section: &[u8], body: &[u8]) -> Result<usize, CommandError> {
        let id = self.id.ok_or(CommandError::Gone)?;
        self.session.command(|machine| {
            machine.respond_lines(id, status, section, lines::has_no_place, body.is_empty())?;
            if body.is_empty() { Ok(0) } else { machine.send_data(id, body, true) }
        })
    }

    /// Sends as much of `data` as windows and turns allow now; yields how much.
    ///
    /// # Errors
    /// The stream is gone.
    pub fn send(&self, data: &[u8], ends: bool) -> Result<usize, CommandError> {
        let id = self.id.ok_or(CommandError::Gone)?;
        self.session.command(|machine| machine.send_data(id, data, ends))
    }

    /// How much should be read for it at a time; `None` while what its connection keeps waiting already goes first. What is not read is
    /// the server's to hold.
    pub fn read_size(&self) -> Option<ReadSize> {
        if self.session.unsent.bytes() == 0 {
            return Some(ReadSize::Large);
        }
        match self.may_send() {
            Ok(0) => None,
            Ok(bytes) if bytes < MEDIUM => Some(ReadSize::Small),
            _ => Some(ReadSize::Medium),
        }
    }

    /// How many bytes of data would be taken at once, at most a turn's. If none, its turn comes when that is so.
    ///
    /// # Errors
    /// The stream is gone.
    pub fn may_send(&self) -> Result<usize, CommandError> {
        let id = self.id.ok_or(CommandError::Gone)?;
        self.session.machine.borrow_mut().may_send(id)
    }

    /// Sends trailers, which end what is sent.
    ///
    /// # Errors
    /// The stream is gone.
    pub fn send_trailers(&self, section: &[u8]) -> Result<(), CommandError> {
        let id = self.id.ok_or(CommandError::Gone)?;
        self.session.command(|machine| machine.trailers(id, lines::section_fields(section)))
    }

    /// Ends the stream before its end, if it is still open.
    pub fn reset(&self, code: Code) {
        if let Some(id) = self.id {
            self.session.command(|machine| machine.reset(id, code));
        }
    }

    /// Ends the stream, if it is still open, and lets go of what the connection keeps of it.
    pub fn leave(self: &Rc<Self>) {
        self.reset(Code::CANCEL);
        if let Some(id) = self.id {
            self.session.dismiss(id, self);
        }
        let answers = std::mem::take(&mut self.inbox.borrow_mut().answers);
        for Answer { lines, fields, .. } in answers {
            self.session.buffers.give(lines);
            self.session.buffers.give_fields(fields);
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(error) => error.fmt(f),
            Self::Oversized => f.write_str("trailers larger than the limits"),
            Self::TooManyInterim => f.write_str("too many interim responses"),
            Self::Connection(error) => error.fmt(f),
            Self::Left(code) => write!(f, "the peer ended the connection ({code})"),
            Self::Lost(kind) => kind.fmt(f),
            Self::Closed => io::ErrorKind::UnexpectedEof.fmt(f),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Lost(kind) => kind.into(),
            Failure::Closed => io::ErrorKind::UnexpectedEof.into(),
            failure => Self::other(failure),
        }
    }
}

fn register(waker: &RefCell<Option<Waker>>, cx: &Context<'_>) {
    let mut waker = waker.borrow_mut();
    if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
        *waker = Some(cx.waker().clone());
    }
}

fn wake(waker: &RefCell<Option<Waker>>) {
    let waker = waker.borrow_mut().take();
    if let Some(waker) = waker {
        waker.wake();
    }
}
