//! The keys of a log line that the configuration has chosen, and what stands there.

use evenkeel_config::{LogField, LogSource};
use evenkeel_core::choose::Keys;

use super::incoming::Request;

/// A key, and what stands there.
type Own<'a> = (&'a str, Option<&'a [u8]>);

/// What the response has of them: one entry for each, empty where it comes from elsewhere.
#[cold]
pub fn of_response<'h>(fields: &[LogField], head: impl Fn(&str) -> Option<&'h [u8]>) -> Vec<Option<Vec<u8>>> {
    let value = |field: &LogField| match &field.source {
        LogSource::ResponseHeader(name) => head(name).map(<[u8]>::to_vec),
        _ => None,
    };
    fields.iter().map(value).collect()
}

/// All of them, with what was kept of the response.
#[inline]
pub fn of<'a>(fields: &'a [LogField], request: &'a Request<'_>, kept: &'a [Option<Vec<u8>>]) -> Vec<Own<'a>> {
    let value = |(at, field): (usize, &'a LogField)| {
        let value = match &field.source {
            LogSource::RequestHeader(name) => request.header(name),
            LogSource::ResponseHeader(_) => kept.get(at).and_then(Option::as_deref),
            LogSource::Cookie(name) => request.cookie(name),
            LogSource::Text(text) => Some(text.as_bytes()),
        };
        (field.key.as_str(), value)
    };
    fields.iter().enumerate().map(value).collect()
}

/// The same of a connection, which has neither fields nor cookies.
pub fn of_connection(fields: &[LogField]) -> Vec<Own<'_>> {
    fields.iter().map(of_text).collect()
}

fn of_text(field: &LogField) -> Own<'_> {
    let value = match &field.source {
        LogSource::Text(text) => Some(text.as_bytes()),
        _ => None,
    };
    (&field.key, value)
}
