//! Commands on their way to the control thread, and those that concern no pool: `POST /reload` and `/log-level`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request as HttpRequest, State};
use axum::http::StatusCode;
use evenkeel_core::snapshot::{Command, CommandDone, CommandError};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::body;
use crate::by::{Behalf, By};
use crate::confirm::{AwaitingConfirmation, Reload};
use crate::context::{Context, Request};
use crate::refusal::{ErrorBody, Refusal, bad_request};

/// How long a command may take.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(30);
/// The levels of the log.
pub const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// A command, the peer that sent it, and its condition.
pub(crate) struct Asked {
    pub(crate) command: Command,
    pub(crate) by: By,
    /// Tags of the pool or split, one of which it must have.
    pub(crate) if_match: Option<Vec<String>>,
}

impl Asked {
    /// Without a condition.
    pub(crate) fn new(command: Command, by: By) -> Self {
        Self { command, by, if_match: None }
    }
}

/// What a reload answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reloaded {
    /// That of the configuration in force, as in `/status`.
    generation: u64,
    /// Warnings about the configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
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
    (status = 422, body = ErrorBody, description = "The process refuses the new configuration, and says why; the old one stays in force."),
    (status = 503, body = ErrorBody, description = "The process is leaving."),
    (status = 504, body = ErrorBody, description = "There is no outcome yet."),
))]
pub(crate) async fn reload(
    State(context): State<Arc<Context>>,
    Behalf(by): Behalf,
    request: HttpRequest,
) -> Result<Json<Reloaded>, Refusal> {
    let command = Reload::read(request).await?.command();
    let generation = || context.snapshot.load().generation;
    let done = carry_out(&context, Asked::new(command, by)).await;
    let done = done.map_err(|refusal| match refusal.status() {
        StatusCode::UNPROCESSABLE_ENTITY => {
            refusal.and(&format!("nothing changed: generation {} stays in force", generation()))
        }
        // The reload may still take effect, or the process is leaving.
        _ => refusal,
    });
    let warnings = match done? {
        CommandDone::Reloaded(warnings) => warnings,
        CommandDone::Done | CommandDone::Unchanged | CommandDone::Purged(_) => Vec::new(),
    };
    Ok(Json(Reloaded {
        generation: generation(),
        warnings,
        awaiting_confirmation: AwaitingConfirmation::of(&context),
    }))
}

/// The level of the log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogLevel {
    /// `error`, `warn`, `info`, `debug` or `trace`; or directives from `EVENKEEL_LOG`.
    level: String,
}

/// The level to set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLogLevel {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    #[schema(pattern = "^(error|warn|info|debug|trace)$")]
    level: String,
    /// The reason, for the log and the events.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(max_length = 500)]
    why: Option<String>,
}

/// The level of the log
#[utoipa::path(get, path = "/log-level", tag = "commands", responses((status = 200, body = LogLevel, description = "The level.")))]
pub(crate) async fn log_level(State(context): State<Arc<Context>>) -> Json<LogLevel> {
    Json(LogLevel { level: (context.log_level)() })
}

/// Change the level of the log, until the process ends; an upgrade keeps it
#[utoipa::path(put, path = "/log-level", tag = "commands", request_body = NewLogLevel, responses(
    (status = 200, body = LogLevel, description = "The level from now on."),
    (status = 408, body = ErrorBody, description = "The body came too slowly."),
    (status = 413, body = ErrorBody, description = "The body is too large."),
    (status = 415, body = ErrorBody, description = "The body does not say that it is JSON."),
    (status = 422, body = ErrorBody, description = "The log cannot be changed."),
    (status = 503, body = ErrorBody, description = "The process is leaving."),
    (status = 504, body = ErrorBody, description = "There is no outcome yet."),
))]
pub(crate) async fn set_log_level(
    State(context): State<Arc<Context>>,
    Behalf(by): Behalf,
    request: HttpRequest,
) -> Result<Json<LogLevel>, Refusal> {
    let NewLogLevel { level, why } = body::parse(&body::read(request).await?, "{\"level\": \"debug\"}")?;
    if !LEVELS.contains(&level.as_str()) {
        return Err(bad_request(format!("`level` is one of {}, not {level:?}", LEVELS.join(", "))));
    }
    carry_out(&context, Asked::new(Command::LogLevel(level), by.because(why)?)).await?;
    Ok(log_level(State(context)).await)
}

/// Sends a command and waits for its outcome.
pub(crate) async fn carry_out(context: &Context, asked: Asked) -> Result<CommandDone, Refusal> {
    let gone = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the process is leaving");
    let (answer, outcome) = oneshot::channel();
    let Asked { command, by, if_match } = asked;
    let ask = async {
        context.commands.send(Request { command, by, if_match, answer }).await.map_err(|_| gone())?;
        outcome.await.map_err(|_| gone())
    };
    let late =
        |_| Refusal::new(StatusCode::GATEWAY_TIMEOUT, "no outcome within 30 s; it may still take effect");
    timeout(COMMAND_TIME_MAX, ask).await.map_err(late)??.map_err(|error| match error {
        CommandError::NotFound(why) => Refusal::new(StatusCode::NOT_FOUND, why),
        CommandError::Conflict(why) => Refusal::new(StatusCode::CONFLICT, why),
        CommandError::Changed(why) => Refusal::new(StatusCode::PRECONDITION_FAILED, why),
        CommandError::Refused(why) => Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, why),
    })
}
