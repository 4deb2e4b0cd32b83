//! The fields that every response gets from us, and the edits of its route.

use evenkeel_config::HeaderEdits;
use evenkeel_types::Time;

use crate::http::write;
use crate::request::incoming::Request;
use crate::response::{Head, Response};
use crate::worker::Worker;

/// Adds `Date` where there is none (RFC 9110, 6.6.1) and `X-Request-Id`, and does what the route's `edits` say: what they
/// set or remove goes, also from a server's response.
pub fn finish<'x, 'c>(
    mut response: Response<'x, 'c>,
    worker: &Worker,
    request: &Request<'_>,
    edits: &HeaderEdits,
    now: Time,
) -> Response<'x, 'c> {
    finish_head(&mut response.head, worker, request, edits, now);
    response
}

/// The same to the head alone.
pub fn finish_head(head: &mut Head, worker: &Worker, request: &Request<'_>, edits: &HeaderEdits, now: Time) {
    let edits = (!edits.is_empty()).then_some(edits);
    if let Some(edits) = edits {
        head.remove(|name| write::edited_away(edits, name));
    }
    let stays = |name: &[u8]| edits.is_none_or(|edits| !write::edited_away(edits, name));
    if stays(b"date") && head.status != 101 && !head.has_date {
        worker.write_date(head.out(), now);
    }
    if !head.has_request_id && stays(b"x-request-id") {
        write::line(head.out(), "x-request-id: ", &[request.id.as_bytes()]);
    }
    if let Some(edits) = edits {
        write::edits(head.out(), edits);
    }
}
