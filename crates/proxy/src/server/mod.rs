//! Servers: the connections kept to them, opening new ones, and what they answer.

pub mod error;
pub mod h1;
pub mod h2;
mod pool;
pub mod probe;

pub use pool::{Connection, InFlight, Link, Upstream};
