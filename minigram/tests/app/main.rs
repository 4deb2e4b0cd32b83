//! The application by its sockets: three servers that share the embedded engines.
#![allow(clippy::unwrap_used)]

mod account;
mod people;
mod world;
