//! The part of `GET /status` on discovered servers: where each server comes from, and how a pool is asked for.

use evenkeel_config::{Backend, Pool};
use evenkeel_core::discovery::DiscoveryState;
use evenkeel_types::Time;
use serde::Serialize;
use utoipa::ToSchema;

use crate::rounded::seconds;

/// How a pool discovers its servers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Discovery {
    /// The source: `dns api.internal:8080`.
    source: String,
    /// Servers of the last good answer.
    found: usize,
    /// Since the last question; none before the first.
    asked_seconds_ago: Option<f64>,
    /// Until the next question.
    next_in_seconds: Option<f64>,
    /// Since all was answered for the last time; none if it never was.
    succeeded_seconds_ago: Option<f64>,
    /// Why not all was answered the last time; none if it was.
    error: Option<String>,
}

impl Discovery {
    /// That of a pool, as configured; none if it discovers no servers.
    pub(crate) fn of(configured: &Pool, state: Option<&DiscoveryState>, now: Time) -> Option<Self> {
        let source = configured.discover.as_ref()?;
        let state = state.filter(|state| state.source == *source);
        let ago = |time: Time| seconds(now.since(time));
        Some(Self {
            source: source.to_string(),
            found: state.map_or(0, |state| state.servers.len()),
            asked_seconds_ago: state.map(|state| ago(state.asked)),
            next_in_seconds: state.map(|state| seconds(state.next.since(now))),
            succeeded_seconds_ago: state.and_then(|state| state.succeeded).map(ago),
            error: state.and_then(|state| state.error.clone()),
        })
    }
}

/// Where a server comes from: `configuration`, `command`, or the source that it was discovered by.
pub(crate) fn origin(server: &Backend, configured: &Pool, state: Option<&DiscoveryState>) -> &'static str {
    if configured.backends.contains(server) {
        return "configuration";
    }
    match state.filter(|state| state.servers.contains(server)) {
        Some(state) => state.source.kind(),
        None => "command",
    }
}
