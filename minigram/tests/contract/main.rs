//! What every engine of a port must do, whichever it is. A new engine is added as `embedded.rs` is: a function that
//! starts it for each port, and one line for each contract.
#![allow(clippy::unwrap_used)]

#[macro_use]
mod subject;
#[macro_use]
mod store;
#[macro_use]
mod sessions;
#[macro_use]
mod cache;
#[macro_use]
mod queue;
#[macro_use]
mod bus;
#[macro_use]
mod blobs;

mod embedded;
mod real;
#[path = "../support/mod.rs"]
mod support;
