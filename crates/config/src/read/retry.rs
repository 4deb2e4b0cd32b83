//! Reads `retry`, `hedge` and `deadline_header` of a route.

use std::time::Duration;

use super::edits::{Side, untouchable};
use super::table::{Table, clip};
use super::text::{Read, Refused, header_name, method};
use super::value::Value;
use crate::diagnostic::Diagnostic;
use crate::model::{DeadlineHeader, HeaderEdits, Hedge, HedgeAfter, Retry, RetryOn, Route};
use crate::nearest::nearest;
use crate::value::{duration_ms, show_duration};

/// `hedge.after` at most, in milliseconds.
const AFTER_MS_MAX: u64 = 3_600_000;

/// `retry`, and `hedge` with it, which stands on it.
pub(super) fn read(route: &Table<'_>) -> (Retry, Option<Hedge>) {
    let off = route.value("retry").filter(|value| !value.is_table());
    let retry = match off.map(|value| value.either(false).boolean()) {
        Some(Some(false)) => Retry::off(),
        Some(_) => Retry::default(),
        None => {
            let table = route.value("retry").and_then(|value| value.either(true).table());
            table.map_or_else(Retry::default, |table| retry(&table))
        }
    };
    let hedge = route.table("hedge").and_then(|table| hedge(&table, &retry));
    (retry, hedge)
}

fn retry(table: &Table<'_>) -> Retry {
    let mut methods = table.list("methods", |value| value.read(method));
    if !table.has("methods") {
        methods = Retry::default().methods;
    }
    let (attempts, on) = (table.small("attempts"), on(table));
    note_what_is_not_retried(table, attempts, &on);
    Retry {
        attempts,
        on,
        methods,
        per_try_timeout: table
            .value("per_try_timeout")
            .filter(|value| !value.is_word("off"))
            .and_then(|value| value.duration()),
        budget: table.percent("budget"),
        backoff: table.duration("backoff"),
        replay: table.bytes("replay"),
        header: table.boolean("header"),
    }
}

/// Notes what `on` leaves out and who knows the default may take for granted, and what one attempt leaves nothing of.
fn note_what_is_not_retried(table: &Table<'_>, attempts: u32, on: &RetryOn) {
    let Some(span) = table.key_span("on") else { return };
    let sent = on.reset || on.timeout || !on.statuses.is_empty();
    let warn = |message: &str, expected: &str, help: &str| {
        let warning = Diagnostic::warning(message).at(span.clone());
        table.reader.note(warning.with_expected(expected).with_help(help));
    };
    if !on.connect && sent {
        warn(
            "a server that cannot be reached is not made good for",
            "`connect`, which is a default, is not among them",
            "add \"connect\": nothing was sent, and any method may go elsewhere",
        );
    }
    if attempts == 1 && sent {
        warn(
            "with one attempt, nothing that was sent is retried",
            "only `connect` has an effect",
            "raise `attempts`, or write `on = \"connect\"`",
        );
    }
}

/// One thing that is retried.
enum On {
    Connect,
    Reset,
    Timeout,
    Status(u16),
}

fn on(table: &Table<'_>) -> RetryOn {
    if !table.has("on") {
        return Retry::default().on;
    }
    let mut on = RetryOn::default();
    for one in table.list("on", |value| value.read(cause)) {
        match one {
            On::Connect => on.connect = true,
            On::Reset => on.reset = true,
            On::Timeout => on.timeout = true,
            On::Status(status) => on.statuses.push(status),
        }
    }
    on.statuses.sort_unstable();
    on.statuses.dedup();
    on
}

