//! The API as its users meet it: over real sockets, on a snapshot made by hand, with a control side that obeys.
#![allow(clippy::unwrap_used, missing_docs)]

mod cache;
mod command;
mod config;
mod dashboard;
mod events;
mod explain;
mod fixture;
mod guard;
mod limits;
mod live;
mod metrics;
mod openapi;
mod routes;
mod status;
