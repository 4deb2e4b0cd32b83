//! Answers that no server gives: errors, `respond` and `redirect`.

use std::fmt::Write;

use evenkeel_config::{HeaderEdits, Respond};
use evenkeel_core::choose::Keys;

use crate::client::writer::{Reply, reason};
use crate::http::framing::Framing;
use crate::http::version::Version;
use crate::http::write;
use crate::request::admit::Refusal;
use crate::request::exchange::Request;
use crate::worker::timer::WriteError;

const TEXT: &str = "text/plain; charset=utf-8";

/// Tells the client what went wrong: the status, a word why, and the id to ask about.
///
/// # Errors
/// The client is gone.
pub async fn refuse(
    reply: &mut Reply<'_>,
    refusal: &Refusal,
    request: &Request<'_>,
) -> Result<(), WriteError> {
    let Refusal { status, why, .. } = refusal;
    let id = &*request.id;
    if is_grpc(request) {
        return refuse_grpc(reply, refusal, id).await;
    }
    let body = format!("{status} {}: {why}\nrequest id: {id}\n", reason(*status));
    let after = refusal.retry_after.map(|seconds| seconds.to_string());
    let fields: &[(&str, &str)] = match &after {
        Some(after) => &[("retry-after", after)],
        None => &[],
    };
    send(reply, *status, TEXT, fields, &body, id, &HeaderEdits::default()).await
}

/// A client that speaks gRPC reads the status from a trailer, or from a head that is all of the response.
fn is_grpc(request: &Request<'_>) -> bool {
    let is_its_type = |value: &[u8]| {
        value.strip_prefix(b"application/grpc").is_some_and(|rest| matches!(rest, [] | [b'+' | b';', ..]))
    };
    request.version == Version::Http2 && request.header("content-type").is_some_and(is_its_type)
}

async fn refuse_grpc(reply: &mut Reply<'_>, refusal: &Refusal, id: &str) -> Result<(), WriteError> {
    let out = reply.head(200, b"");
    write::field(out, "content-type", b"application/grpc");
    write::field(out, "grpc-status", grpc_status(refusal.status).as_bytes());
    write::field(out, "grpc-message", grpc_message(&refusal.why).as_bytes());
    write::field(out, "x-request-id", id.as_bytes());
    reply.head_done(Framing::Empty);
    reply.end(b"");
    reply.flush().await
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
///
/// # Errors
/// The client is gone.
pub async fn respond(
    reply: &mut Reply<'_>,
    respond: &Respond,
    id: &str,
    edits: &HeaderEdits,
) -> Result<(), WriteError> {
    send(reply, respond.status, &respond.content_type, &[], &respond.body, id, edits).await
}

/// A redirect to `location`.
///
/// # Errors
/// The client is gone.
pub async fn redirect(
    reply: &mut Reply<'_>,
    status: u16,
    location: &str,
    id: &str,
    edits: &HeaderEdits,
) -> Result<(), WriteError> {
    let body = format!("{status} {}: {location}\n", reason(status));
    send(reply, status, TEXT, &[("location", location)], &body, id, edits).await
}

async fn send(
    reply: &mut Reply<'_>,
    status: u16,
    content_type: &str,
    fields: &[(&str, &str)],
    body: &str,
    id: &str,
    edits: &HeaderEdits,
) -> Result<(), WriteError> {
    let out = reply.head(status, reason(status).as_bytes());
    let has_body = !matches!(status, 204 | 205 | 304);
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    let typed = has_body.then_some(("content-type", content_type));
    let ours = [("date", date.as_str()), ("x-request-id", id)];
    for (name, value) in fields.iter().copied().chain(typed).chain(ours) {
        if !write::edited_away(edits, name.as_bytes()) {
            write::field(out, name, value.as_bytes());
        }
    }
    write::edits(out, edits);
    // RFC 9110 (8.6): neither 204 nor 304 may promise a length that is not there; 205 promises an empty one.
    match status {
        204 | 304 => reply.head_done(Framing::Empty),
        205 => reply.head_done(Framing::Length(0)),
        _ => {
            reply.head_done(Framing::Length(body.len() as u64));
            reply.data(body.as_bytes()).await?;
        }
    }
    reply.end(b"");
    reply.flush().await
}
