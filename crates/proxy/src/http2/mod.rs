//! What connections of HTTP/2 to clients and to servers have in common: the state machine, its streams, its bytes on the
//! wire, and its turns.

pub mod config;
mod exchange;
mod session;
mod turn;
mod wire;

pub use self::exchange::{Answer, Exchange, Failure};
pub use self::session::Session;
pub use self::turn::Turn;
pub use self::wire::Wire;
