//! Clients: what they send becomes a request, and its response goes back to them.

pub mod connection;
pub mod count;
pub mod h1;
pub mod h2;
pub mod linger;
pub mod writer;
