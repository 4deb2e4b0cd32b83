//! `POST /reload` and `PUT /pools/{pool}/servers/{id}`: commands are read and sent to the control thread, and their outcome is the answer.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request as HttpRequest, State};
use axum::http::StatusCode;
use evenkeel_core::health::Administrative;
use evenkeel_core::snapshot::{Command, CommandDone, CommandError};
use evenkeel_types::{BackendId, PoolName};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Number;
use tokio::sync::oneshot;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::body;
use crate::confirm::{AwaitingConfirmation, Reload};
use crate::context::{Context, Request};
use crate::refusal::{ErrorBody, Refusal, bad_request};
use crate::status::{self, Server};

/// For a command to be carried out.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(30);
/// The largest weight, as in the configuration.
const WEIGHT_MAX: u32 = 1000;

/// What a reload answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reloaded {
    /// The snapshot that now counts.
    generation: u64,
    /// Only of a configuration that goes back unless it is confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    awaiting_confirmation: Option<AwaitingConfirmation>,
}

/// Read the configuration again
#[utoipa::path(post, path = "/reload", tag = "commands", request_body = Option<Reload>, responses(
    (status = 400, body = ErrorBody, description = "The body is wrong."),
    (status = 408, body = ErrorBody, description = "The body came too slowly."),
    (status = 413, body = ErrorBody, description = "The body is too large."),
    (status = 415, body = ErrorBody, description = "The body does not say that it is JSON."),
    (status = 200, body = Reloaded, description = "The new configuration is in force."),
    (status = 422, body = ErrorBody, description = "The new configuration is refused, and why; the old one stays."),
    (status = 503, body = ErrorBody, description = "The process is leaving."),
    (status = 504, body = ErrorBody, description = "There is no outcome yet."),
))]
pub(crate) async fn reload(
    State(context): State<Arc<Context>>,
    request: HttpRequest,
) -> Result<Json<Reloaded>, Refusal> {
    carry_out(&context, Reload::read(request).await?.command()).await?;
    let generation = context.snapshot.load().generation;
    Ok(Json(Reloaded { generation, awaiting_confirmation: AwaitingConfirmation::of(&context) }))
}

/// Drain a server, take it back, or give it another weight
#[utoipa::path(put, path = "/pools/{pool}/servers/{id}", tag = "commands", request_body = Change,
    params(("pool", description = "The pool."), ("id", description = "The id of the server: its name, or its address.")),
    responses(
    (status = 200, body = Server, description = "The server as it is now."),
    (status = 404, body = ErrorBody, description = "There is no such pool or server."),
    (status = 422, body = ErrorBody, description = "What is asked for cannot be."),
    (status = 408, body = ErrorBody, description = "The body came too slowly."),
    (status = 413, body = ErrorBody, description = "The body is too large."),
    (status = 415, body = ErrorBody, description = "The body does not say that it is JSON."),
    (status = 503, body = ErrorBody, description = "The process is leaving."),
    (status = 504, body = ErrorBody, description = "There is no outcome yet."),
))]
pub(crate) async fn server(
    State(context): State<Arc<Context>>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: HttpRequest,
) -> Result<Json<Server>, Refusal> {
    let Path((pool, id)) = path.map_err(|fault| bad_request(fault.body_text()))?;
    let (pool, id) = (PoolName::from(pool), BackendId::from(id));
    let change = Change::parse(&body::read(request).await?)?;
    let command = Command::Server {
        pool: pool.clone(),
        id: id.clone(),
        administrative: change.state.map(Administrative::from),
        weight: change.weight,
    };
    carry_out(&context, command).await?;
    status::server(&context, &pool, &id)
        .map(Json)
        .ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, format!("{pool} has no server {id} any more")))
}

/// What a `PUT` asks for. A key that is left out changes nothing.
#[derive(Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    #[serde(default, deserialize_with = "wanted")]
    state: Option<Wanted>,
    #[serde(default, deserialize_with = "weight")]
    weight: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Administrative)]
enum Wanted {
    Drain,
    Ready,
}

impl From<Wanted> for Administrative {
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Drain => Self::Drain,
            Wanted::Ready => Self::Ready,
        }
    }
}

fn wanted<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Wanted>, D::Error> {
    body::present(value)
}

fn weight<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u32>, D::Error> {
    let number = Number::deserialize(value)?;
    match number.as_u64().and_then(|weight| u32::try_from(weight).ok()) {
        Some(weight) if weight <= WEIGHT_MAX => Ok(Some(weight)),
        _ => {
            Err(D::Error::custom(format!("`weight` is a whole number from 0 to {WEIGHT_MAX}, not {number}")))
        }
    }
}

impl Change {
    fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let change: Self = body::parse(body, "{\"state\": \"drain\"}")?;
        if change == (Self { state: None, weight: None }) {
            return Err(bad_request("say `state`, `weight` or both"));
        }
        Ok(change)
    }
}

/// Sends a command and waits for its outcome.
pub(crate) async fn carry_out(context: &Context, command: Command) -> Result<CommandDone, Refusal> {
    let gone = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the process is leaving");
    let (answer, outcome) = oneshot::channel();
    let ask = async {
        context.commands.send(Request { command, answer }).await.map_err(|_| gone())?;
        outcome.await.map_err(|_| gone())
    };
    let late =
        |_| Refusal::new(StatusCode::GATEWAY_TIMEOUT, "no outcome within 30 s; it may still take effect");
    timeout(COMMAND_TIME_MAX, ask).await.map_err(late)??.map_err(|error| match error {
        CommandError::NotFound(why) => Refusal::new(StatusCode::NOT_FOUND, why),
        CommandError::Refused(why) => Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, why),
    })
}
