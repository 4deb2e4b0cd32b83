//! Limits that contradict others: shared ones without a Redis, heads wider than any may be.

use crate::diagnostic::Diagnostic;
use crate::model::Config;
use crate::read::{Links, Reader};

/// Notes whatever does not fit together.
pub(super) fn check(config: &Config, links: &Links, reader: &Reader) {
    for (key, value, span) in &links.narrowed {
        let process = if *key == "headers" { config.limits.headers } else { config.limits.request_head };
        if *value > process as u64 {
            reader.note(
                Diagnostic::error(format!(
                    "`{key}` of a route is above that of `[limits]`, which is reached first"
                ))
                .at(span.clone())
                .with_expected(format!("at most {process}"))
                .with_help(format!("raise `{key}` in `[limits]`, and narrow it for other routes")),
            );
        }
    }
    if let Some(span) = links.shared_limits.first().filter(|_| links.redis.is_none()) {
        reader.note(
            Diagnostic::error("a shared limit needs a Redis to count in")
                .at(span.clone())
                .with_expected("there is no `[redis]`")
                .with_help("add `[redis]` with `url = \"redis://127.0.0.1:6379\"`"),
        );
    }
    if let Some(span) = links.redis.as_ref().filter(|_| links.shared_limits.is_empty()) {
        reader.note(
            Diagnostic::warning("nothing counts in this Redis")
                .at(span.clone())
                .with_expected("no `rate_limit` has `shared = true`"),
        );
    }
}
