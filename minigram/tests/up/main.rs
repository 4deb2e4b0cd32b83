//! `minigram up` as a user starts it: the real programs, over real sockets.

mod client;
mod configuration;
mod whole;
mod world;
