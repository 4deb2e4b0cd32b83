//! `minigram up` as a user starts it: the real programs, over real sockets.
#![allow(clippy::unwrap_used)]

mod client;
mod configuration;
#[path = "../support/evenkeel.rs"]
mod evenkeel;
mod load;
mod parts;
mod real;
mod whole;
mod world;
