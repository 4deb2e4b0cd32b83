//! Sends the spans of traced requests to a collector, by OTLP over HTTP, on a thread of its own: a collector that is slow
//! or unreachable costs spans, never time on the request path.

mod client;
mod exporter;
mod span;
mod thread;

pub use client::Collector;
pub use exporter::Exporter;
