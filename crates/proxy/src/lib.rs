//! The data path: from a client's connection to a server's and back, in request order: `serve`, `downstream`,
//! `handle` with its stages, `upstream`.

mod accept;
mod buffer;
mod clients;
mod downstream;
mod exchange;
pub mod h1;
pub mod h2;
mod handle;
mod lateness;
mod message;
mod redis;
mod serve;
mod shared;
mod stage;
mod tally;
mod timer;
mod tunnel;
mod upstream;
mod version;
mod view;
mod worker;

pub use downstream::client::Secure;
pub use exchange::Request;
pub use shared::{Credentials, Event, Shared, Start};
pub use stage::admit::{Origin, Refusal, admit};
pub use upstream::probe::{Probed, probe};
pub use version::Version;
pub use worker::{WorkerHandle, spawn};
