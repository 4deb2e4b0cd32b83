//! `minigram up` as a user starts it: the real programs, over real sockets.
#![allow(clippy::unwrap_used)]

mod client;
mod configuration;
mod load;
mod parts;
mod whole;
mod world;
