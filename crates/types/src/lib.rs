//! Newtypes and ids that every other crate speaks in, so that names cannot be confused with one another.

mod address;
mod digits;
mod expiry;
mod name;
mod request_id;
mod text;
mod time;

pub use address::{Address, AddressError};
pub use digits::three_digits;
pub use expiry::{Expiry, in_words};
pub use name::{BackendId, ListenerName, PoolName, RouteName};
pub use request_id::RequestIdText;
pub use text::{cut, one_line};
pub use time::{Clock, Time};
