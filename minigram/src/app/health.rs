//! Whether the server lives, and whether it should be sent requests.

use axum::extract::State;
use axum::http::StatusCode;

use super::server::App;

/// The process answers.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// 503 from the moment the server has to leave. An engine that is unavailable does not make a server unready: all
/// servers have the same engines, and a balancer that takes them all out cannot even answer from their caches.
pub(crate) async fn readyz(State(app): State<App>) -> (StatusCode, &'static str) {
    if app.leaving.1.is_requested() {
        (StatusCode::SERVICE_UNAVAILABLE, "leaving\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}
