//! Answers that no server gives: errors, `respond` and `redirect`.

use evenkeel_config::{HeaderEdits, Respond};

use super::admit::Refusal;
use crate::downstream::reply::{Reply, reason};
use crate::h1::framing::Framing;
use crate::h1::write;
use crate::timer::WriteError;

const TEXT: &str = "text/plain; charset=utf-8";

/// Tells the client what went wrong: the status, a word why, and the id to ask about.
///
/// # Errors
/// The client is gone.
pub async fn refuse(reply: &mut Reply<'_>, refusal: &Refusal, id: &str) -> Result<(), WriteError> {
    let Refusal { status, why, .. } = refusal;
    let body = format!("{status} {}: {why}\nrequest id: {id}\n", reason(*status));
    send(reply, *status, TEXT, &[], &body, id, &HeaderEdits::default()).await
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
