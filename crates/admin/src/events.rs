//! `GET /events`: the latest events, the newest first.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use evenkeel_observe::events::{self, EVENTS_MAX, EventKind};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::context::Context;
use crate::refusal::{Refusal, bad_request};

/// Events in an answer if the request does not say.
const LIMIT_DEFAULT: usize = 100;

/// Something that has happened.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Event {
    /// Grows by one with each event, from 1 when the process starts.
    pub(crate) seq: u64,
    /// Seconds since the Unix epoch.
    at: f64,
    kind: &'static str,
    /// `info`, `warning` or `critical`.
    severity: &'static str,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl From<events::Event> for Event {
    fn from(event: events::Event) -> Self {
        Self {
            seq: event.seq,
            at: (event.at * 1e3).round() / 1e3,
            kind: event.kind.as_str(),
            severity: event.severity.as_str(),
            what: event.what,
            pool: event.pool.map(|pool| pool.to_string()),
            server: event.server.map(|server| server.to_string()),
            listener: event.listener.map(|listener| listener.to_string()),
            who: event.who,
            why: event.why,
        }
    }
}

/// Which events are asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// The most events in the answer: 100 if it is left out, at most 1,000.
    limit: Option<usize>,
    /// Only those of this kind.
    kind: Option<String>,
}

/// The answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Events {
    events: Vec<Event>,
}

/// The latest events, the newest first
#[utoipa::path(get, path = "/events", tag = "figures", params(Wanted), responses(
    (status = 200, body = Events, description = "The latest events."),
))]
pub(crate) async fn events(
    State(context): State<Arc<Context>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Events>, Refusal> {
    let Query(Wanted { limit, kind }) = wanted.map_err(|fault| bad_request(fault.body_text()))?;
    let kind = kind.map(|name| known(&name)).transpose()?;
    let limit = limit.unwrap_or(LIMIT_DEFAULT).min(EVENTS_MAX);
    let events = context.registry.events.newest(limit, kind);
    Ok(Json(Events { events: events.into_iter().map(Event::from).collect() }))
}

fn known(name: &str) -> Result<EventKind, Refusal> {
    EventKind::named(name).ok_or_else(|| {
        let kinds: Vec<_> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
        bad_request(format!("`kind` is one of {}, not {name:?}", kinds.join(", ")))
    })
}
