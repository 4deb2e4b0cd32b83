//! Every decision of the balancer as a pure function: facts, a time and a random source in, a decision and its
//! reason out. Knows no socket, no runtime and no clock.

pub mod admission;
pub mod balance;
pub mod breaker;
pub mod cache;
pub mod choose;
pub mod compress;
pub mod conditional;
pub mod confirm;
pub mod discovery;
pub mod encoding;
pub mod endpoints;
pub mod explain;
pub mod files;
pub mod health;
mod keys;
pub mod l4;
pub mod limit;
pub mod overload;
pub mod plan;
pub mod range;
pub mod retry;
pub mod route;
pub mod snapshot;
pub mod sticky;
mod sync;
pub mod trace_context;
