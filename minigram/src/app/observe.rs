//! Each request as a span, a line of the log, and a number.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

use super::metrics;
use super::server::App;
use crate::telemetry;

/// Counts a request, and makes what is done for it part of the client's trace.
pub(crate) async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let (begun, method) = (Instant::now(), method(request.method()));
    let path = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!(
        "request",
        otel.name = format!("{method} {path}"),
        otel.kind = "server",
        server = app.settings.name,
        http.request.method = method,
        http.route = path,
        http.response.status_code = tracing::field::Empty,
        trace_id = tracing::field::Empty,
    );
    telemetry::join(&span, request.headers());
    let response = next.run(request).instrument(span.clone()).await;
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    span.record("http.response.status_code", status);
    span.in_scope(|| match status {
        500.. => tracing::warn!(status, took_ms = took.as_millis(), "a request failed"),
        400.. => tracing::info!(status, took_ms = took.as_millis(), "a request was refused"),
        _ => tracing::debug!(status, took_ms = took.as_millis(), "a request was answered"),
    });
    app.metrics.request(&metrics::Request { method, path, status }, took);
    response
}

/// The method's name, if it is one of those that there are: clients can make up others.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
