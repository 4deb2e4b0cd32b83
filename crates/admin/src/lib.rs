//! The HTTP API that operators, scrapers and probes talk to: it reads a snapshot, sends commands, and knows nothing
//! of the data path.
//!
//! | route | answer |
//! |---|---|
//! | `GET /` | the dashboard to a browser, an index of these routes to others |
//! | `GET /assets/{file}` | a file of the dashboard, without the token |
//! | `GET /healthz` | 200 while the process lives; never asks for the token |
//! | `GET /readyz` | 200 when requests can be served, else 503 and why |
//! | `GET /metrics` | Prometheus text format 0.0.4 |
//! | `GET /status` | listeners, pools and servers as JSON |
//! | `POST /reload` | reads the configuration again; 422 and its faults when it is refused |
//! | `GET /cache` | what the cache holds and how often it answered, as JSON |
//! | `POST /cache/purge` | `{"url": ..}`, `{"prefix": ..}`, `{"host": ..}`, `{"tag": ..}` or `{"all": true}`, with `"soft": true` or without |
//! | `PUT /pools/{pool}/servers/{id}` | `{"state": "drain" or "ready", "weight": 0 to 1000}`, either or both |
//!
//! The id of a server is the rest of the path, percent-decoded: `unix:/run/a.sock` may stand as it is or as
//! `unix:%2Frun%2Fa.sock`, and `[::1]:80` as `%5B::1%5D:80`. Every refusal is answered as `{"error": "..."}`.

mod assets;
mod body;
mod cache;
mod command;
mod connections;
mod context;
mod discovery;
mod guard;
mod metrics;
mod purge;
mod refusal;
mod routes;
mod serve;
mod status;
mod streams;

pub use context::{Context, Request};
pub use serve::{Listener, serve};
