//! Servers: the connections kept to them, opening new ones, and the round trip of a request and its answer.

mod counted;
pub mod error;
pub mod exchange;
pub mod h1;
pub mod h2;
mod names;
mod outgoing;
mod pool;
mod postgres;
pub mod probe;
mod sender;
pub mod upload;

pub use pool::{Asker, Connection, Link, Upstream};
pub use sender::Sender;
