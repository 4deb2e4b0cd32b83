//! Processes that MiniGram starts: as an ordinary user, with their output in a log, and gone when the process that started them is.
//!
//! [`Program`] says what to start, [`Process`] is it running. [`keep`] is for programs whose children leave them, such as Patroni,
//! which starts PostgreSQL as a process of its own. [`Ports`] keeps ports free for programs that are down.

pub mod keep;
mod ports;
mod program;
mod running;
mod spawner;
pub mod tree;
mod user;
pub mod watchdog;

pub use ports::{Port, Ports};
pub use program::Program;
pub use running::{Process, wait_until};
pub use user::User;
