//! `POST /cache/purge`: reads what to purge, brings it to normal form, and sends it to the control thread as a command.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use evenkeel_core::cache::Named;
use evenkeel_core::snapshot::{Command, CommandDone};
use evenkeel_observe::{PurgeMode, PurgeScope};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::body;
use crate::by::Behalf;
use crate::command::{Asked, carry_out};
use crate::context::Context;
use crate::refusal::{ErrorBody, Refusal, bad_request};

/// What a purge answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Purged {
    /// `url`, `prefix`, `host`, `tag` or `all`.
    scope: &'static str,
    /// The URL, prefix, host or tag, in normal form.
    purged: String,
    /// `hard` or `soft`.
    mode: &'static str,
    /// The number of the purge: it grows with each, and begins again in a new process.
    sequence: u64,
}

/// Purge cached responses
///
/// The body has one of `url`, `prefix`, `host`, `tag` and `"all": true`.
#[utoipa::path(post, path = "/cache/purge", tag = "cache", request_body = Wanted, responses(
    (status = 200, body = Purged, description = "What was purged."),
    (status = 408, body = ErrorBody, description = "The body came too slowly."),
    (status = 413, body = ErrorBody, description = "The body is too large."),
    (status = 415, body = ErrorBody, description = "The body does not say that it is JSON."),
    (status = 503, body = ErrorBody, description = "The process is leaving."),
    (status = 504, body = ErrorBody, description = "There is no outcome yet."),
))]
pub(crate) async fn purge(
    State(context): State<Arc<Context>>,
    Behalf(by): Behalf,
    request: Request,
) -> Result<Json<Purged>, Refusal> {
    let wanted: Wanted =
        body::parse(&body::read(request).await?, "{\"url\": \"https://shop.example.com/a\"}")?;
    let (scope, Named { shown, scopes }) = wanted.named()?;
    let soft = wanted.soft.unwrap_or(false);
    let mode = if soft { PurgeMode::Soft } else { PurgeMode::Hard };
    let sequence =
        match carry_out(&context, Asked::new(Command::Purge { scopes, soft }, by.because(wanted.why)?))
            .await?
        {
            CommandDone::Purged(sequence) => sequence,
            CommandDone::Done | CommandDone::Unchanged | CommandDone::Reloaded(_) => 0,
        };
    context.registry.purges.count(scope, mode);
    Ok(Json(Purged { scope: scope.as_str(), purged: shown, mode: mode.as_str(), sequence }))
}

/// What to purge: one of these, and how.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Purge)]
pub(crate) struct Wanted {
    #[serde(default, deserialize_with = "body::present")]
    url: Option<String>,
    #[serde(default, deserialize_with = "body::present")]
    prefix: Option<String>,
    #[serde(default, deserialize_with = "body::present")]
    host: Option<String>,
    #[serde(default, deserialize_with = "body::present")]
    tag: Option<String>,
    #[serde(default, deserialize_with = "body::present")]
    all: Option<bool>,
    #[serde(default, deserialize_with = "body::present")]
    soft: Option<bool>,
    /// Why, for the log and the events.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(max_length = 500)]
    why: Option<String>,
}

impl Wanted {
    fn named(&self) -> Result<(PurgeScope, Named), Refusal> {
        let Self { url, prefix, host, tag, all, soft: _, why: _ } = self;
        let (scope, named) = match (url, prefix, host, tag, all) {
            (Some(url), None, None, None, None) => (PurgeScope::Url, Named::url(url)),
            (None, Some(prefix), None, None, None) => (PurgeScope::Prefix, Named::prefix(prefix)),
            (None, None, Some(host), None, None) => (PurgeScope::Host, Named::host(host)),
            (None, None, None, Some(tag), None) => (PurgeScope::Tag, Named::tag(tag)),
            (None, None, None, None, Some(true)) => (PurgeScope::All, Ok(Named::all())),
            (None, None, None, None, Some(false)) => {
                return Err(bad_request(
                    "`\"all\": false` purges nothing: leave it out, and name a `url`, `prefix`, `host` or `tag`",
                ));
            }
            _ => {
                return Err(bad_request(
                    "the body must have exactly one of `url`, `prefix`, `host`, `tag` and `all`",
                ));
            }
        };
        Ok((scope, named.map_err(|fault| bad_request(fault.to_string()))?))
    }
}
