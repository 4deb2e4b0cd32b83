//! The bytes of a connection of HTTP/2: what the state machine has written goes out, and what has come is handed to it.

use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use evenkeel_net::Io;
use evenkeel_types::Time;

use super::session::Session;

/// A connection, and the machine that speaks over it.
#[derive(Debug)]
pub struct Wire {
    /// Its bytes.
    pub io: Rc<Io>,
    /// The machine.
    pub session: Rc<Session>,
    /// Since when nothing could be written.
    pub stuck: Option<Time>,
}

impl Wire {
    /// A connection that has just begun.
    pub fn new(io: Rc<Io>, session: Rc<Session>) -> Self {
        Self { io, session, stuck: None }
    }

    /// How many bytes wait to be sent.
    pub fn output_len(&self) -> usize {
        self.session.machine.borrow().output().len()
    }

    /// True if nothing more comes of the connection, and all that was to be said has been sent.
    pub fn is_finished(&self) -> bool {
        let machine = self.session.machine.borrow();
        machine.is_finished() && machine.output().is_empty()
    }

    /// Sends what is written. Ready when nothing is left of it.
    ///
    /// # Errors
    /// The connection is dead.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.try_write() {
                Ok(true) => return Poll::Ready(Ok(())),
                Ok(false) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.stuck.is_none() {
                        self.stuck = Some(self.session.clock.now());
                        // What waits for the peer holds no more memory than it needs.
                        let buffer = self.session.machine.borrow_mut().withdraw_buffer();
                        self.session.buffers.give(buffer);
                    }
                    ready!(self.io.poll_writable(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Writes once; true when nothing is left to be written.
    fn try_write(&mut self) -> io::Result<bool> {
        let mut machine = self.session.machine.borrow_mut();
        if machine.output().is_empty() {
            self.io.try_flush()?;
            if let Some(buffer) = machine.take_buffer() {
                self.session.buffers.give(buffer);
            }
            self.stuck = None;
            return Ok(true);
        }
        let count = self.io.try_write(&[IoSlice::new(machine.output())])?;
        machine.sent(count);
        self.stuck = None;
        Ok(false)
    }

    /// Reads once, unless too much waits to be sent; empty at the end. The buffer goes back to the session's.
    ///
    /// # Errors
    /// The connection is dead.
    pub fn poll_read(&self, cx: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        if !self.session.machine.borrow().wants_input() {
            return Poll::Pending;
        }
        let mut input = Vec::new();
        ready!(self.session.buffers.poll_large(&self.io, cx, &mut input))?;
        Poll::Ready(Ok(input))
    }
}
