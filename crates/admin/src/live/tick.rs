//! The messages of a stream: the past when it begins, and each second.

use axum::body::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::problems::Problem;
use super::state::now;
use super::window::Point;
use crate::context::Context;
use crate::status::Status;

/// Seconds between two points.
const INTERVAL_S: u32 = 1;

/// The message of one second.
#[derive(Serialize, ToSchema)]
struct Tick<'a> {
    at: f64,
    point: &'a Point,
    problems: Vec<Problem>,
    status: Status,
}

/// The past, when a stream begins.
#[derive(Serialize, ToSchema)]
struct History<'a> {
    interval_s: u32,
    points: &'a [&'a Point],
}

/// The message of this second, in the form of server-sent events.
pub(super) fn tick(context: &Context) -> Bytes {
    let point = context.live.lock().window.points().back().cloned().unwrap_or_default();
    let mut status = Status::of(context);
    let problems = status.problems.take().unwrap_or_default();
    message("tick", None, &Tick { at: now(), point: &point, problems, status })
}

/// The points that are kept.
pub(super) fn history(context: &Context) -> Bytes {
    let state = context.live.lock();
    let points: Vec<&Point> = state.window.points().iter().collect();
    message("history", None, &History { interval_s: INTERVAL_S, points: &points })
}

/// One message of the stream. What is serialised holds no line break, because JSON escapes them.
pub(super) fn message(event: &str, id: Option<u64>, data: &impl Serialize) -> Bytes {
    let mut text = format!("event: {event}\n").into_bytes();
    if let Some(id) = id {
        text.extend_from_slice(format!("id: {id}\n").as_bytes());
    }
    text.extend_from_slice(b"data: ");
    // Our own types have keys that are text, and no numbers that JSON lacks.
    if serde_json::to_writer(&mut text, data).is_err() {
        text.extend_from_slice(b"null");
    }
    text.extend_from_slice(b"\n\n");
    text.into()
}
