//! HTTP/2 as a state machine without IO and clock: bytes in, events out; commands in, bytes out; time an argument.
//!
//! One [`Connection`] is either side of RFC 9113, with header compression (RFC 7541), extended CONNECT (RFC 8441),
//! priorities (RFC 9218) and ORIGIN (RFC 8336). It starts no task, opens no socket and holds no queue: what does not fit
//! the peer's windows stays with the caller, and everything that a peer can make it hold or do has a limit in [`Config`].
//!
//! ```
//! use evenkeel_http2::{Config, Connection, Event, Head, Request};
//! use evenkeel_types::Time;
//!
//! let now = Time::ZERO;
//! let mut client = Connection::client(Config::client(), now);
//! let mut server = Connection::server(Config::server(), now);
//! let request = Request { method: b"GET", scheme: b"http", authority: b"test", path: b"/", protocol: b"" };
//! client.request(&request, [(b"accept".as_slice(), b"*/*".as_slice())], true)?;
//!
//! // What the client has written is what the server receives.
//! let mut head = Head::new();
//! let (input, mut taken) = (client.output().to_vec(), 0);
//! loop {
//!     let received = server.receive(&input[taken..], &mut head, now)?;
//!     taken += received.taken;
//!     match received.event {
//!         Some(Event::Head { stream, ends, .. }) => {
//!             assert_eq!((head.method(), head.path(), ends), (b"GET".as_slice(), Some(b"/".as_slice()), true));
//!             server.respond(stream, 200, [(b"content-type".as_slice(), b"text/plain".as_slice())], false)?;
//!             assert_eq!(server.send_data(stream, b"hello", true)?, 5);
//!         }
//!         Some(_) => {}
//!         None => break,
//!     }
//! }
//! client.sent(input.len());
//! assert!(!server.output().is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod budget;
mod config;
mod connection;
mod error;
mod event;
mod flow;
mod frame;
mod head;
mod hpack;
mod message;
mod pace;
mod priority;
mod schedule;
mod settings;
mod streams;

pub use budget::BudgetConfig;
pub use config::{Config, Keepalive, Pace};
pub use connection::{Connection, Role};
pub use error::{Code, CommandError, ConnectionError, HEAD_TIMEOUT, StreamError};
pub use event::{Event, HeadKind, Received};
pub use frame::PREFACE;
pub use head::{Field, Head, HeadLimits};
pub use hpack::{Decoder, Encoder};
pub use message::Request;
pub use priority::Priority;
pub use settings::Settings;
pub use streams::StreamId;
