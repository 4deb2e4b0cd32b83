//! TLS as the two ends of a connection see it: real handshakes in memory, with certificates made for each test.
#![allow(clippy::unwrap_used, missing_docs)]

mod checks;
mod choice;
mod clients;
mod fixture;
mod handshake;
mod hello;
mod profiles;
mod refresh;
mod resumption;
mod staple;
mod upstream;
