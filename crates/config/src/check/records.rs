//! Keys of routes about records that are not kept: traces without a collector, lines without a log.

use crate::diagnostic::Diagnostic;
use crate::model::{AccessLog, Config};
use crate::read::{Links, Reader};

/// Notes what has no effect.
pub(super) fn check(config: &Config, links: &Links, reader: &Reader) {
    let warn = |key: &str, message: &str, expected: &str, help: &str| {
        let spans = links.routes.iter().flat_map(|route| &route.keys).filter(|(name, _)| *name == key);
        for (_, span) in spans {
            let warning = Diagnostic::warning(message).at(span.clone());
            reader.note(warning.with_expected(expected).with_help(help));
        }
    };
    if config.tracing.is_none() {
        let help = "add `[tracing]` with `otlp = \"http://127.0.0.1:4318\"`";
        warn("trace", "`trace` has no effect, because nothing is traced", "there is no `[tracing]`", help);
    }
    if config.log.access == AccessLog::Off {
        let help = "name a destination in `access` of `[log]`";
        warn("log", "`log` has no effect, because there is no access log", "`access` is \"off\"", help);
    }
}
