//! Why a try at a server fails, whose fault that is, and what the client and the log get to read.

use std::borrow::Cow;
use std::fmt;
use std::io;

use evenkeel_core::admission::FailedTry;
use evenkeel_core::health::Failure;
use evenkeel_core::retry::Cause;
use evenkeel_net::is_exhausted;
use evenkeel_observe::BackendFailure;
use evenkeel_observe::flight::Side;

use crate::body::BodyError;
use crate::http::head::HeadError;

/// Why a server gave no usable answer.
#[derive(Debug)]
pub enum ServerError {
    /// No connection could be opened.
    Connect(io::Error),
    /// The TLS handshake failed for the host that the client named, where that host is the `server_name`.
    NameRefused(io::Error),
    /// No connection was there in time.
    ConnectTimeout,
    /// The connection failed before the response head was complete.
    Reset(io::Error),
    /// The connection closed before the first byte of a response head.
    Closed,
    /// The connection closed before the response head was complete.
    HeadCut,
    /// The server did not look at the request, and says so: any server may have it.
    Unprocessed,
    /// No response head in time.
    Timeout,
    /// An answer whose status the route retries.
    Status(u16),
    /// The request is none that the server's protocol has a place for.
    Unsendable,
    /// It speaks HTTP/2, and takes no tunnel over a stream.
    NoTunnels,
    /// What came is not a valid, unambiguous response.
    Malformed(&'static str),
    /// The head of the response exceeds `limits.response_head` or `limits.response_headers`.
    HeadTooLarge,
    /// More interim responses than are passed on.
    TooManyInterim,
    /// The body ended before its end.
    Body(BodyError),
    /// The route's time for the whole request was up, whichever side took it.
    Deadline,
}

impl ServerError {
    /// 504 for a server that was too slow, 400 for what cannot be sent, 503 if we ran short of something, else 502.
    pub fn status(&self) -> u16 {
        match self {
            Self::Unsendable => 400,
            Self::ConnectTimeout | Self::Timeout | Self::Deadline => 504,
            Self::Connect(e) if is_exhausted(e) => 503,
            Self::Body(BodyError::Timeout | BodyError::Deadline) => 504,
            _ => 502,
        }
    }

    /// In words for the client, which say nothing of our side: no name, no address, no path. The log has all.
    pub fn to_client(&self) -> Cow<'static, str> {
        match self {
            Self::Connect(e) if e.kind() != io::ErrorKind::ConnectionRefused => "cannot connect".into(),
            Self::NameRefused(_) => "the server has no valid certificate for this host".into(),
            Self::Reset(_) => "connection to the server failed".into(),
            Self::Body(BodyError::Io(_)) => "response body: connection failed within the body".into(),
            other => other.to_string().into(),
        }
    }

    /// What a retry would have to make good; `None` if none could, or there is no time for one. `started` says that a part of an answer
    /// had come.
    pub fn cause(&self, started: bool) -> Option<Cause> {
        Some(match self {
            Self::Deadline | Self::Body(BodyError::Deadline) => return None,
            Self::Connect(_)
            | Self::NameRefused(_)
            | Self::ConnectTimeout
            | Self::Unprocessed
            | Self::NoTunnels => Cause::Connect,
            Self::Reset(_) | Self::Closed if !started => Cause::Reset,
            Self::Timeout => Cause::Timeout,
            Self::Status(status) => Cause::Status(*status),
            Self::Reset(_) | Self::Closed | Self::HeadCut => Cause::Begun,
            Self::Body(BodyError::Cut | BodyError::Io(_)) => Cause::Begun,
            Self::Malformed(_) | Self::Body(_) | Self::HeadTooLarge | Self::TooManyInterim => {
                Cause::Malformed
            }
            Self::Unsendable => return None,
        })
    }

    /// What admission learns of a try that failed like this. `cause` is what another server would have to make good,
    /// `replayable` says that all of the request is still there.
    pub fn failed_try(&self, cause: Option<Cause>, replayable: bool) -> FailedTry {
        FailedTry {
            cause,
            blame: self.failure(),
            timed_out: matches!(self, Self::Timeout | Self::ConnectTimeout),
            // A final response goes to the client only when forwarding is over.
            has_begun: false,
            replayable,
        }
    }

    /// How it is counted; `None` if the server is not to blame, or has been blamed.
    pub fn kind(&self) -> Option<BackendFailure> {
        Some(match self {
            Self::Deadline | Self::Body(BodyError::Deadline) | Self::Status(_) | Self::Unsendable => {
                return None;
            }
            // Else clients could have servers ejected by naming hosts that these do not serve.
            Self::NameRefused(_) | Self::NoTunnels => return None,
            Self::Connect(e) if is_exhausted(e) => return None,
            Self::Connect(e) if e.kind() == io::ErrorKind::ConnectionRefused => BackendFailure::Refused,
            Self::Connect(_) => BackendFailure::Unreachable,
            Self::ConnectTimeout => BackendFailure::ConnectTimeout,
            Self::Reset(_) | Self::Body(BodyError::Io(_)) => BackendFailure::Reset,
            Self::Closed | Self::HeadCut | Self::Unprocessed => BackendFailure::Closed,
            Self::Timeout | Self::Body(BodyError::Timeout) => BackendFailure::Timeout,
            Self::Malformed(_)
            | Self::HeadTooLarge
            | Self::TooManyInterim
            | Self::Body(BodyError::Malformed(_)) => BackendFailure::Malformed,
            Self::Body(BodyError::Cut | BodyError::TooLarge) => BackendFailure::Truncated,
        })
    }

