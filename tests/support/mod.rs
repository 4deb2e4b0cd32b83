//! The harness: the real binary, scriptable servers behind it, and a strict raw client in front of it.

pub mod cache;
pub mod chaos;
pub mod client;
pub mod collector;
pub mod disk;
pub mod dns;
pub mod engines;
pub mod evenkeel;
pub mod h2;
pub mod live;
pub mod log;
pub mod message;
pub mod origin;
pub mod port;
pub mod redis;
pub mod slow;
pub mod stalling;
pub mod tls;
pub mod traffic;
pub mod wait;
pub mod wire;

#[cfg(test)]
mod tests;

pub use client::Client;
pub use collector::Collector;
pub use dns::{Dns, Neighbours};
pub use evenkeel::{Evenkeel, Folder, assert_rows, cli, explain_file, pool};
pub use message::{Fault, Framing, Response};
pub use origin::{Origin, answer, chunked, ok};
pub use port::Port;
pub use redis::Redis;
pub use slow::Slow;
pub use tls::{Authority, TlsClient, self_signed};
pub use traffic::Traffic;
pub use wait::{DEADLINE, Gate, eventually, ms};
pub use wire::Wire;
