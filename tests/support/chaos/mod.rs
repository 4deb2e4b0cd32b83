//! Servers that fail in a chosen way at a chosen point of an exchange, and clients that tell a whole answer from a cut one.

mod asker;
mod server;
mod streams;
mod wire;

use super::{Evenkeel, eventually};

pub use asker::{Ask, Asker, Seen, Version};
pub use server::Chaos;
pub use streams::{Break, Stage};
pub use wire::{BODY, HALF};

/// Ends of pipes that two workers keep at most, beside those that the process was started with.
const PIPES_MAX: usize = 2 * 2 * 16 + 8;

/// Open descriptors but for idle connections to servers and some pipes, which are kept on purpose.
pub fn descriptors(evenkeel: &Evenkeel) -> f64 {
    let kept =
        evenkeel.metric("evenkeel_backend_connections_idle", &[]) + evenkeel.pipes().min(PIPES_MAX) as f64;
    evenkeel.metric("process_open_fds", &[]) - kept
}

/// The same when no client is connected, and each of two workers has served one: only then all of it has started.
pub fn descriptors_at_rest(evenkeel: &Evenkeel) -> f64 {
    // Connections are spread evenly, so that these are not all with the same worker.
    let mut clients = [(); 4].map(|()| evenkeel.client());
    for client in &mut clients {
        client.get("/");
    }
    drop(clients);
    eventually("no client is connected", || evenkeel.metric("evenkeel_connections", &[]) == 0.0);
    descriptors(evenkeel)
}

/// How far an exchange gets before the server fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// The connection is accepted, and nothing read.
    Accepted,
    /// The request's head has been read.
    RequestHead,
    /// Some of the request's body has been read.
    RequestBody,
    /// All of the request has been read.
    Request,
    /// Some of the status line has been sent.
    StatusLine,
    /// The status line and some of a field have been sent.
    Field,
    /// The head has been sent, which announces a length.
    Head,
    /// Half of a body of announced length has been sent.
    SizedBody,
    /// Half of a body that ends with the connection has been sent.
    EndlessBody,
    /// Some of the second chunk's size has been sent.
    ChunkSize,
    /// Half of the first chunk has been sent.
    Chunk,
    /// All chunks have been sent, but not the last one, which is empty.
    LastChunk,
    /// The last chunk and one trailer have been sent, but not the empty line.
    Trailers,
}

impl Point {
    /// All, in the order in which an exchange comes by.
    pub const ALL: [Self; 13] = [
        Self::Accepted,
        Self::RequestHead,
        Self::RequestBody,
        Self::Request,
        Self::StatusLine,
        Self::Field,
        Self::Head,
        Self::SizedBody,
        Self::EndlessBody,
        Self::ChunkSize,
        Self::Chunk,
        Self::LastChunk,
        Self::Trailers,
    ];

    /// True while the client cannot have been told a status.
    pub fn is_before_head(self) -> bool {
        self < Self::Head
    }
}

/// What happens there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The connection is closed in good order.
    Close,
    /// The connection is reset.
    Reset,
    /// The server ends its own direction and goes on reading.
    HalfClose,
    /// Nothing more is sent or read.
    Hang,
    /// What is no HTTP follows, then the end.
    Garbage,
}

impl How {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Close, Self::Reset, Self::HalfClose, Self::Hang, Self::Garbage];
}

/// What a server does with each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// It refuses connections.
    Refuse,
    /// It lets connections wait to be accepted.
    Unaccepting,
    /// It fails.
    Fail(Point, How),
    /// The same on each connection's second request: the first is answered well.
    FailKept(Point, How),
    /// It sends [`BODY`] in good order, one byte after the other.
    Trickle(Point),
    /// It sends a whole answer, and more behind it that no request asked for.
    Surplus(Point),
    /// It sends so many interim responses, then a whole answer.
    Interim(usize),
    /// It answers as soon as it has read the request's head, and reads the rest afterwards.
    Early,
    /// It speaks HTTP/2, and fails.
    FailStream(Stage, Break),
    /// The same on each connection's second request: the first is answered well.
    FailKeptStream(Stage, Break),
}

impl Script {
    /// True when it makes the balancer wait until a limit is reached.
    pub fn hangs(self) -> bool {
        match self {
            Self::Unaccepting => true,
            Self::Fail(_, how) | Self::FailKept(_, how) => how == How::Hang,
            Self::FailStream(_, how) | Self::FailKeptStream(_, how) => how == Break::Hang,
            _ => false,
        }
    }

    /// True when it needs a request with a body to fail.
    pub fn needs_body(self) -> bool {
        match self {
            Self::Fail(at, _) | Self::FailKept(at, _) => at == Point::RequestBody,
            Self::FailStream(at, _) | Self::FailKeptStream(at, _) => at == Stage::RequestBody,
            _ => false,
        }
    }

    /// True when the first request of each connection is answered well.
    pub fn is_kept(self) -> bool {
        matches!(self, Self::FailKept(..) | Self::FailKeptStream(..))
    }

    /// True when it speaks HTTP/2.
    pub fn is_http2(self) -> bool {
        matches!(self, Self::FailStream(..) | Self::FailKeptStream(..))
    }

    /// True when it says that nothing was done, so that any request may be sent again.
    pub fn is_harmless(self) -> bool {
        match self {
            Self::FailStream(_, how) | Self::FailKeptStream(_, how) => how.is_harmless(),
            _ => false,
        }
    }
}
