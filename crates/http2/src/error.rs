//! What went wrong, by culprit: with a code for the peer and a reason for the log.

use std::fmt;

/// An error code of HTTP/2 (RFC 9113, section 7), as RST_STREAM and GOAWAY carry it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(pub u32);

impl Code {
    /// No error: a graceful end.
    pub const NO_ERROR: Self = Self(0);
    /// A rule of the protocol was broken.
    pub const PROTOCOL_ERROR: Self = Self(1);
    /// The sender of the code has a fault of its own.
    pub const INTERNAL_ERROR: Self = Self(2);
    /// A flow-control window was exceeded, or grew beyond 2^31-1.
    pub const FLOW_CONTROL_ERROR: Self = Self(3);
    /// SETTINGS were not acknowledged in time.
    pub const SETTINGS_TIMEOUT: Self = Self(4);
    /// A frame came for a stream that is half closed or closed.
    pub const STREAM_CLOSED: Self = Self(5);
    /// A frame has an invalid length.
    pub const FRAME_SIZE_ERROR: Self = Self(6);
    /// The stream was refused before anything was done for it: the request may be sent again.
    pub const REFUSED_STREAM: Self = Self(7);
    /// The stream is not needed any more.
    pub const CANCEL: Self = Self(8);
    /// The state of header compression is lost.
    pub const COMPRESSION_ERROR: Self = Self(9);
    /// The connection that a CONNECT asked for failed.
    pub const CONNECT_ERROR: Self = Self(10);
    /// The peer does too much of something that leads to nothing.
    pub const ENHANCE_YOUR_CALM: Self = Self(11);
    /// The transport is not as secure as is asked for.
    pub const INADEQUATE_SECURITY: Self = Self(12);
    /// HTTP/1.1 is to be used instead.
    pub const HTTP_1_1_REQUIRED: Self = Self(13);

    /// The name of a code that RFC 9113 defines.
    pub fn name(self) -> Option<&'static str> {
        const NAMES: [&str; 14] = [
            "NO_ERROR",
            "PROTOCOL_ERROR",
            "INTERNAL_ERROR",
            "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT",
            "STREAM_CLOSED",
            "FRAME_SIZE_ERROR",
            "REFUSED_STREAM",
            "CANCEL",
            "COMPRESSION_ERROR",
            "CONNECT_ERROR",
            "ENHANCE_YOUR_CALM",
            "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        ];
        NAMES.get(self.0 as usize).copied()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "code {:#x}", self.0),
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The reason of the error that ends a connection whose peer has begun a head and does not end it in time.
pub const HEAD_TIMEOUT: &str = "a head that does not end";

/// Why a connection ends. GOAWAY with the code has been written to the output when one of these is returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionError {
    /// The peer has broken a rule of RFC 9113, 7541, 8441, 9218 or 8336.
    PeerMisbehaved {
        /// What GOAWAY says.
        code: Code,
        /// What it did, in words.
        reason: &'static str,
    },
    /// The peer has used up a budget: it does too much that leads to nothing. The code is ENHANCE_YOUR_CALM.
    PeerExceeded {
        /// Which frame or work was too much, in words.
        reason: &'static str,
    },
    /// The peer has not done in time what it must.
    PeerSilent {
        /// What GOAWAY says.
        code: Code,
        /// What it left out, in words.
        reason: &'static str,
    },
}

impl ConnectionError {
    /// What GOAWAY says.
    pub fn code(self) -> Code {
        match self {
            Self::PeerMisbehaved { code, .. } | Self::PeerSilent { code, .. } => code,
            Self::PeerExceeded { .. } => Code::ENHANCE_YOUR_CALM,
        }
    }

    /// What the peer did or left out, in words, for the log.
    pub fn reason(self) -> &'static str {
        match self {
            Self::PeerMisbehaved { reason, .. }
            | Self::PeerSilent { reason, .. }
            | Self::PeerExceeded { reason } => reason,
        }
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let did = match self {
            Self::PeerMisbehaved { .. } => "the peer broke the protocol",
            Self::PeerExceeded { .. } => "the peer exceeded a limit",
            Self::PeerSilent { .. } => "the peer did not answer",
        };
        write!(f, "{did}: {} ({})", self.reason(), self.code())
    }
}

impl std::error::Error for ConnectionError {}

/// Why a single stream ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamError {
    /// The peer has broken a rule; RST_STREAM has been written to the output.
    PeerMisbehaved {
        /// What RST_STREAM says.
        code: Code,
        /// What it did, in words.
        reason: &'static str,
    },
    /// A request was refused before anything was done for it, since there are too many; RST_STREAM with REFUSED_STREAM has
    /// been written to the output.
    Refused {
        /// What there is too much of, in words.
        reason: &'static str,
    },
    /// The peer has reset the stream.
    PeerReset {
        /// What its RST_STREAM says.
        code: Code,
    },
    /// The peer has ended the connection without looking at this request, which may be sent again on another one (RFC
    /// 9113, 8.7).
    PeerLeft {
        /// What its GOAWAY says.
        code: Code,
    },
}

impl StreamError {
    /// What RST_STREAM or GOAWAY says.
    pub fn code(self) -> Code {
        match self {
            Self::PeerMisbehaved { code, .. } | Self::PeerReset { code } | Self::PeerLeft { code } => code,
            Self::Refused { .. } => Code::REFUSED_STREAM,
        }
    }

    /// True if the peer has surely done nothing for the request (RFC 9113, 8.7), so that it may be sent again whatever
    /// its method.
    pub fn is_unprocessed(self) -> bool {
        matches!(self, Self::PeerLeft { .. } | Self::PeerReset { code: Code::REFUSED_STREAM })
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerMisbehaved { code, reason } => {
                write!(f, "the peer broke the protocol: {reason} ({code})")
            }
            Self::Refused { reason } => write!(f, "the stream was refused: {reason}"),
            Self::PeerReset { code } => write!(f, "the peer reset the stream ({code})"),
            Self::PeerLeft { code } => write!(f, "the peer ended the connection before the request ({code})"),
        }
    }
}

impl std::error::Error for StreamError {}

/// Why a command was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandError {
    /// The stream has ended or was reset, or the connection is closed.
    Gone,
    /// The command does not fit the state of its stream: a second head, data before a head or behind the end.
    OutOfOrder,
    /// The peer takes no further requests now: its limit of concurrent streams is reached.
    Busy,
    /// The connection takes no further requests at all: one of both sides is leaving, or all stream ids are used.
    Leaving,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "the stream has ended",
            Self::OutOfOrder => "the stream is in another state",
            Self::Busy => "the peer takes no more streams at a time",
            Self::Leaving => "the connection takes no more streams",
        })
    }
}

impl std::error::Error for CommandError {}

/// What the handler of a frame fails with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    Connection(ConnectionError),
    /// Of a stream that is open, or is closed already.
    Stream(u32, StreamError),
    /// Of a request that has not become a stream.
    Request(u32, StreamError),
}

impl From<ConnectionError> for Fault {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(error)
    }
}

/// A connection error by a broken rule.
pub(crate) fn broken(code: Code, reason: &'static str) -> ConnectionError {
    ConnectionError::PeerMisbehaved { code, reason }
}

/// A stream error by a broken rule.
pub(crate) fn broken_stream(stream: u32, code: Code, reason: &'static str) -> Fault {
    Fault::Stream(stream, StreamError::PeerMisbehaved { code, reason })
}
