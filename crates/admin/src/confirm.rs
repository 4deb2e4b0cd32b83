//! `POST /confirm`, and the part of `POST /reload` and `GET /status` on a configuration that awaits its confirmation.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request as HttpRequest, State};
use evenkeel_core::snapshot::Command;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Number;
use utoipa::ToSchema;

use crate::body;
use crate::by::Behalf;
use crate::command::{Asked, carry_out};
use crate::context::Context;
use crate::refusal::{ErrorBody, Refusal};
use crate::rounded::seconds;

/// The longest time to confirm a configuration in: one day.
const CONFIRM_SECONDS_MAX: u64 = 86_400;

/// What `POST /reload` asks for; without a body it is a plain reload.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reload {
    /// The previous configuration comes back after this time without a `POST /confirm`, or sooner if errors jump.
    #[serde(default, deserialize_with = "confirm_seconds")]
    #[schema(minimum = 1, maximum = 86400)]
    confirm_seconds: Option<u64>,
}

fn confirm_seconds<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u64>, D::Error> {
    let number = Number::deserialize(value)?;
    match number.as_u64() {
        Some(seconds) if (1..=CONFIRM_SECONDS_MAX).contains(&seconds) => Ok(Some(seconds)),
        _ => Err(D::Error::custom(format!(
            "`confirm_seconds` is a whole number from 1 to {CONFIRM_SECONDS_MAX}, not {number}"
        ))),
    }
}

impl Reload {
    pub(crate) async fn read(request: HttpRequest) -> Result<Self, Refusal> {
        body::optional(request, "{\"confirm_seconds\": 60}").await
    }

    pub(crate) fn command(&self) -> Command {
        match self.confirm_seconds {
            Some(seconds) => Command::Try { within: Duration::from_secs(seconds) },
            None => Command::Reload,
        }
    }
}

/// A configuration that goes back by itself unless it is confirmed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AwaitingConfirmation {
    /// Until it goes back.
    seconds_left: f64,
    /// The generation that would come back, with a new number.
    generation_before: u64,
}

impl AwaitingConfirmation {
    pub(crate) fn of(context: &Context) -> Option<Self> {
        let awaiting = context.awaiting.load();
        let awaiting = awaiting.as_ref()?;
        let seconds_left = seconds(awaiting.until.since(context.clock.now()));
        Some(Self { seconds_left, generation_before: awaiting.before })
    }
}

/// What `POST /confirm` asks for; without a body the configuration stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Decision {
    /// The previous configuration comes back at once.
    #[serde(default)]
    go_back: bool,
}

/// The outcome.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Decided {
    /// That of the configuration in force, as in `/status`.
    generation: u64,
    /// False if the previous configuration has come back.
    confirmed: bool,
}

/// Keep the configuration that awaits its confirmation, or go back to the previous one
#[utoipa::path(post, path = "/confirm", tag = "commands", request_body = Option<Decision>, responses(
    (status = 200, body = Decided, description = "The configuration stays, or the previous one has come back."),
    (status = 400, body = ErrorBody, description = "The body is wrong."),
    (status = 408, body = ErrorBody, description = "The body came too slowly."),
    (status = 413, body = ErrorBody, description = "The body is too large."),
    (status = 415, body = ErrorBody, description = "The body does not say that it is JSON."),
    (status = 422, body = ErrorBody, description = "No configuration awaits its confirmation."),
    (status = 503, body = ErrorBody, description = "The process is leaving."),
    (status = 504, body = ErrorBody, description = "There is no outcome yet."),
))]
pub(crate) async fn confirm(
    State(context): State<Arc<Context>>,
    Behalf(by): Behalf,
    request: HttpRequest,
) -> Result<Json<Decided>, Refusal> {
    let Decision { go_back } = body::optional(request, "{\"go_back\": true}").await?;
    carry_out(&context, Asked::new(Command::Confirm { keep: !go_back }, by)).await?;
    Ok(Json(Decided { generation: context.snapshot.load().generation, confirmed: !go_back }))
}
