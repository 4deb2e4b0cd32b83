//! HTTP/2 heads (RFC 9113) in the form that the rest of the data path works on: the lines of HTTP/1.1.
//!
//! Routing, edits, forwarding and hop-by-hop rules are written once, for lines. So a head that comes over HTTP/2 is
//! written out as lines, and lines that go out over HTTP/2 are read back into fields.

pub mod lines;
pub mod send;
