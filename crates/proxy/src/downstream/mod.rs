//! Clients: what they send becomes an exchange, and the exchange's response goes back to them.

pub mod h1;
pub mod reply;
