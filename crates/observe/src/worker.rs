//! What one worker counts that belongs to no route or server: connections, refusals and its own time.

use evenkeel_config::Encoding;

use crate::counter::{Counter, WorkerGauge};
use crate::histogram::Histogram;
use crate::names::{ConnectionRefusal, HandshakeResult, Protocol, ProxyHeaderResult, RequestRefusal, label};

label! {
    /// Why a response goes out as it is although its client accepts it compressed.
    CompressSkipped {
        /// The worker is late, or the process overloaded.
        Late = "late",
        /// The encoders of the worker take all the memory that they may.
        Memory = "memory",
    }
}

/// The figures of one worker: only that worker's thread may write.
// Aligned to two cache lines (CPUs fetch them in pairs), so that workers never write to each other's.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct WorkerMetrics {
    /// Client connections accepted.
    pub connections_accepted: Counter,
    /// Client connections open.
    pub connections: WorkerGauge,
    /// Requests begun and not yet finished.
    pub requests_in_flight: WorkerGauge,
    /// Requests whose client left before the response was complete.
    pub client_aborts: Counter,
    /// Upgraded connections open.
    pub tunnels: WorkerGauge,
    /// Bytes of responses that clients have not taken yet, as of the last second.
    pub unsent: WorkerGauge,
    /// Bytes of static files in memory, as of the last second.
    pub files_cached: WorkerGauge,
    /// Static files that are kept open, as of the last second.
    pub files_open: WorkerGauge,
    pub(crate) overhead: Histogram,
    connections_by_protocol: [Counter; Protocol::ALL.len()],
    handshakes: [Counter; HandshakeResult::ALL.len()],
    proxy_headers: [Counter; ProxyHeaderResult::ALL.len()],
    connections_refused: [Counter; ConnectionRefusal::ALL.len()],
    requests_refused: [Counter; RequestRefusal::ALL.len()],
    compressed: [Compressed; Encoding::ALL.len()],
    compress_skipped: [Counter; CompressSkipped::ALL.len()],
    compress_reused: [Reused; Encoding::ALL.len()],
}

/// What was compressed in one encoding.
#[derive(Debug, Default)]
struct Compressed {
    responses: Counter,
    bytes_in: Counter,
    bytes_out: Counter,
}

/// What was sent in one encoding without being compressed for it.
#[derive(Debug, Default)]
struct Reused {
    responses: Counter,
    saved: Counter,
}

impl WorkerMetrics {
    /// Counts a client connection, once it is known what it speaks.
    pub fn connection_speaks(&self, protocol: Protocol) {
        self.connections_by_protocol[protocol as usize].increment();
    }

    /// Counts a TLS handshake with a client.
    pub fn handshake(&self, result: HandshakeResult) {
        self.handshakes[result as usize].increment();
    }

    /// Counts a connection that had to begin with a PROXY header.
    pub fn proxy_header(&self, result: ProxyHeaderResult) {
        self.proxy_headers[result as usize].increment();
    }

    /// Counts a client connection that was turned away.
    pub fn connection_refused(&self, reason: ConnectionRefusal) {
        self.connections_refused[reason as usize].increment();
    }

    /// Counts a request that was answered with an error instead of being forwarded.
    pub fn request_refused(&self, reason: RequestRefusal) {
        self.requests_refused[reason as usize].increment();
    }

    /// Counts a response that was compressed: bytes of its body before and after.
    pub fn compressed(&self, encoding: Encoding, bytes_in: u64, bytes_out: u64) {
        let of = &self.compressed[encoding as usize];
        of.responses.increment();
        of.bytes_in.add(bytes_in);
        of.bytes_out.add(bytes_out);
    }

    /// Counts a response whose compressed body was there already: bytes of its body before and after.
    pub fn compress_reused(&self, encoding: Encoding, bytes_in: u64, bytes_out: u64) {
        let of = &self.compress_reused[encoding as usize];
        of.responses.increment();
        of.saved.add(bytes_in.saturating_sub(bytes_out));
    }

    /// Counts a response that went out as it was although its client accepts it compressed.
    pub fn compress_skipped(&self, reason: CompressSkipped) {
        self.compress_skipped[reason as usize].increment();
    }

    /// Responses compressed in `encoding`, and bytes of their bodies before and after.
    pub fn compressed_in(&self, encoding: Encoding) -> (u64, u64, u64) {
        let of = &self.compressed[encoding as usize];
        (of.responses.value(), of.bytes_in.value(), of.bytes_out.value())
    }

    /// Responses in `encoding` whose compressed bodies were there already, and the bytes that they saved.
    pub fn compressions_reused(&self, encoding: Encoding) -> (u64, u64) {
        let of = &self.compress_reused[encoding as usize];
        (of.responses.value(), of.saved.value())
    }

    /// Responses that went out as they were for `reason`.
    pub fn compressions_skipped(&self, reason: CompressSkipped) -> u64 {
        self.compress_skipped[reason as usize].value()
    }

    /// Client connections that speak `protocol`.
    pub fn connections_by_protocol(&self, protocol: Protocol) -> u64 {
        self.connections_by_protocol[protocol as usize].value()
    }

    /// TLS handshakes that ended with `result`.
    pub fn handshakes(&self, result: HandshakeResult) -> u64 {
        self.handshakes[result as usize].value()
    }

    /// Connections that had to begin with a PROXY header, and began with what `result` says.
    pub fn proxy_headers(&self, result: ProxyHeaderResult) -> u64 {
        self.proxy_headers[result as usize].value()
    }

    /// Client connections turned away for `reason`.
    pub fn connections_refused(&self, reason: ConnectionRefusal) -> u64 {
        self.connections_refused[reason as usize].value()
    }

    /// Requests answered with an error for `reason`.
    pub fn requests_refused(&self, reason: RequestRefusal) -> u64 {
        self.requests_refused[reason as usize].value()
    }
}
