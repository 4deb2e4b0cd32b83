//! Rate limits: whether a request may pass, how long it would have to wait, and what is remembered of each key; and a limit on
//! what is in flight that follows from what is observed.

pub mod adaptive;
pub mod gcra;
pub mod key;
mod limiter;
mod shared;
mod table;

pub use gcra::{Gcra, Standing, Tat};
pub use key::network;
pub use limiter::{LIMITS_MAX, LimitVerdict, Limiter, Limits, Mask, ask, put_back};
pub use shared::{Backoff, Question, SCRIPT};
pub use table::Table;

#[cfg(test)]
mod tests;
