//! What connections of HTTP/2 to clients and to servers have in common: the state machine, its streams, and its bytes on the
//! wire.

mod exchange;
mod session;
mod wire;

pub use self::exchange::{Answer, Exchange, Failure};
pub use self::session::Session;
pub use self::wire::Wire;
