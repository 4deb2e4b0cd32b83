//! A connection of HTTP/2 as its streams share it: the state machine, and which exchange each stream belongs to.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};

use evenkeel_http2::{Connection, ConnectionError, Event, Head, StreamError, StreamId};
use evenkeel_types::{Clock, Time};

use super::exchange::{Exchange, Failure};
use crate::worker::buffers::Buffers;
use crate::worker::unsent::Unsent;

/// The machine, the exchanges of its streams, and the task that moves its bytes.
#[derive(Debug)]
pub struct Session {
    /// Bytes and commands go in, events and bytes come out. Exchanges use [`command`](Self::command).
    pub machine: RefCell<Connection>,
    /// Where buffers come from and go to.
    pub buffers: Rc<Buffers>,
    /// The process's clock.
    pub clock: Clock,
    /// What the responses of all streams make us keep.
    pub unsent: Unsent,
    /// By the slots of their streams.
    exchanges: RefCell<Vec<Option<Rc<Exchange>>>>,
    /// The connection's task, where commands come from other tasks.
    task: RefCell<Option<Waker>>,
    /// True while that task is polled, or is going to be.
    is_awake: Cell<bool>,
}

impl Session {
    /// A connection without streams, whose task is polled; `unsent_max` is what its streams may keep waiting before responses are
    /// read in small pieces.
    pub fn new(machine: Connection, buffers: Rc<Buffers>, clock: Clock, unsent_max: usize) -> Rc<Self> {
        Rc::new(Self {
            machine: RefCell::new(machine),
            buffers,
            clock,
            unsent: Unsent::new(unsent_max),
            exchanges: RefCell::default(),
            task: RefCell::default(),
            is_awake: Cell::new(true),
        })
    }

    /// Gives the machine a command. What that writes is sent by the connection's task.
    #[inline]
    pub fn command<T>(&self, command: impl FnOnce(&mut Connection) -> T) -> T {
        let mut machine = self.machine.borrow_mut();
        machine.lend_output(|| self.buffers.large());
        let done = command(&mut machine);
        if let Some(unused) = machine.take_buffer() {
            self.buffers.give(unused);
        } else {
            drop(machine);
            self.wake();
        }
        done
    }

    /// Has the connection's task be polled.
    pub fn wake(&self) {
        if !self.is_awake.replace(true)
            && let Some(task) = &*self.task.borrow()
        {
            task.wake_by_ref();
        }
    }

    /// The connection's task begins to be polled.
    pub fn enter(&self) {
        self.is_awake.set(true);
    }

    /// The connection's task has been polled with `cx`; commands wake it from here on.
    pub fn leave(&self, cx: &Context<'_>) {
        let mut task = self.task.borrow_mut();
        if !task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            *task = Some(cx.waker().clone());
        }
        self.is_awake.set(false);
    }

    /// The next event in `input`, whose front is cut off, with the bytes that it speaks of. The head of one that has one lies in
    /// `head`.
    ///
    /// # Errors
    /// The peer misbehaves: the connection ends.
    #[inline]
    pub fn next_event<'i>(
        &self,
        input: &mut &'i [u8],
        head: &mut Head,
        now: Time,
    ) -> Result<Option<(Event, &'i [u8])>, ConnectionError> {
        let received = self.machine.borrow_mut().receive(input, head, now)?;
        let (piece, rest) = input.split_at(received.taken);
        *input = rest;
        Ok(received.event.map(|event| (event, piece)))
    }

    /// The exchange of a stream that its peer has opened with a request; `has_ended` if nothing follows that.
    pub fn open(self: &Rc<Self>, stream: StreamId, has_ended: bool) -> Rc<Exchange> {
        let mut exchanges = self.exchanges.borrow_mut();
        if stream.slot() >= exchanges.len() {
            exchanges.resize_with(stream.slot() + 1, || None);
        }
        let entry = &mut exchanges[stream.slot()];
        // That of the stream before in the slot, which saves an allocation, unless something is still done for it.
        if let Some(exchange) = entry.as_mut().and_then(Rc::get_mut) {
            exchange.begin(stream, has_ended);
        } else {
            *entry = None;
        }
        let new = || Rc::new(Exchange::new(Rc::clone(self), Some(stream), has_ended));
        Rc::clone(entry.get_or_insert_with(new))
    }

    /// A stream's exchange from here on.
    pub fn enlist(&self, stream: StreamId, exchange: Rc<Exchange>) {
        let mut exchanges = self.exchanges.borrow_mut();
        if stream.slot() >= exchanges.len() {
            exchanges.resize_with(stream.slot() + 1, || None);
        }
        exchanges[stream.slot()] = Some(exchange);
    }

    /// The exchange of a stream that is open.
    #[inline]
    pub fn exchange(&self, stream: StreamId) -> Option<Rc<Exchange>> {
        self.exchanges.borrow().get(stream.slot())?.clone()
    }

    /// Forgets the exchange of a stream, if it is this one.
    pub fn dismiss(&self, stream: StreamId, exchange: &Rc<Exchange>) {
        if let Some(entry) = self.exchanges.borrow_mut().get_mut(stream.slot())
            && entry.as_ref().is_some_and(|of| Rc::ptr_eq(of, exchange))
        {
            *entry = None;
        }
    }

    /// A stream has ended before its end.
    pub fn reset(&self, stream: StreamId, error: StreamError) {
        let exchange = self.exchanges.borrow_mut().get_mut(stream.slot()).and_then(Option::take);
        if let Some(exchange) = exchange {
            exchange.fail(Failure::Stream(error));
        }
    }

    /// The connection is over: so is what is under way on it.
    pub fn fail_all(&self, failure: Failure) {
        let exchanges = self.exchanges.take();
        exchanges.into_iter().flatten().for_each(|exchange| exchange.fail(failure));
    }

    /// An idle connection keeps little.
    pub fn shrink(&self) {
        self.machine.borrow_mut().shrink();
        self.exchanges.take();
    }
}
