//! `request_headers` and `response_headers` of a route.

use crate::declare::{Rules, section};
use crate::diagnostic::Diagnostic;
use crate::keys::Absent::Means;
use crate::keys::syntax::{HEADER_NAME, HEADER_VALUE};
use crate::keys::{Kind, key};
use crate::model::Route;
use crate::read::{Table, clip};

section! {
    /// First `remove`, then `set`, then `add`. Fields of a name that is removed or set are left out of trailers, too. The
    /// fields that belong to the connection and to framing cannot be touched.
    #[derive(Default, PartialEq, Eq)]
    pub struct HeaderEdits "request_headers and response_headers of [[route]]" {
        /// Replaces every field of that name.
        set: Vec<(String, String)> = key(
            Kind::Map(&HEADER_NAME, &Kind::Text(&HEADER_VALUE), 64),
            Means("nothing"),
            r#"{ x-env = "prod" }"#,
        ),
        /// Adds one more field.
        add: Vec<(String, String)> = key(
            Kind::Map(&HEADER_NAME, &Kind::Text(&HEADER_VALUE), 64),
            Means("nothing"),
            r#"{ vary = "origin" }"#,
        ),
        /// Removes every field of that name.
        remove: Vec<String> = key(
            Kind::OneOrList(&Kind::Text(&HEADER_NAME), 64),
            Means("nothing"),
            r#"["x-debug"]"#,
        ),
    }
}

impl Rules for HeaderEdits {}

impl HeaderEdits {
    /// True when there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }
}

/// Whose fields are changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
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

impl Route {
    /// Notes edits of fields that cannot be touched, and those that contradict one another.
    pub(super) fn check_edits(&self, table: &Table<'_>) {
        for (key, side) in [("request_headers", Side::Request), ("response_headers", Side::Response)] {
            if let Some(below) = table.peek(key) {
                check(&below, key, side);
            }
        }
    }
}

fn check(table: &Table<'_>, key: &str, side: Side) {
    for verb in ["set", "add", "remove"] {
        for (name, span) in table.parts(verb) {
            if let Some(reason) = untouchable(side, verb, &name.to_ascii_lowercase()) {
                let name = clip(&name.to_ascii_lowercase());
                let fault = Diagnostic::error(format!("`{key}.{verb}` cannot touch `{name}`"));
                table.reader.note(fault.at(span).with_expected(reason));
            }
        }
    }
    let set = table.parts("set");
    let both = |name: &str| set.iter().any(|(set, _)| set.eq_ignore_ascii_case(name));
    for (name, span) in table.parts("remove").into_iter().filter(|(name, _)| both(name)) {
        let fault =
            Diagnostic::error(format!("`{}` is both removed and set", clip(&name.to_ascii_lowercase())));
        table.reader.note(fault.at(span).with_expected("`set` alone replaces every field of that name"));
    }
}

/// Why an edit cannot touch a field; `verb` is `set`, `add` or `remove`.
pub(crate) fn untouchable(side: Side, verb: &str, name: &str) -> Option<&'static str> {
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
