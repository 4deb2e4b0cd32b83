//! One line of a log.

use serde_json::{Map, Value};

/// The names under which JSON lines have their time.
const TIMES: [&str; 3] = ["timestamp", "time", "ts"];
/// The names under which they have their level.
const LEVELS: [&str; 3] = ["level", "error_severity", "severity"];
/// The names under which they say what happened.
const MESSAGES: [&str; 2] = ["message", "msg"];
/// Words for a warning and for what is worse, in lower case.
const PROBLEMS: [&str; 7] = ["warn", "warning", "error", "fatal", "panic", "crit", "critical"];

/// A line, with when it was written and by which service. Lines compare by their time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// When, in milliseconds since the Unix epoch; 0 if the log does not say.
    pub ms: u64,
    /// The service that wrote it.
    pub service: String,
    /// The line as it is.
    pub text: String,
}

impl Line {
    pub(super) fn new(
        service: &str,
        text: String,
        before: u64,
        time_in: impl Fn(&str) -> Option<u64>,
    ) -> Self {
        let own = match object(&text) {
            Some(object) => first(&object, &TIMES).and_then(|time| time_in(&time)),
            None => time_in(&text),
        };
        Self { ms: own.unwrap_or(before), service: service.to_owned(), text }
    }

    /// True if it says that something is wrong, by its level.
    pub fn is_problem(&self) -> bool {
        let Some(object) = object(&self.text) else {
            // ` ERROR: ` of Patroni, `[WRN]` of NATS, ` # ` of Redis.
            let head: String = self.text.chars().take(60).collect();
            let marks = ["WARNING", "ERROR", "CRITICAL", "FATAL", "[WRN]", "[ERR]", "[FTL]", " # "];
            return marks.iter().any(|mark| head.contains(mark));
        };
        if object.get("status").and_then(Value::as_u64).is_some_and(|status| (500..600).contains(&status)) {
            return true;
        }
        first(&object, &LEVELS).is_some_and(|level| PROBLEMS.contains(&level.to_lowercase().as_str()))
    }

    /// True if it belongs to a trace: the id is the value of `trace_id`, at any depth, or a word of a plain line.
    pub fn has_trace(&self, trace: &str) -> bool {
        match serde_json::from_str::<Value>(&self.text) {
            Ok(value) => has_trace(&value, trace),
            Err(_) => self.text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == trace),
        }
    }

    /// Level and message of a JSON line with its other fields behind them; a plain line as it is. It is one line without control
    /// characters, because clients choose some of what is logged, and a terminal would obey.
    pub fn readable(&self) -> String {
        self.all_parts().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }

    fn all_parts(&self) -> String {
        let Some(mut object) = object(&self.text) else { return self.text.clone() };
        for name in TIMES {
            object.remove(name);
        }
        // Spans and fields are what tracing-subscriber nests its own in.
        if let Some(Value::Object(fields)) = object.remove("fields") {
            object.extend(fields);
        }
        let mut take = |names: &[&str]| {
            let found = names.iter().find_map(|name| object.remove(*name));
            found.map(|value| plain(&value)).unwrap_or_default()
        };
        let (level, message) = (take(&LEVELS).to_uppercase(), take(&MESSAGES));
        let rest = object.iter().filter(|(_, value)| !value.is_null());
        let rest: Vec<String> = rest.map(|(name, value)| format!("{name}={}", plain(value))).collect();
        let parts = [level, message, rest.join(" ")];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

fn object(text: &str) -> Option<Map<String, Value>> {
    if text.starts_with('{') { serde_json::from_str(text).ok() } else { None }
}

fn first(object: &Map<String, Value>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| Some(object.get(*name)?.as_str()?.to_owned()))
}

fn has_trace(value: &Value, trace: &str) -> bool {
    match value {
        Value::Object(object) => {
            object.get("trace_id").is_some_and(|it| it == trace)
                || object.values().any(|it| has_trace(it, trace))
        }
        Value::Array(values) => values.iter().any(|it| has_trace(it, trace)),
        _ => false,
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::time_in;
    use super::*;

    fn line(text: &str) -> Line {
        Line::new("app-1", text.to_owned(), 7, time_in)
    }

    #[test]
    fn a_line_without_a_time_has_that_of_the_one_before() {
        assert_eq!(line("   at main.rs:3").ms, 7);
        assert_eq!(line("{\"ts\":\"1970-01-01T00:00:01.500Z\"}").ms, 1500);
    }

    #[test]
    fn problems_are_found_in_every_kind_of_log() {
        let check = |text: &str, expected| assert_eq!(line(text).is_problem(), expected, "{text}");
        check("{\"level\":\"WARN\",\"message\":\"slow\"}", true);
        check("{\"error_severity\":\"FATAL\",\"message\":\"no password\"}", true);
        check("{\"status\":503,\"path\":\"/\"}", true);
        check("{\"level\":\"info\",\"msg\":\"an ERROR in words\"}", false);
        check("2026-11-29 22:02:34,590 ERROR: no etcd", true);
        check("2026-11-29 22:02:34,590 INFO: no action", false);
        check("[19420] 2026/11/29 22:02:17.966501 [WRN] slow", true);
    }

    #[test]
    fn a_trace_is_found_at_any_depth_and_only_as_a_whole() {
        assert!(line("{\"span\":{\"trace_id\":\"abc1\"}}").has_trace("abc1"));
        assert!(!line("{\"trace_id\":\"abc12\"}").has_trace("abc1"));
        assert!(!line("{\"message\":\"abc1\"}").has_trace("abc1"));
    }

    #[test]
    fn a_readable_line_has_the_level_and_the_message_first() {
        let text = "{\"time\":\"2026-01-01T00:00:00Z\",\"level\":\"warn\",\"fields\":{\"message\":\"slow\",\"ms\":3},\"target\":\"app\"}";
        assert_eq!(line(text).readable(), "WARN slow ms=3 target=app");
        assert_eq!(line("{\"message\":\"a\\nb\\u001b[2Jc\"}").readable(), "a b [2Jc");
    }
}
