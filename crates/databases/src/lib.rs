//! Checks of databases: signs in to a server and asks which role it has. What follows from the answers is decided in
//! `core::health`.
//!
//! Nothing that a server sends is trusted: each answer is bounded (`link.rs`), what is shown of it is cut and cleaned,
//! and the password never gets into a message.

mod failure;
mod link;
mod postgres;
mod redis;
mod session;

pub use link::Server;
pub use postgres::answer::{PostgresAnswer, read_postgres};
pub use redis::resp::{Reply, read_reply};
pub use session::{Session, check};
