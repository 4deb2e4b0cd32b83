//! A simulated pool and its route, as their configuration reads.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_config::Config;

/// What is said of one server.
#[derive(Debug, Clone, Copy)]
pub struct Backend {
    /// `weight`
    pub weight: u32,
    /// `backup`
    pub backup: bool,
    /// `max_connections`
    pub max_connections: Option<u32>,
}

impl Backend {
    /// A server of which nothing is said.
    pub const PLAIN: Self = Self { weight: 1, backup: false, max_connections: None };
}

/// The configuration of one pool of these servers, whose answers must begin within `response`, with more `keys` of its own and
/// of its route.
///
/// # Panics
/// When that is no valid configuration.
pub fn read(
    algorithm: &str,
    servers: &[Backend],
    (keys, route): (&str, &str),
    response: Duration,
) -> Arc<Config> {
    let mut text = format!(
        "[listener.web]\nbind = 80\n[[route]]\npool = \"app\"\n{route}\n[pool.app]\nalgorithm = \"{algorithm}\"\n\
         timeout = {{ response = \"{}ms\" }}\n{keys}\nbackends = [\n",
        response.as_millis()
    );
    for (nth, Backend { weight, backup, max_connections }) in servers.iter().enumerate() {
        let (high, low) = (nth / 250, nth % 250 + 1);
        let max = max_connections.map_or(String::new(), |max| format!(", max_connections = {max}"));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{{ address = \"10.0.{high}.{low}:80\", weight = {weight}, backup = {backup}{max} }},"
        );
    }
    text.push_str("]\n");
    let parsed =
        evenkeel_config::parse("simulation", &text).unwrap_or_else(|faults| panic!("{faults}\nof\n{text}"));
    Arc::new(parsed.config)
}
