//! HTTP/1.1 as it stands on the wire (RFC 9112): heads and bodies, the same code for clients and servers.
//!
//! Everything here works on bytes in memory. Whoever owns the socket decides what to do about an error: a
//! client's is answered with 400, a server's becomes 502.

pub mod body;
pub mod field;
pub mod framing;
pub mod head;
pub mod trailers;
pub mod write;
