//! The HTTP API that operators, scrapers and probes talk to: it reads a snapshot, sends commands, and knows nothing
//! of the data path.
//!
//! `GET /` lists the routes, and `GET /openapi.json` describes them for programs; both follow from the functions that
//! answer (`routes.rs`).
//!
//! The id of a server is the rest of the path, percent-decoded: `unix:/run/a.sock` may stand as it is or as
//! `unix:%2Frun%2Fa.sock`, and `[::1]:80` as `%5B::1%5D:80`. Every refusal is answered as `{"error": "..."}`.

mod assets;
mod body;
mod by;
mod cache;
mod command;
mod config;
mod confirm;
mod connections;
mod context;
mod discovery;
mod events;
mod explain;
mod file;
mod guard;
mod live;
mod metrics;
mod notes;
mod openapi;
mod peer;
mod pool;
mod process;
mod purge;
mod question;
mod refusal;
mod requests;
mod rounded;
mod routes;
mod serve;
mod split;
mod status;
mod streams;
mod tag;
mod upgrade;

pub use by::By;
pub use command::LEVELS;
pub use context::{Context, Request, Upgrade, Upgraded};
pub use live::follow::follow;
pub use live::state::Live;
pub use pool::WEIGHT_MAX;
pub use question::{Explainer, Question, Values};
pub use serve::{Listener, serve};
pub use split::SHARE_MAX;
