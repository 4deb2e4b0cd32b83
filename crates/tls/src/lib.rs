//! TLS: which certificate a client gets, which clients and servers are trusted, and how certificate files are followed.
//!
//! [`ServerTls`] is one listener's side of TLS, [`ClientTls`] one pool's. Both are made from files, hand out a
//! configuration of rustls, and read their files again in [`ServerTls::refresh`] and [`ClientTls::refresh`], which the
//! control thread calls every few seconds. Neither opens a socket: the data path drives them through `tokio_rustls`.
//!
//! ```no_run
//! # fn shown(listener: &evenkeel_config::Listener, tls: &evenkeel_config::ListenerTls) -> Result<(), evenkeel_tls::TlsError> {
//! let server = evenkeel_tls::ServerTls::load(tls, listener.http)?;
//! let accepted_with = server.config(); // for each connection: TlsAcceptor::from(server.config())
//! let coverage = server.coverage(Some("shop.example.com")); // once for each connection, with its SNI
//! assert!(coverage.covers("shop.example.com")); // else the answer to a request for that host is 421
//! # Ok(()) }
//! ```
//!
//! What is not here: early data (never taken), renegotiation (rustls has none), ACME.

mod certificate;
mod check;
mod client;
mod crypto;
mod error;
mod file;
mod identity;
mod names;
mod ocsp;
mod server;
mod store;
mod subject;
mod trust;

pub use check::check;
pub use client::{ClientTls, system_client};
pub use error::{Reason, TlsError};
pub use file::{Change, Stale};
pub use identity::ClientIdentity;
pub use names::Coverage;
pub use server::{CertificateStatus, ServerTls};
