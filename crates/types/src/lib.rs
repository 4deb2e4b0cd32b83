//! Newtypes and ids that every other crate speaks in, so that names cannot be confused with one another.

mod address;
mod expiry;
mod name;
mod time;

pub use address::{Address, AddressError};
pub use expiry::{Expiry, in_words};
pub use name::{BackendId, ListenerName, PoolName, RouteName};
pub use time::{Clock, Time};
