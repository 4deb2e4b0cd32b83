//! The application by its sockets: three servers that share the embedded engines.
#![allow(clippy::unwrap_used)]

mod account;
mod breakable;
mod caching;
mod edge;
#[path = "../support/edge.rs"]
mod fake_edge;
mod live;
mod observed;
mod people;
mod photos;
mod repeated;
mod social;
mod world;
