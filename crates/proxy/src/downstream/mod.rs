//! Clients: what they send becomes an exchange, and the exchange's response goes back to them.

pub mod client;
pub mod h1;
pub mod h2;
pub mod reply;
