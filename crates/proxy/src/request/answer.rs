//! Responses that no server gives: errors, `respond` and `redirect`.

use std::fmt::Write;

use evenkeel_config::Respond;
use evenkeel_core::choose::Keys;
use evenkeel_observe::Ended;

use crate::http::framing::Framing;
use crate::http::version::Version;
use crate::request::admit::Refusal;
use crate::request::incoming::Request;
use crate::response::{Body, Head, Response, reason};
use crate::worker::Worker;

const TEXT: &str = "text/plain; charset=utf-8";

/// Says what went wrong: the status, a word why, and the id to ask about.
pub fn refuse<'x, 'c>(
    worker: &Worker,
    refusal: &Refusal,
    request: &Request<'_>,
    ended: Ended,
) -> Response<'x, 'c> {
    let Refusal { status, why, .. } = refusal;
    if is_grpc(request) {
        return Response { ended, ..refuse_grpc(worker, refusal) };
    }
    let body = format!("{status} {}: {why}\nrequest id: {}\n", reason(*status), request.id);
    let mut head = head(worker, *status, TEXT);
    if let Some(seconds) = refusal.retry_after {
        head.field("retry-after", seconds.to_string().as_bytes());
    }
    Response { ended, ..Response::of_bytes(head, body.into_bytes()) }
}

/// A client that speaks gRPC reads the status from a trailer, or from a head that is all of the response.
fn is_grpc(request: &Request<'_>) -> bool {
    let is_its_type = |value: &[u8]| {
        value.strip_prefix(b"application/grpc").is_some_and(|rest| matches!(rest, [] | [b'+' | b';', ..]))
    };
    request.version == Version::Http2 && request.header("content-type").is_some_and(is_its_type)
}

fn refuse_grpc<'x, 'c>(worker: &Worker, refusal: &Refusal) -> Response<'x, 'c> {
    let mut head = Head::new(200, b"OK", worker.buffers.medium());
    head.field("content-type", b"application/grpc");
    head.field("grpc-status", grpc_status(refusal.status).as_bytes());
    head.field("grpc-message", grpc_message(&refusal.why).as_bytes());
    Response { head, body: Body::Empty, framing: Framing::Empty, ended: Ended::Refused, closes: false }
}

/// The status of gRPC for one of HTTP, as its clients would map it (`doc/http-grpc-status-mapping.md` of gRPC), which is
/// UNKNOWN for all that it does not name, 421 among them; but for two that say more: what took too long, and what was
/// too large or too much.
fn grpc_status(status: u16) -> &'static str {
    match status {
        400 => "13",
        401 => "16",
        403 => "7",
        404 => "12",
        408 | 504 => "4",
        413 | 429 | 431 => "8",
        502 | 503 => "14",
        _ => "2",
    }
}

/// Percent-encoded, as `grpc-message` is: visible ASCII and spaces stand for themselves.
fn grpc_message(why: &str) -> String {
    why.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            // Writing to a String cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
        out
    })
}

/// A fixed response.
pub fn respond<'x, 'c>(worker: &Worker, respond: &'x Respond) -> Response<'x, 'c> {
    let head = head(worker, respond.status, &respond.content_type);
    Response::of_bytes(head, respond.body.as_bytes())
}

/// A redirect to `location`.
pub fn redirect<'x, 'c>(worker: &Worker, status: u16, location: &str) -> Response<'x, 'c> {
    let body = format!("{status} {}: {location}\n", reason(status));
    let mut head = head(worker, status, TEXT);
    head.field("location", location.as_bytes());
    Response::of_bytes(head, body.into_bytes())
}

fn head(worker: &Worker, status: u16, content_type: &str) -> Head {
    let mut head = Head::new(status, reason(status).as_bytes(), worker.buffers.medium());
    if !matches!(status, 204 | 205 | 304) {
        head.field("content-type", content_type.as_bytes());
    }
    head
}
