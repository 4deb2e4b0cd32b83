//! A client's HTTP/2 connection as its streams share it: the state machine, and what has come for each stream.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use evenkeel_http2::{Code, CommandError, Connection, StreamError, StreamId};

use crate::http::lines;
use crate::worker::unsent::Unsent;

/// The machine, and what all streams keep waiting.
#[derive(Debug)]
pub struct Session {
    /// Bytes and commands go in, events and bytes come out.
    pub machine: RefCell<Connection>,
    /// What the responses of all streams make us keep.
    pub unsent: Unsent,
}

/// One stream of a [`Session`]: what its request's body and its response have to do with the machine.
#[derive(Debug)]
pub struct Exchange {
    /// Its connection.
    pub session: Rc<Session>,
    /// Its stream; `None` if it was refused before it became one.
    id: Option<StreamId>,
    inbox: RefCell<Inbox>,
    reader: RefCell<Option<Waker>>,
    watcher: RefCell<Option<Waker>>,
}

/// What has come and was not taken yet.
#[derive(Debug, Default)]
struct Inbox {
    data: Vec<u8>,
    has_ended: bool,
    trailers: Vec<u8>,
    failure: Option<Failure>,
}

/// Why a stream ended before its end.
#[derive(Debug, Clone, Copy)]
pub enum Failure {
    /// For a reason of its own.
    Stream(StreamError),
    /// Its connection has ended.
    Connection,
}

impl Exchange {
    /// That of a stream whose request has just come; `has_ended` if it has no body.
    pub fn new(session: Rc<Session>, id: Option<StreamId>, has_ended: bool) -> Self {
        let inbox = RefCell::new(Inbox { has_ended, ..Inbox::default() });
        Self { session, id, inbox, reader: RefCell::default(), watcher: RefCell::default() }
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
    pub fn trailers(&self, section: &[u8]) {
        let mut inbox = self.inbox.borrow_mut();
        inbox.trailers = [section, b"\r\n"].concat();
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

    /// Takes what has come of its body into `piece`, which must be empty. True if that is something, false at the end.
    ///
    /// # Errors
    /// The stream or its connection has ended before that.
    pub fn poll_data(&self, cx: &mut Context<'_>, piece: &mut Vec<u8>) -> Poll<io::Result<bool>> {
        let mut inbox = self.inbox.borrow_mut();
        if !inbox.data.is_empty() {
            std::mem::swap(&mut inbox.data, piece);
            return Poll::Ready(Ok(true));
        }
        match inbox.failure {
            _ if inbox.has_ended => Poll::Ready(Ok(false)),
            Some(Failure::Stream(error)) => Poll::Ready(Err(io::Error::other(error))),
            Some(Failure::Connection) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            None => {
                register(&self.reader, cx);
                Poll::Pending
            }
        }
    }

    /// True if nothing is left of its body.
    pub fn is_drained(&self) -> bool {
        let inbox = self.inbox.borrow();
        inbox.has_ended && inbox.data.is_empty()
    }

    /// Takes its trailer section, with its empty line.
    pub fn take_trailers(&self) -> Vec<u8> {
        std::mem::take(&mut self.inbox.borrow_mut().trailers)
    }

    /// So many bytes of its body have been passed on: the client may send as many again.
    pub fn consume(&self, bytes: usize) {
        if let Some(id) = self.id {
            self.session.machine.borrow_mut().consume(id, bytes);
        }
    }

    /// Ready when the client has given it up.
    pub fn poll_failed(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.inbox.borrow().failure.is_some() {
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
        self.session.machine.borrow_mut().interim(id, status, lines::section_fields(section))
    }

    /// Sends the head of the response, and nothing behind it if it `ends`.
    ///
    /// # Errors
    /// The stream is gone.
    pub fn respond(&self, status: u16, section: &[u8], ends: bool) -> Result<(), CommandError> {
        let id = self.id.ok_or(CommandError::Gone)?;
        self.session.machine.borrow_mut().respond(id, status, lines::section_fields(section), ends)
    }

    /// Sends as much of `data` as windows and turns allow now; yields how much.
    ///
    /// # Errors
    /// The stream is gone.
    pub fn send(&self, data: &[u8], ends: bool) -> Result<usize, CommandError> {
        let id = self.id.ok_or(CommandError::Gone)?;
        self.session.machine.borrow_mut().send_data(id, data, ends)
    }

    /// Sends trailers, which end the response.
    ///
    /// # Errors
    /// The stream is gone.
    pub fn send_trailers(&self, section: &[u8]) -> Result<(), CommandError> {
        let id = self.id.ok_or(CommandError::Gone)?;
        self.session.machine.borrow_mut().trailers(id, lines::section_fields(section))
    }

    /// Ends the stream before its end, if it is still open.
    pub fn reset(&self, code: Code) {
        if let Some(id) = self.id {
            self.session.machine.borrow_mut().reset(id, code);
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
