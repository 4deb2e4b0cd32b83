//! Reads `request_headers` and `response_headers`.

use super::condition::fields;
use super::table::{Table, clip};
use super::text;
use crate::diagnostic::Diagnostic;
use crate::model::HeaderEdits;

/// Whose fields are changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Response,
}

/// Fields that belong to one connection or to framing (RFC 9110, 7.6.1; RFC 9112, 6): an edit of them would let
/// two ends disagree on where a message stops.
const UNTOUCHABLE: [&str; 8] = [
    "connection",
    "transfer-encoding",
    "content-length",
    "upgrade",
    "te",
    "trailer",
    "keep-alive",
    "proxy-connection",
];

pub(super) fn read(route: &Table<'_>, side: Side) -> HeaderEdits {
    let key = match side {
        Side::Request => "request_headers",
        Side::Response => "response_headers",
    };
    let Some(table) = route.table(key) else { return HeaderEdits::default() };
    let set = fields(&table, "set");
    let add = fields(&table, "add");
    let remove = table.list("remove", |value| Some((value.read(text::header_name)?, value.span.clone())));

    let touched = set.iter().map(|((name, _), span)| ("set", name, span));
    let touched = touched.chain(add.iter().map(|((name, _), span)| ("add", name, span)));
    let touched = touched.chain(remove.iter().map(|(name, span)| ("remove", name, span)));
    for (verb, name, span) in touched {
        if let Some(reason) = untouchable(side, verb, name) {
            let fault = Diagnostic::error(format!("`{key}.{verb}` cannot touch `{}`", clip(name)));
            route.reader.note(fault.at(span.clone()).with_expected(reason));
        }
    }
    for (name, span) in remove.iter().filter(|(name, _)| set.iter().any(|((set, _), _)| set == name)) {
        let fault = Diagnostic::error(format!("`{}` is both removed and set", clip(name)));
        route
            .reader
            .note(fault.at(span.clone()).with_expected("`set` alone replaces every field of that name"));
    }
    HeaderEdits {
        set: set.into_iter().map(|(field, _)| field).collect(),
        add: add.into_iter().map(|(field, _)| field).collect(),
        remove: remove.into_iter().map(|(name, _)| name).collect(),
    }
}

/// Why an edit cannot touch a field; `verb` is `set`, `add` or `remove`.
pub(super) fn untouchable(side: Side, verb: &str, name: &str) -> Option<&'static str> {
    if UNTOUCHABLE.contains(&name) {
        return Some("it belongs to the connection and to framing");
    }
    match (side, name) {
        (Side::Response, "host") => Some("`host` is a field of requests"),
        (Side::Request, "host") if verb != "set" => Some("a request has exactly one `host`; it can be `set`"),
        (Side::Request, "expect") => Some("it belongs to how the body is sent"),
        _ => None,
    }
}
