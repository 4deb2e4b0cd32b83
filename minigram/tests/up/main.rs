//! `minigram up` as a user starts it: the real programs, over real sockets.

mod client;
mod configuration;
mod parts;
mod whole;
mod world;
