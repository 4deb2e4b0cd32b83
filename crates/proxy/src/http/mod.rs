//! HTTP as bytes in memory: heads, framing, chunks and trailers of HTTP/1.1 (RFC 9112), the same code for clients and
//! servers, and the heads of HTTP/2 (RFC 9113) in the form of HTTP/1.1's lines.
//!
//! Nothing here does IO. The owner of the socket decides what an error means: a client gets 400, a server's becomes 502.
//! Routing, edits and hop-by-hop rules are written once, for lines. So a head that comes over HTTP/2 is written out as
//! lines, and lines that go out over HTTP/2 are read back into fields.

pub mod chunks;
pub mod field;
pub mod framing;
pub mod head;
pub mod lines;
mod quick;
pub mod trailers;
pub mod version;
pub mod websocket;
pub mod write;
