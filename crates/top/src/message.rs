//! The messages of `GET /live`, as far as the screen shows them. Fields that another version of the process does not send are
//! empty.

use serde::Deserialize;

/// One message.
#[derive(Debug)]
pub enum Message {
    /// The points of the last minutes.
    History(Vec<Point>),
    /// A second has passed.
    Tick(Box<Tick>),
    /// Something has happened.
    Event(Event),
    /// There is no stream, and why.
    Lost(String),
}

/// Everything in one second.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Tick {
    /// In seconds since the Unix epoch.
    pub at: f64,
    /// The figures of the second.
    pub point: Point,
    /// What is wrong, the worst first.
    pub problems: Vec<Problem>,
    /// The process, its pools and servers.
    pub status: Status,
}

/// The figures of one second.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Point {
    /// Requests a second.
    pub rps: f64,
    /// Client connections open.
    pub connections: i64,
}

/// The history of a stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct History {
    /// The oldest first.
    pub points: Vec<Point>,
}

/// Something that is wrong.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// `critical` or `warning`.
    pub severity: String,
    /// A sentence.
    pub what: String,
    /// In seconds since the Unix epoch.
    pub since: f64,
}

/// Something that has happened.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Event {
    /// Its number.
    pub seq: u64,
    /// In seconds since the Unix epoch.
    pub at: f64,
    /// `info`, `warning` or `critical`.
    pub severity: String,
    /// A sentence.
    pub what: String,
    /// The pool that it concerns.
    pub pool: Option<String>,
    /// Who caused it.
    pub who: Option<String>,
    /// Why.
    pub why: Option<String>,
}

/// The process.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// Its number.
    pub pid: u32,
    /// How long it has run.
    pub uptime_seconds: f64,
    /// Its configuration.
    pub generation: u64,
    /// Whether it is leaving.
    pub leaving: bool,
    /// All requests of the last seconds.
    pub now: Now,
    /// Its pools.
    pub pools: Vec<Pool>,
}

/// The last seconds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Now {
    /// Requests a second.
    pub rps: f64,
    /// Those of them that failed, a second.
    pub errors: f64,
    /// In milliseconds.
    pub p50: Option<f64>,
    /// In milliseconds.
    pub p95: Option<f64>,
    /// In milliseconds.
    pub p99: Option<f64>,
    /// Requests in flight.
    pub in_flight: i64,
}

/// A pool.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Servers that may get a request.
    pub usable: usize,
    /// The last seconds.
    pub now: Now,
    /// Its servers.
    pub servers: Vec<Server>,
}

/// A server.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Server {
    /// Its name or address.
    pub id: String,
    /// Its address.
    pub address: String,
    /// Its state.
    pub state: String,
    /// The reason for the state.
    pub reason: String,
    /// How long it has been in the state.
    pub since_seconds: f64,
    /// Its weight.
    pub weight: u32,
    /// The last seconds.
    pub now: Now,
}
