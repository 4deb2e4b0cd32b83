//! `minigram up` as a user starts it: the real programs, over real sockets.
#![allow(clippy::unwrap_used)]

mod balancer;
mod client;
#[path = "../support/collector.rs"]
mod collector;
mod configuration;
mod edge;
#[path = "../support/evenkeel.rs"]
mod evenkeel;
mod load;
mod moving;
mod parts;
mod real;
mod traced;
mod whole;
mod world;
