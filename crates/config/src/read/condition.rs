//! Reads what a route matches: hosts, path, methods, header fields and query parameters.

use std::collections::HashSet;

use regex::{Regex, RegexBuilder};

use super::table::{Table, clip};
use super::text::{self, Refused};
use crate::diagnostic::{Diagnostic, Span};
use crate::model::{HostMatch, PathMatch};

/// Routes with a `path_regex`: each is tried in turn, and costs memory.
pub(super) const REGEXES_MAX: usize = 1_000;

/// Bytes of a compiled pattern.
const REGEX_SIZE_MAX: usize = 256 * 1024;

/// Groups and repetitions within one another.
const REGEX_NESTING_MAX: u32 = 50;

pub(super) fn hosts(table: &Table<'_>) -> Vec<HostMatch> {
    table.list("host", |value| value.read(text::host))
}

pub(super) fn methods(table: &Table<'_>) -> Vec<String> {
    table.list("method", |value| value.read(text::method))
}

/// `path` or `path_regex`; every path when there is neither.
pub(super) fn path(table: &Table<'_>, regex_allowed: bool) -> PathMatch {
    let every = PathMatch::Prefix("/".into());
    if let Some(value) = table.value("path") {
        return value.read(path_match).unwrap_or(every);
    }
    let Some(value) = table.value("path_regex") else { return every };
    if !regex_allowed {
        let message = format!("more than {REGEXES_MAX} routes have a `path_regex`");
        return value
            .refuse(message, "use `path`, which costs nothing however many there are")
            .unwrap_or(every);
    }
    // Compiling is the one thing here that costs: not once the file is known to be beyond use.
    if table.reader.is_full() {
        return every;
    }
    value.read(regex).map_or(every, PathMatch::Regex)
}

/// `/exact`, or `/prefix/*`.
pub(super) fn path_match(path: &str) -> Result<PathMatch, Refused> {
    text::path(path)?;
    let prefix = path.strip_suffix("/*");
    if prefix.unwrap_or(path).contains('*') {
        let help = format!(
            "write `{}/*`, or use `path_regex`",
            clip(path.split('*').next().unwrap_or_default().trim_end_matches('/'))
        );
        return Err(Refused("`*` is possible only as `/*` at the end of a path".into(), help));
    }
    Ok(match prefix {
        Some("") => PathMatch::Prefix("/".into()),
        Some(prefix) => PathMatch::Prefix(prefix.into()),
        None => PathMatch::Exact(path.into()),
    })
}

/// The path as it is written in the file; a regular expression as it was given.
pub(crate) fn show_path(path: &PathMatch) -> String {
    match path {
        PathMatch::Exact(path) => path.clone(),
        PathMatch::Prefix(prefix) => format!("{}/*", prefix.trim_end_matches('/')),
        PathMatch::Regex(regex) => written(regex).into(),
    }
}

/// The pattern as it was given: without what anchors it to the whole path.
pub(crate) fn written(regex: &Regex) -> &str {
    let whole = regex.as_str();
    whole.strip_prefix(ANCHOR_START).and_then(|rest| rest.strip_suffix(ANCHOR_END)).unwrap_or(whole)
}

/// Header fields that must be there, in lower case.
pub(super) fn headers(table: &Table<'_>) -> Vec<Field> {
    fields(table, "headers").into_iter().map(|(field, _)| field).collect()
}

/// Query parameters that must be there.
pub(super) fn query(table: &Table<'_>) -> Vec<(String, String)> {
    let pairs = table.value("query").map(|value| value.pairs()).unwrap_or_default();
    pairs
        .into_iter()
        .filter_map(|(name, _, value)| Some((name.to_owned(), value.text()?.to_owned())))
        .collect()
}

/// A header field: its name in lower case, and its value.
type Field = (String, String);

/// A table of header fields and their places; none stands twice.
pub(super) fn fields(table: &Table<'_>, key: &'static str) -> Vec<(Field, Span)> {
    let pairs = table.value(key).map(|value| value.pairs()).unwrap_or_default();
    let mut seen = HashSet::new();
    let mut out = Vec::with_capacity(pairs.len());
    for (name, span, value) in pairs {
        let refuse = |message: String, help: String| {
            let fault = Diagnostic::error(message).at(span.clone()).with_expected("expected a header name");
            table.reader.note(if help.is_empty() { fault } else { fault.with_help(help) });
        };
        let name = match text::header_name(name) {
            Ok(name) => name,
            Err(Refused(message, help)) => {
                refuse(message, help);
                continue;
            }
        };
        if !seen.insert(name.clone()) {
            refuse(
                format!("`{}` stands twice here", clip(&name)),
                "upper and lower case are the same".into(),
            );
        }
        if let Some(value) = value.read(text::header_value) {
            out.push(((name, value), span.clone()));
        }
    }
    out
}

const ANCHOR_START: &str = "^(?:";
const ANCHOR_END: &str = ")$";

fn regex(pattern: &str) -> Result<Regex, Refused> {
    // `)(` is no pattern, but would be one between the anchors.
    if pattern.contains(')') {
        compile(pattern)?;
    }
    compile(&format!("{ANCHOR_START}{pattern}{ANCHOR_END}"))
}

fn compile(pattern: &str) -> Result<Regex, Refused> {
    RegexBuilder::new(pattern).size_limit(REGEX_SIZE_MAX).nest_limit(REGEX_NESTING_MAX).build().map_err(
        |fault| {
            let reason = match fault {
                regex::Error::CompiledTooBig(limit) => {
                    format!("it takes more than {limit} bytes when compiled")
                }
                // The last line of the message says what is wrong; those above draw the pattern.
                other => {
                    let text = other.to_string();
                    let last = text.lines().last().unwrap_or_default();
                    last.trim_start_matches("error: ").to_owned()
                }
            };
            Refused(format!("the pattern cannot be used: {reason}"), String::new())
        },
    )
}
