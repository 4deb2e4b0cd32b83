//! The application by its sockets: three servers that share the embedded engines.
#![allow(clippy::unwrap_used)]

mod account;
mod breakable;
mod caching;
mod live;
mod observed;
mod people;
mod photos;
mod repeated;
mod social;
mod world;
