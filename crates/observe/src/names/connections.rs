//! What becomes of connections of clients.

use super::label::label;

label! {
    /// Why a client connection was turned away.
    ConnectionRefusal {
        /// `limits.connections` was reached.
        Limit = "limit",
        /// The listener's `limits.connections_per_client` was reached.
        Client = "client",
        /// The process or the system had no file descriptor left.
        Descriptors = "descriptors",
        /// The process is overloaded.
        Overload = "overload",
        /// No server of the pool was free for a connection that is relayed.
        Pool = "pool",
        /// The kernel's accept failed for any other reason.
        Accept = "accept",
        /// The client did too much over HTTP/2 that leads to nothing: the listener's `limits.http2_resets` was reached. The
        /// connection ended.
        Http2Budget = "http2_budget",
    }
}

label! {
    /// What a client connection turned out to speak.
    Protocol {
        /// HTTP/1.0 or 1.1.
        Http1 = "http1",
        /// HTTP/2.
        Http2 = "http2",
        /// Bytes that are relayed: of a tcp listener, or of TLS that passes through.
        Tcp = "tcp",
        /// Datagrams that are relayed: a session of a udp listener.
        Udp = "udp",
    }
}

label! {
    /// How a TLS handshake with a client ended.
    HandshakeResult {
        /// It was done in full.
        Full = "full",
        /// It went on with the session of an earlier connection.
        Resumed = "resumed",
        /// It was refused by either side, broke off, or took too long.
        Failed = "failed",
    }
}

label! {
    /// What came on a connection that had to begin with a PROXY header.
    ProxyHeaderResult {
        /// A header that names a client.
        Client = "client",
        /// A header that names none: the connection is the sender's own, such as a health check.
        Local = "local",
        /// Something else, such as a request.
        Missing = "missing",
        /// A header that breaks the rules of the protocol.
        Malformed = "malformed",
        /// The end of the connection, or a failure.
        Closed = "closed",
        /// No whole header within `timeout.head`.
        Timeout = "timeout",
    }
}
