//! What a route matches: hosts and paths.

use regex::{Regex, RegexBuilder};

use crate::declare::{Field, keys};
use crate::keys::Absent::Means;
use crate::keys::syntax::{PATH, REGEX};
use crate::keys::{Group, Kind, Section, key};
use crate::read::host::{self, HostMatch};
use crate::read::text::{self, Read, Refused};
use crate::read::{Table, clip};
use crate::settings::{Text, text_settings};
use crate::show::{Lines, quote};

/// Routes with a `path_regex`: each is tried in turn, and costs memory.
const REGEXES_MAX: usize = 1_000;

/// Bytes of a compiled pattern.
const REGEX_SIZE_MAX: usize = 256 * 1024;

/// Groups and repetitions within one another.
const REGEX_NESTING_MAX: u32 = 50;

text_settings!(HostMatch);

impl Text for HostMatch {
    fn form(text: &str) -> Read<Self> {
        host::host(text)
    }

    fn written(&self) -> String {
        match self {
            Self::Exact(host) => host.clone(),
            Self::Wildcard(suffix) => format!("*{suffix}"),
        }
    }
}

/// A route's `path` or `path_regex`.
#[derive(Debug, Clone)]
pub enum PathMatch {
    /// `/exact`
    Exact(String),
    /// `/prefix/*`, held as `/prefix`: matches `/prefix` and whatever is below it. `/*` is held as `/`.
    Prefix(String),
    /// Matches the whole path. Linear time.
    Regex(regex::Regex),
}

keys! {
    pub(super) static PATHS "path of [[route]]" {
        /// Only this path, or with `/*` at the end whatever is below it.
        path = key(Kind::Text(&PATH), Means("any path"), r#""/api/*""#),
        /// Only paths that this matches as a whole, in linear time. At most 1,000 routes may have one.
        path_regex = key(Kind::Text(&REGEX), Means("any path"), r"'/users/\d+'"),
    }
    groups &[Group::AtMostOne(&["path", "path_regex"])]
}

impl Field for PathMatch {
    /// Every path when neither key is written.
    fn read(table: &Table<'_>, _: &'static str) -> Option<Self> {
        let every = Self::Prefix("/".into());
        if let Some(value) = table.value("path") {
            return Some(value.read(path_match).unwrap_or(every));
        }
        let Some(value) = table.value("path_regex") else { return Some(every) };
        table.reader.links().regexes += 1;
        if table.reader.links().regexes > REGEXES_MAX {
            let message = format!("more than {REGEXES_MAX} routes have a `path_regex`");
            return value
                .refuse(message, "use `path`, which costs nothing however many there are")
                .or(Some(every));
        }
        // Compiling is the one thing here that costs: not once the file is known to be beyond use.
        if table.reader.is_full() {
            return Some(every);
        }
        Some(value.read(regex).map_or(every, Self::Regex))
    }

    fn show(&self, _: &'static Section, _: &'static str, out: &mut Lines) {
        let key = if matches!(self, Self::Regex(_)) { "path_regex" } else { "path" };
        out.line(key, quote(&show_path(self)));
    }
}

/// `/exact`, or `/prefix/*`.
pub(crate) fn path_match(path: &str) -> Read<PathMatch> {
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

const ANCHOR_START: &str = "^(?:";
const ANCHOR_END: &str = ")$";

fn regex(pattern: &str) -> Read<Regex> {
    // `)(` is no pattern, but would be one between the anchors.
    if pattern.contains(')') {
        compile(pattern)?;
    }
    compile(&format!("{ANCHOR_START}{pattern}{ANCHOR_END}"))
}

fn compile(pattern: &str) -> Read<Regex> {
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
