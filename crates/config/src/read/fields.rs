//! Header fields that the configuration cannot touch.

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

/// Why an edit cannot touch a field; `verb` is `set`, `add` or `remove`.
pub(crate) fn untouchable(side: Side, verb: &str, name: &str) -> Option<&'static str> {
    if UNTOUCHABLE.contains(&name) {
        return Some("it belongs to the connection and to framing");
    }
    match (side, name) {
        (Side::Request, "cdn-loop") => Some("no node may take it off or change it (RFC 8586, 2)"),
        (Side::Response, "host") => Some("`host` is a field of requests"),
        (Side::Request, "host") if verb != "set" => Some("a request has exactly one `host`; it can be `set`"),
        (Side::Request, "expect") => Some("it belongs to how the body is sent"),
        _ => None,
    }
}
