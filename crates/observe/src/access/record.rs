//! What a line of the access log says of a request, whatever the format.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use evenkeel_types::RequestIdText;

use super::json;
use crate::names::{CacheResult, label};

/// Bytes of one field of a line, escapes included; a longer one is cut and ends in `...`.
pub(super) const FIELD_BYTES_MAX: usize = 2_560;

/// The same of a field of the configuration's choice, of which there are up to 16.
pub(super) const OWN_FIELD_BYTES_MAX: usize = 512;

/// Route, pool and server, as each line of the requests that go this way has them.
#[derive(Debug)]
pub struct RenderedWay(pub(super) Box<[u8]>);

impl RenderedWay {
    /// The same as `route`, `pool` and `backend` of a [`Record`].
    pub fn new(route: Option<&str>, pool: Option<&str>, backend: Option<&str>) -> Self {
        Self(json::render_way((route, pool, backend)))
    }
}

/// Client and listener, as each line of the requests over one connection has them.
#[derive(Debug)]
pub struct RenderedOrigin(pub(super) Box<[u8]>);

impl RenderedOrigin {
    /// The same as `client` and `listener` of a [`Record`].
    pub fn new(client: Client<'_>, listener: &str) -> Self {
        Self(json::render_origin(client, listener))
    }
}

/// One request that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// When it began, in nanoseconds since the Unix epoch.
    pub unix_ns: u64,
    /// The client: the peer, or the address that a trusted proxy names.
    pub client: Client<'a>,
    /// The listener's name, a token.
    pub listener: &'a str,
    /// Client and listener as [`RenderedOrigin`] has them, where they are rendered already.
    pub origin: Option<&'a RenderedOrigin>,
    /// As received; empty when no method could be read.
    pub method: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// As received, with its port; empty when there was none.
    pub host: &'a str,
    /// As received, before any rewriting. Any bytes.
    pub target: &'a [u8],
    /// The version that the client spoke.
    pub version: Version,
    /// The status sent to the client; 0 when none was.
    pub status: u16,
    /// The route's name.
    pub route: Option<&'a str>,
    /// The pool's name, a token.
    pub pool: Option<&'a str>,
    /// The id of the server that gave the final answer.
    pub backend: Option<&'a str>,
    /// Route, pool and server as [`RenderedWay`] has them, where many requests go the same way.
    pub way: Option<&'a RenderedWay>,
    /// How many servers were tried.
    pub tries: u32,
    /// From the last byte of the request's head to the response's last.
    pub total: Duration,
    /// How long the connection to the server took; `None` when an open one was used.
    pub connect: Option<Duration>,
    /// From the request sent to the server to the head of its response.
    pub first_byte: Option<Duration>,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the response's body.
    pub bytes_out: u64,
    /// As in `X-Request-Id`.
    pub request_id: &'a RequestIdText<'a>,
    /// The `User-Agent` field. Any bytes.
    pub user_agent: Option<&'a [u8]>,
    /// The `Referer` field. Any bytes.
    pub referer: Option<&'a [u8]>,
    /// How the exchange ended.
    pub ended: Ended,
    /// Why the balancer answered with an error, or why more than one server was sent the request, in a few words.
    pub reason: Option<&'a str>,
    /// What the cache did; `None` where the route has none.
    pub cache: Option<CacheLog<'a>>,
    /// The trace and the span of the request, and whether it is traced; `None` without `[tracing]`.
    pub trace: Option<TraceLog>,
    /// Keys of the configuration's choice, and what stands there. Any bytes.
    pub fields: &'a [(&'a str, Option<&'a [u8]>)],
}

/// Where a request stands in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceLog {
    /// The trace.
    pub trace_id: [u8; 16],
    /// The request's span.
    pub span_id: [u8; 8],
    /// True if its spans are sent to the collector.
    pub sampled: bool,
}

/// What the cache did for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheLog<'a> {
    /// What it came to.
    pub result: CacheResult,
    /// Why it was not simply a hit, in a few words.
    pub reason: Option<&'a str>,
}

/// Where a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client<'a> {
    /// The peer: its address as text, which was rendered once for its connection, and its port.
    Peer(&'a str, u16),
    /// An address and a port; port 0 is one that is not known.
    Ip(IpAddr, u16),
    /// A unix socket.
    Unix,
}

impl From<SocketAddr> for Client<'_> {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address.ip(), address.port())
    }
}

/// The HTTP version of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
}

impl Version {
    /// As in a request line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2.0",
        }
    }
}

label! {
    /// How an exchange ended.
    Ended {
        /// The response was sent whole.
        Complete = "complete",
        /// The client left before the response was complete.
        ClientAborted = "client_aborted",
        /// The client sent or took nothing for too long.
        ClientTimeout = "client_timeout",
        /// The server broke off its response.
        BackendAborted = "backend_aborted",
        /// The file could not be read to its end.
        FileAborted = "file_aborted",
        /// The server sent nothing for too long.
        BackendTimeout = "backend_timeout",
        /// The route's `timeout.request` passed.
        RequestTimeout = "request_timeout",
        /// The balancer answered with an error of its own.
        Refused = "refused",
        /// The connection became a tunnel, which has ended.
        Tunnel = "tunnel",
    }
}
