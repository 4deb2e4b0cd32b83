//! One watcher of `GET /live`: server-sent events (HTML Living Standard, 9.2), sent as they come and never piled up.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use evenkeel_observe::events;
use hyper::body::Frame;
use serde::Deserialize;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use utoipa::IntoParams;

use super::state::WATCHERS_MAX;
use super::tick::{history, message, tick};
use crate::context::Context;
use crate::events::Event;
use crate::refusal::{ErrorBody, Refusal, bad_request};

/// Messages on their way to one watcher. If the watcher does not read one, the next ones wait.
const MESSAGES_MAX: usize = 2;
/// How long a watcher may take to read a message. A slower one is dropped, because otherwise its unread messages would pile
/// up.
const SLOW_MAX: Duration = Duration::from_secs(5);
/// How long a stream lasts: less than a connection to the API may, so that it ends between two messages.
const STREAM_TIME_MAX: Duration = Duration::from_secs(590);
/// How long a browser waits before it reconnects, in milliseconds.
const RETRY_MS: u32 = 1_000;
/// The number of the last event that the watcher has received.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How a stream begins.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// The stream begins with the events after this number, older ones included. A number that this process has not reached is one of
    /// another process, such as the one before an upgrade: then the stream begins with the first event.
    events_after: Option<u64>,
}

/// Figures and problems every second, and events as they happen, as server-sent events
///
/// First an event `history` with the points of the last five minutes, then a `tick` each second and an `event` for each
/// thing that happens.
#[utoipa::path(get, path = "/live", tag = "figures", params(Wanted), responses(
    (status = 200, content_type = "text/event-stream", body = String, description = "A stream, which ends after 590 seconds."),
    (status = 503, body = ErrorBody, description = "Too many streams are open."),
))]
pub(crate) async fn live(
    State(context): State<Arc<Context>>,
    headers: HeaderMap,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(Wanted { events_after }) = wanted.map_err(|fault| bad_request(fault.body_text()))?;
    let last = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let newest = context.registry.events.last();
    let after = match last.or(events_after) {
        None => newest,
        // A number of the process before this one, which had more events: all events of this process are new to the watcher.
        Some(after) if after > newest => 0,
        Some(after) => after,
    };
    let Some(watching) = Watching::begin(&context) else {
        let why = format!(
            "{WATCHERS_MAX} streams of /live are open, and the API serves no more: close one, or try again later"
        );
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why));
    };
    let (sender, messages) = mpsc::channel(MESSAGES_MAX);
    tokio::spawn(feed(context, watching, sender, after));
    let head = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    Ok((head, Body::new(Messages(messages))).into_response())
}

/// Sends the messages to one watcher, until it leaves, is too slow, or its time is over.
async fn feed(context: Arc<Context>, watching: Watching, messages: mpsc::Sender<Bytes>, mut after: u64) {
    let end = Instant::now() + STREAM_TIME_MAX;
    let mut ticks = context.live.ticks.subscribe();
    let begin = [format!("retry: {RETRY_MS}\n\n").into(), history(&context), tick(&context)];
    for message in begin {
        if !send(&messages, message).await {
            return;
        }
    }
    while !context.leaving.load(Ordering::Relaxed) {
        let next = tokio::select! {
            () = messages.closed() => break,
            () = sleep_until(end) => break,
            happened = poll_fn(|cx| context.registry.events.poll_after(after, cx)) => {
                after = happened.last().map_or(after, |event| event.seq);
                let text = |event: events::Event| message("event", Some(event.seq), &Event::from(event));
                happened.into_iter().map(text).collect::<Vec<_>>().concat().into()
            }
            Some(tick) = next(&mut ticks) => tick,
        };
        if !send(&messages, next).await {
            break;
        }
    }
    drop(watching);
}

/// The next message for all watchers.
async fn next(ticks: &mut watch::Receiver<Bytes>) -> Option<Bytes> {
    ticks.changed().await.ok()?;
    Some(ticks.borrow_and_update().clone())
}

/// False if the watcher is gone, or too slow.
async fn send(messages: &mpsc::Sender<Bytes>, message: Bytes) -> bool {
    matches!(timeout(SLOW_MAX, messages.send(message)).await, Ok(Ok(())))
}

/// One watcher, counted for as long as this lives.
struct Watching(Arc<Context>);

impl Watching {
    /// `None` if there are [`WATCHERS_MAX`] already.
    fn begin(context: &Arc<Context>) -> Option<Self> {
        context.live.begin().then(|| Self(Arc::clone(context)))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.live.end();
    }
}

/// The body of the answer: messages as they come.
struct Messages(mpsc::Receiver<Bytes>);

impl HttpBody for Messages {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|message| message.map(|bytes| Ok(Frame::data(bytes))))
    }
}
