//! What clients talk to: the HTTP API and its WebSocket, on axum. A server keeps nothing that another one would miss.

mod account;
mod auth;
mod bodies;
mod cacheable;
mod comments;
mod core_share;
pub mod edge;
mod guard;
mod health;
mod likes;
mod live;
mod media;
mod metrics;
mod notices;
mod observe;
mod people;
mod photos;
mod problem;
mod requests;
mod routes;
mod serve;
mod server;
mod settings;
mod sign_in_limits;
mod topics;
mod upload;
mod writes;

pub use serve::serve;
pub use server::{App, Server};
pub use settings::{AppSettings, Leaving, Limits};