fn cause(text: &str) -> Read<On> {
    match text {
        "connect" => return Ok(On::Connect),
        "reset" => return Ok(On::Reset),
        "timeout" => return Ok(On::Timeout),
        _ => {}
    }
    match text.parse::<u16>() {
        Ok(status @ (408 | 425 | 429 | 500..=599)) if text.len() == 3 => Ok(On::Status(status)),
        Ok(status @ 100..=499) if text.len() == 3 => Err(Refused(
            format!("an answer with {status} is no failure of its server"),
            "only 408, 425, 429 and 500 to 599 can be retried".into(),
        )),
        _ => Err(Refused(
            format!("`{}` is nothing that can be retried", clip(text)),
            match nearest(text, ["connect", "reset", "timeout"]) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => "write \"connect\", \"reset\", \"timeout\" or a status such as \"503\"".into(),
            },
        )),
    }
}

fn hedge(table: &Table<'_>, retry: &Retry) -> Option<Hedge> {
    let after = table.value("after").and_then(|value| value.read(after));
    let max = table.small("max");
    let refuse = |message: &str, help: &str| {
        table.reader.note(
            Diagnostic::error(message).at(table.at.clone()).with_expected("has no effect").with_help(help),
        );
    };
    if retry.attempts <= max {
        let help = format!("raise `retry.attempts` to {}: each hedge is one of them", max + 1);
        refuse(&format!("`hedge` needs more than {} attempts", retry.attempts), &help);
    } else if retry.budget == 0 {
        refuse("`hedge` has no budget", "raise `retry.budget`, which hedges count against");
    }
    Some(Hedge { after: after?, max })
}

/// Notes a hedge that is due when its request has been given up.
pub(super) fn check_hedge(route: &Route, table: &Table<'_>) {
    let Some(Hedge { after: HedgeAfter::Fixed(after), .. }) = route.hedge else { return };
    let limits =
        [("retry.per_try_timeout", route.retry.per_try_timeout), ("timeout.request", route.timeout.request)];
    for (key, limit) in limits {
        if let (Some(limit), Some(span)) = (limit.filter(|limit| after >= *limit), table.key_span("hedge")) {
            let (after, limit) = (show_duration(after), show_duration(limit));
            table.reader.note(
                Diagnostic::warning(format!(
                    "no `hedge` is ever made: `after` is {after}, and `{key}` {limit}"
                ))
                .at(span)
                .with_expected("has no effect")
                .with_help(format!("let `after` be shorter than `{key}`")),
            );
        }
    }
}

fn after(text: &str) -> Read<HedgeAfter> {
    match (text, duration_ms(text)) {
        ("p95", _) => Ok(HedgeAfter::P95),
        (_, Some(ms @ 1..=AFTER_MS_MAX)) => Ok(HedgeAfter::Fixed(Duration::from_millis(ms))),
        _ => Err(Refused(
            format!("`{}` is neither \"p95\" nor a duration from 1ms to 1h", clip(text)),
            "write \"p95\", or a duration such as \"50ms\"".into(),
        )),
    }
}

/// Fields that every request needs, or that are ours to write.
const TAKEN: [&str; 8] = [
    "host",
    "cookie",
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
];

/// `deadline_header`; `edits` are what the route does to the fields of requests.
pub(super) fn deadline_header(route: &Table<'_>, edits: &HeaderEdits) -> Option<DeadlineHeader> {
    let value = route.value("deadline_header")?;
    let name = value.read(header_name)?;
    let refuse = |value: &Value<'_>, message: String, expected: &str| {
        let fault = Diagnostic::error(message).at(value.span.clone());
        route.reader.note(fault.with_expected(expected));
        None
    };
    let is_edited = edits.set.iter().chain(&edits.add).any(|(other, _)| *other == name);
    if TAKEN.contains(&&*name) || untouchable(Side::Request, "set", &name).is_some() {
        let message = format!("`{}` cannot tell how much time is left", clip(&name));
        return refuse(&value, message, "it has a meaning of its own");
    }
    if is_edited || edits.remove.contains(&name) {
        let message = format!("`deadline_header` and `request_headers` both write `{}`", clip(&name));
        return refuse(&value, message, "expected a field that `request_headers` leaves alone");
    }
    Some(if name == "grpc-timeout" { DeadlineHeader::Grpc } else { DeadlineHeader::Millis(name) })
}
