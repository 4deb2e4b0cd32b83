//! A body that lies in memory: a copy of a request's, one of our own, or one that came whole over HTTP/2.

use std::rc::Rc;

use crate::http2::Exchange;

/// Bytes, all of them one piece.
#[derive(Debug)]
pub struct FromBytes {
    bytes: Vec<u8>,
    is_taken: bool,
    /// The stream that they came over.
    exchange: Option<Rc<Exchange>>,
}

impl FromBytes {
    /// The body that these bytes are.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, is_taken: false, exchange: None }
    }

    /// The same of bytes that came over a stream, whose windows open again when they have been passed on.
    pub fn of(exchange: &Rc<Exchange>, bytes: Vec<u8>) -> Self {
        Self { exchange: Some(Rc::clone(exchange)), ..Self::new(bytes) }
    }

    /// True when the piece was taken, or there is none.
    pub fn is_done(&self) -> bool {
        self.is_taken || self.bytes.is_empty()
    }

    /// Bytes of data still to come.
    pub fn left(&self) -> Option<u64> {
        Some(if self.is_taken { 0 } else { self.bytes.len() as u64 })
    }

    /// There are none.
    pub fn trailers(&self) -> &[u8] {
        b""
    }

    /// The piece that [`advance`](Self::advance) came to.
    pub fn piece(&self) -> &[u8] {
        &self.bytes
    }

    /// Goes to the piece; false if it was taken, or there is none.
    pub fn advance(&mut self) -> bool {
        let is_next = !self.is_done();
        if self.is_taken
            && let Some(exchange) = self.exchange.take()
        {
            exchange.consume(self.bytes.len());
        }
        self.is_taken = true;
        is_next
    }

    /// Keeps the bytes: they may be needed again.
    pub fn release(&mut self) {}

    /// Goes back to the start.
    pub fn rewind(&mut self) {
        self.is_taken = false;
    }
}
