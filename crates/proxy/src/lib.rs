//! The data path: from a client's connection to a server's and back, in request order: `accept`, `serve`, `client`,
//! `request`, `forward`, `server`.

mod accept;
mod body;
mod cache;
mod client;
mod files;
mod filter;
mod forward;
mod handover;
pub mod http;
mod http2;
mod l4;
mod proxied;
mod request;
mod response;
mod serve;
mod server;
mod shared;
mod stream;
mod worker;

pub use cache::store::Store as CacheStore;
pub use cache::{Beside, RequestFields, beside};
pub use evenkeel_cache::Outgoing as OutgoingPurges;
pub use evenkeel_cache::Released as ReleasedDisk;
pub use handover::{HandedSession, ListeningSocket, SessionRecord, StationSessions, Successor};
pub use http::version::Version;
pub use request::admit::{Origin, Refusal, Secure, admit};
pub use request::incoming::Request;
pub use server::Sender;
pub use server::probe::{Probed, probe};
pub use shared::{Credentials, Event, Shared, Start, open_store, store_limits};
pub use worker::run::{WorkerHandle, spawn};