    /// The kind of failure in a word, for traces.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Deadline | Self::Body(BodyError::Deadline) => "request_timeout",
            Self::Status(_) => "status",
            Self::Unsendable => "unsendable",
            Self::NameRefused(_) => "name_refused",
            Self::NoTunnels => "no_tunnels",
            other => other.kind().map_or("exhausted", BackendFailure::as_str),
        }
    }

    /// Who ended the exchange with the server; `None` if it was not ended.
    pub fn closed_first(&self) -> Option<Side> {
        Some(match self {
            Self::Status(_) => return None,
            Self::Connect(e) if is_exhausted(e) => Side::Proxy,
            Self::Connect(_) | Self::Reset(_) | Self::Closed | Self::HeadCut | Self::Unprocessed => {
                Side::Server
            }
            Self::Body(BodyError::Cut | BodyError::Io(_)) => Side::Server,
            Self::NameRefused(_) | Self::ConnectTimeout | Self::Timeout | Self::Deadline => Side::Proxy,
            Self::NoTunnels => Side::Proxy,
            Self::Unsendable | Self::Malformed(_) | Self::HeadTooLarge | Self::TooManyInterim => Side::Proxy,
            Self::Body(_) => Side::Proxy,
        })
    }

    /// True if no connection was there to send the request over.
    pub fn is_of_connecting(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::NameRefused(_) | Self::ConnectTimeout)
    }

    /// True if the same server may have the request again over a fresh connection. `untouched` says that the connection
    /// was an old one and that no byte of an answer came over it; `repeats` that the request may be sent twice.
    pub fn is_worth_a_fresh_connection(&self, untouched: bool, repeats: bool) -> bool {
        match self {
            Self::Unprocessed => true,
            Self::Closed | Self::Reset(_) => untouched && repeats,
            _ => false,
        }
    }

    /// What passive health checks make of it; `None` if the server is not to blame. A response that exceeds our limits is
    /// a matter of configuration.
    pub fn failure(&self) -> Option<Failure> {
        Some(match self {
            Self::HeadTooLarge | Self::TooManyInterim => return None,
            Self::Deadline | Self::Body(BodyError::Deadline) | Self::Status(_) | Self::Unsendable => {
                return None;
            }
            Self::NameRefused(_) | Self::NoTunnels => return None,
            Self::Connect(e) if is_exhausted(e) => return None,
            Self::Connect(_) | Self::ConnectTimeout => Failure::Connect,
            Self::Timeout | Self::Body(BodyError::Timeout) => Failure::Timeout,
            Self::Reset(_) | Self::Closed | Self::HeadCut | Self::Unprocessed => Failure::Reset,
            Self::Body(BodyError::Io(_) | BodyError::Cut) => Failure::Reset,
            Self::Malformed(_) | Self::Body(_) => Failure::BadAnswer,
        })
    }
}

impl From<HeadError> for ServerError {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::Malformed(what) => Self::Malformed(what),
            HeadError::TooLarge | HeadError::TargetTooLong => Self::HeadTooLarge,
            HeadError::Version => Self::Malformed("HTTP version not supported"),
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
                f.write_str("connection refused")
            }
            Self::Connect(e) => write!(f, "cannot connect: {e}"),
            Self::NameRefused(e) => write!(f, "TLS handshake for the request's host failed: {e}"),
            Self::ConnectTimeout => f.write_str("connect timeout"),
            Self::Reset(e) => write!(f, "connection to the server failed: {e}"),
            Self::Closed => f.write_str("server closed the connection without an answer"),
            Self::HeadCut => f.write_str("server closed the connection within the head of its answer"),
            Self::Unprocessed => f.write_str("server refused the stream"),
            Self::Timeout => f.write_str("response timeout"),
            Self::Status(status) => write!(f, "{status} from the server"),
            Self::Unsendable => f.write_str("request cannot be sent over HTTP/2"),
            Self::NoTunnels => f.write_str(
                "server of HTTP/2 takes no tunnels: it does not announce SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441)",
            ),
            Self::Malformed(what) => write!(f, "malformed response: {what}"),
            Self::HeadTooLarge => {
                f.write_str("response head larger than limits.response_head or limits.response_headers")
            }
            Self::TooManyInterim => f.write_str("too many interim responses"),
            Self::Body(e) => write!(f, "response body: {e}"),
            Self::Deadline => f.write_str("request timeout"),
        }
    }
}
