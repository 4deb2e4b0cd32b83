//! Real databases for tests: a PostgreSQL primary with streaming replicas, and Redis servers, from Debian's packages.
//!
//! They run as an ordinary user on free ports, in a folder of their own below the system's temporary folder, and end with the
//! value that started them, even if the test panics; the kernel ends them when the thread that started them ends. This
//! module uses nothing of the other test support, so that other programs can take it as it is.

mod postgres;
mod process;
mod redis;
mod session;
mod writer;

pub use postgres::{Cluster, Node};
pub use process::time_of_day;
pub use redis::RedisNode;
pub use session::Session;
pub use writer::{Outcome, Try, Writer, longest_gap};
