//! What a request to a server consists of, and what sending it needs.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use evenkeel_net::Io;
use evenkeel_types::Clock;

use crate::http::head::HeadLimits;
use crate::worker::buffers::{Buffers, ReadSize};
use crate::worker::unsent::Unsent;

/// A request's head, as lines, and what HTTP/2 says apart from them.
#[derive(Debug)]
pub struct OutgoingHead<'o> {
    /// The whole head in the form of HTTP/1.1.
    pub lines: Vec<u8>,
    /// The method.
    pub method: &'o str,
    /// Path and query, in parts.
    pub target: [&'o str; 3],
    /// Whether the connection is encrypted.
    pub is_secure: bool,
    /// The protocols, of which the connection, or the stream, is to become a tunnel for one.
    pub upgrade: Option<&'o [u8]>,
}

/// What a round trip needs of its surroundings.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'x> {
    /// Where buffers come from and go to.
    pub buffers: &'x Rc<Buffers>,
    /// The process's clock.
    pub clock: Clock,
    /// What the answer's heads and trailers may measure.
    pub heads: HeadLimits,
    /// What clients do not take yet, where the answer is for one of them.
    pub unsent: Option<&'x Unsent>,
    /// What the other streams of that client's connection keep waiting; `None` over HTTP/1.1.
    pub of_connection: Option<&'x Unsent>,
}

impl Surroundings<'_> {
    /// Reads the beginning of an answer.
    pub fn poll_head(&self, io: &Io, cx: &mut Context<'_>, buf: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        let size = self.unsent.map_or(ReadSize::Medium, |unsent| unsent.head_size(self.of_connection));
        self.buffers.poll_sized(size, io, cx, buf)
    }
}
