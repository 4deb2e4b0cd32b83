//! Reads `health` of a pool: what a probe does, and how often.

use std::time::Duration;

use super::table::{Table, clip};
use super::text::{Refused, grpc_service, probe_host, probe_path};
use super::value::Value;
use crate::diagnostic::Diagnostic;
use crate::model::{Health, Probe};

/// `timeout`, unless it is written or `interval` is less.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Statuses that count as healthy when `expect` is left out.
const EXPECT: (u16, u16) = (200, 399);

pub(super) fn read(table: &Table<'_>) -> Health {
    let interval = table.duration("interval");
    let timeout = match table.value("timeout") {
        Some(value) => match value.duration() {
            Some(timeout) if timeout > interval => value.refuse(
                "a check may not take longer than the time to the next one",
                "lower `timeout`, or raise `interval`",
            ),
            other => other,
        },
        None => None,
    };
    Health {
        probe: probe(table),
        interval,
        timeout: timeout.unwrap_or(TIMEOUT.min(interval)),
        fall: table.small("fall"),
        rise: table.small("rise"),
        start_period: table.duration("start_period"),
    }
}

fn probe(table: &Table<'_>) -> Probe {
    let of_http = ["path", "host", "expect"];
    let kind = match table.value("kind") {
        Some(kind) => kind.word(),
        None if of_http.iter().any(|key| table.has(key)) => Some("http"),
        None if table.has("service") => Some("grpc"),
        None => Some("tcp"),
    };
    let misplaced = match kind {
        Some("http") => &["service"][..],
        Some("grpc") => &of_http[..],
        Some(_) => &["path", "host", "expect", "service"][..],
        None => &[],
    };
    for (key, span) in misplaced.iter().filter_map(|key| Some((key, table.key_span(key)?))) {
        let owner = if *key == "service" { "grpc" } else { "http" };
        let kind = kind.unwrap_or_default();
        table.reader.note(
            Diagnostic::error(format!("a check by `{kind}` has no `{key}`"))
                .at(span)
                .with_expected(format!("only with `kind = \"{owner}\"`")),
        );
    }
    match kind {
        Some("http") => {}
        Some("grpc") => {
            let service = table.value("service").and_then(|value| value.read(grpc_service));
            return Probe::Grpc { service: service.unwrap_or_default() };
        }
        _ => return Probe::Tcp,
    }
    let expect = table.list("expect", statuses);
    Probe::Http {
        path: table.value("path").and_then(|value| value.read(probe_path)).unwrap_or_else(|| "/".into()),
        host: table.value("host").and_then(|value| value.read(probe_host)),
        expect: if expect.is_empty() { vec![EXPECT] } else { expect },
    }
}

fn statuses(value: Value<'_>) -> Option<(u16, u16)> {
    if value.is_string() {
        return value.either(true).read(range);
    }
    let status = u16::try_from(value.either(false).integer()?).ok()?;
    Some((status, status))
}

/// `2xx`, `200-299` or `200`.
fn range(text: &str) -> Result<(u16, u16), Refused> {
    let status = |text: &str| {
        let digits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>().ok().filter(|status| digits && (100..=599).contains(status))
    };
    let read = if let Some(class) = text.strip_suffix("xx") {
        status(&format!("{class}00")).map(|first| (first, first + 99))
    } else if let Some((first, last)) = text.split_once('-') {
        status(first).zip(status(last)).filter(|(first, last)| first <= last)
    } else {
        status(text).map(|status| (status, status))
    };
    read.ok_or_else(|| {
        Refused(
            format!("`{}` is neither a status nor a range of them", clip(text)),
            "write `200`, \"2xx\" or \"200-299\"".into(),
        )
    })
}
