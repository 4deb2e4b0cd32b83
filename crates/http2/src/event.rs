//! What a connection reports of what it received.

use std::ops::Range;

use crate::error::{Code, StreamError};
use crate::streams::StreamId;

/// What a call of [`Connection::receive`](crate::Connection::receive) came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Bytes of the input that were dealt with. The rest is to be handed in again with the next call.
    pub taken: usize,
    /// What happened. Without an event all of the input was taken.
    pub event: Option<Event>,
}

/// Something that a caller must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A head or trailer section has come. It lies in the [`Head`](crate::Head) that was handed in.
    Head {
        /// Its stream: a new one if this is a request.
        stream: StreamId,
        /// What it is the head of.
        kind: HeadKind,
        /// True if nothing follows.
        ends: bool,
    },
    /// Data of a body has come. It counts against the windows until [`Connection::consume`](crate::Connection::consume).
    Data {
        /// Its stream.
        stream: StreamId,
        /// Where it lies in the input. Empty only if it `ends` the body.
        data: Range<usize>,
        /// True if nothing follows.
        ends: bool,
    },
    /// A stream has ended before its end: what is done for it is to be cancelled. RST_STREAM has been written if the peer
    /// has not reset it itself.
    Reset {
        /// The stream, which is gone.
        stream: StreamId,
        /// Why.
        error: StreamError,
    },
    /// A request was refused before it became a stream: it is malformed, or one too many. What of it was understood lies in
    /// the [`Head`](crate::Head), for the log.
    Refused {
        /// Its id.
        number: u32,
        /// Why.
        error: StreamError,
    },
    /// The peer has announced settings, which [`Connection::peer_settings`](crate::Connection::peer_settings) holds.
    Settings,
    /// The peer is leaving: it takes no further requests. Those of ours that it did not look at follow as `Reset`.
    GoAway {
        /// The last stream that it has looked at.
        last: u32,
        /// Why.
        code: Code,
    },
    /// The peer has answered a [`Connection::ping`](crate::Connection::ping).
    Pong {
        /// What was sent.
        payload: [u8; 8],
    },
    /// A server has said for which origins it speaks (RFC 8336): [`Head::origins`](crate::Head::origins) lists them.
    Origins,
}

/// What a head belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadKind {
    /// A request.
    Request,
    /// An interim response (1xx), behind which another head follows.
    Interim,
    /// The response.
    Response,
    /// The trailer section behind a body.
    Trailers,
}
