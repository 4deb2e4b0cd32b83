//! What a request to a server consists of, and what sending it needs.

use std::rc::Rc;

use evenkeel_types::Clock;

use crate::http::head::HeadLimits;
use crate::worker::buffers::Buffers;

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
}
