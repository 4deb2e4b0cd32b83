//! `POST /cache/purge`: reads what to purge, brings it to normal form, and sends it to the control thread as a command.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use evenkeel_core::cache::{Named, Scope};
use evenkeel_core::snapshot::{Command, CommandDone, Purged as Done};
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
    /// Responses in memory that it is about, counted just before it. Absent where more than 8,192 are stored: to count them takes
    /// too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<u64>,
    /// What that means, in words, as in `nothing of shop.example.com is cached`.
    outcome: String,
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
    let (scope, asked, Named { shown, scopes, host }) = wanted.named()?;
    let soft = wanted.soft.unwrap_or(false);
    let mode = if soft { PurgeMode::Soft } else { PurgeMode::Hard };
    let of_host = host.as_deref().and_then(Scope::host);
    let command = Command::Purge { scopes, soft, asked, host: of_host };
    let done = match carry_out(&context, Asked::new(command, by.because(wanted.why)?)).await? {
        CommandDone::Purged(done) => done,
        CommandDone::Done | CommandDone::Unchanged | CommandDone::Reloaded(_) => Done::default(),
    };
    context.registry.purges.count(scope, mode);
    let has_disk = context.registry.store_figures().is_some_and(|store| store.disk.is_some());
    Ok(Json(Purged {
        scope: scope.as_str(),
        purged: shown,
        mode: mode.as_str(),
        sequence: done.sequence,
        objects: done.objects,
        outcome: outcome(&done, host.as_deref(), has_disk),
    }))
}

/// What a purge came to, in words. What is on the disk is not counted, because its index does not know it by host or tag.
fn outcome(done: &Done, host: Option<&str>, has_disk: bool) -> String {
    let Some(objects) = done.objects else {
        return "in force for all that is cached now".into();
    };
    let is_kept = if has_disk { "in memory" } else { "cached" };
    let found = match (objects, done.host_objects, host) {
        (0, Some(0), Some(host)) => format!("nothing of {host} is {is_kept}"),
        (0, Some(others), Some(host)) => {
            format!("nothing matched; {} of {host} {is_kept}", responses(others))
        }
        (0, _, _) => format!("nothing {is_kept} matched"),
        (objects, _, _) => format!("{} in memory", responses(objects)),
    };
    if has_disk { found + "; in force on the disk too" } else { found }
}

fn responses(count: u64) -> String {
    if count == 1 { "1 response".into() } else { format!("{count} responses") }
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
    /// What is meant, as it was asked for, and as the cache knows it.
    fn named(&self) -> Result<(PurgeScope, String, Named), Refusal> {
        let Self { url, prefix, host, tag, all, soft: _, why: _ } = self;
        let (scope, text, named) = match (url, prefix, host, tag, all) {
            (Some(url), None, None, None, None) => (PurgeScope::Url, url.as_str(), Named::url(url)),
            (None, Some(prefix), None, None, None) => {
                (PurgeScope::Prefix, prefix.as_str(), Named::prefix(prefix))
            }
            (None, None, Some(host), None, None) => (PurgeScope::Host, host.as_str(), Named::host(host)),
            (None, None, None, Some(tag), None) => (PurgeScope::Tag, tag.as_str(), Named::tag(tag)),
            (None, None, None, None, Some(true)) => (PurgeScope::All, "", Ok(Named::all())),
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
        let named = named.map_err(|fault| bad_request(fault.to_string()))?;
        let asked = match scope {
            PurgeScope::All => named.shown.clone(),
            scope => format!("{} {text}", scope.as_str()),
        };
        Ok((scope, asked, named))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_says_what_is_known_and_no_more() {
        let check = |objects, host_objects, host, has_disk, expected: &str| {
            let done = Done { sequence: 1, objects, host_objects };
            assert_eq!(outcome(&done, host, has_disk), expected);
        };
        let host = Some("a.test");
        check(None, None, host, false, "in force for all that is cached now");
        check(Some(2), Some(3), host, false, "2 responses in memory");
        check(Some(0), Some(0), host, false, "nothing of a.test is cached");
        check(Some(0), Some(1), host, false, "nothing matched; 1 response of a.test cached");
        check(Some(0), None, None, false, "nothing cached matched");
        check(Some(0), Some(0), host, true, "nothing of a.test is in memory; in force on the disk too");
        check(Some(1), None, None, true, "1 response in memory; in force on the disk too");
    }
}
