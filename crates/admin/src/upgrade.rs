//! `POST /upgrade`: a new process takes the place of this one. The answer comes when that has succeeded or failed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request as HttpRequest, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use utoipa::ToSchema;

use crate::body;
use crate::by::{Behalf, ByToken};
use crate::context::{Context, Upgrade};
use crate::peer::Peer;
use crate::refusal::{ErrorBody, Refusal, bad_request};
use crate::serve::Retiring;

/// How long the new process may take to be ready if the request does not say; in seconds.
const TIMEOUT_S: u64 = 30;
/// The longest that a request may say.
const TIMEOUT_S_MAX: u64 = 600;

/// The upgrade. Each key may be left out, and the whole body.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Upgrade)]
pub(crate) struct Asked {
    /// The absolute path of the binary; by default that by which this process was started. Only over the control socket, or with a
    /// token.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    binary: Option<PathBuf>,
    /// How long the new process may take to be ready: 1 to 600; 30 if it is left out.
    #[serde(default)]
    timeout_seconds: Option<u64>,
    /// The reason, for the log and the events.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(max_length = 500)]
    why: Option<String>,
}

/// The process that serves from now on, and the old one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Upgraded)]
pub(crate) struct Answer {
    /// The process that serves from now on.
    pid: u32,
    /// The one that answers this, and finishes what it has.
    old_pid: u32,
    /// How long it has for that.
    grace_seconds: f64,
}

/// Whether the kernel or a token says that the request comes from the operator of this process.
fn is_proven(request: &HttpRequest) -> bool {
    let extensions = request.extensions();
    matches!(extensions.get::<Peer>(), Some(Peer::Control { .. })) || extensions.get::<ByToken>().is_some()
}

/// Replace this process by a new one, without loss
#[utoipa::path(post, path = "/upgrade", tag = "commands", request_body = Option<Asked>, responses(
    (status = 200, body = Answer, description = "The new process serves, and this one finishes what it has."),
    (status = 400, body = ErrorBody, description = "The body is wrong."),
    (status = 403, body = ErrorBody, description = "It names a binary, and comes neither over the control socket nor with a token; or a web page of another site, or another user of this machine, asks."),
    (status = 422, body = ErrorBody, description = "The upgrade has failed, and why; this process serves on."),
    (status = 408, body = ErrorBody, description = "The body came too slowly."),
    (status = 413, body = ErrorBody, description = "The body is too large."),
    (status = 415, body = ErrorBody, description = "The body does not say that it is JSON."),
    (status = 503, body = ErrorBody, description = "The process is leaving, or takes no upgrades, as `evenkeel demo` does."),
))]
pub(crate) async fn upgrade(
    State(context): State<Arc<Context>>,
    Extension(retiring): Extension<Arc<Retiring>>,
    Behalf(by): Behalf,
    request: HttpRequest,
) -> Result<Json<Answer>, Refusal> {
    let is_proven = is_proven(&request);
    let asked: Asked = body::optional(request, "{\"binary\": \"/usr/bin/evenkeel\"}").await?;
    if asked.binary.is_some() && !is_proven {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "`binary` is taken over the control socket, or with the token of `[admin] token_file`, alone: any user of this machine \
             can reach this API, and must not choose what this process starts",
        ));
    }
    let timeout = asked.timeout_seconds.unwrap_or(TIMEOUT_S);
    if !(1..=TIMEOUT_S_MAX).contains(&timeout) {
        return Err(bad_request(format!("`timeout_seconds` is 1 to {TIMEOUT_S_MAX}, not {timeout}")));
    }
    let gone = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the process is leaving");
    let (answer, outcome) = oneshot::channel();
    let (by, timeout) = (by.because(asked.why)?, Duration::from_secs(timeout));
    let upgrade = Upgrade { binary: asked.binary, timeout, by, answer };
    let refused = |_| {
        Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "this process takes no upgrades: it is leaving, or is a demo",
        )
    };
    context.upgrades.send(upgrade).await.map_err(refused)?;
    // The upgrade has a timeout, so the outcome comes in any case.
    match outcome.await.map_err(|_| gone())? {
        Ok(done) => {
            // Requests after this answer reach the new process.
            retiring.retire().await;
            let grace_seconds = done.grace.as_secs_f64();
            Ok(Json(Answer { pid: done.pid, old_pid: done.old_pid, grace_seconds }))
        }
        Err(why) => Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, why)),
    }
}
