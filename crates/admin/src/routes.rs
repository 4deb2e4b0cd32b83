//! Which path is answered by what, and the answers too small for a file of their own.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::{get, post, put};

use crate::context::Context;
use crate::refusal::Refusal;
use crate::{assets, cache, command, guard, metrics, purge, status};

/// Bytes of a request's body.
const BODY_BYTES_MAX: usize = 64 << 10;

/// What [`root`](assets::root) answers to programs.
pub(crate) const INDEX: &str = "\
The admin API of Evenkeel

GET  /                            the dashboard, to a browser; else this index
GET  /healthz                     200 while the process lives
GET  /readyz                      200 when requests can be served, else 503 and why
GET  /metrics                     Prometheus text format
GET  /status                      listeners, pools and servers as JSON
GET  /cache                       what the cache holds and how often it answered, as JSON
POST /cache/purge                 {\"url\" or \"prefix\": URL}, {\"host\": name}, {\"tag\": tag} or {\"all\": true}; with \"soft\": true
POST /reload                      read the configuration again
PUT  /pools/{pool}/servers/{id}   {\"state\": \"drain\" or \"ready\", \"weight\": 0 to 1000}, either or both
";

/// The whole API, behind its guard.
pub(crate) fn router(context: Arc<Context>) -> Router {
    Router::new()
        .route("/", get(assets::root))
        .route("/assets/{*file}", get(assets::file))
        .route(guard::OPEN_PATH, get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics::metrics))
        .route("/status", get(status::status))
        .route("/cache", get(cache::cache))
        .route("/cache/purge", post(purge::purge))
        .route("/reload", post(command::reload))
        // Ids are addresses, which may hold slashes: the rest of the path is the id.
        .route("/pools/{pool}/servers/{*id}", put(command::server))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(Arc::clone(&context), guard::guard))
        .with_state(context)
}

async fn ready(State(context): State<Arc<Context>>) -> Result<&'static str, Refusal> {
    let unavailable = |why: String| Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why));
    if context.leaving.load(Ordering::Relaxed) {
        return unavailable("the process is leaving".into());
    }
    let snapshot = context.snapshot.load();
    let without: Vec<_> = snapshot.unusable().map(|name| name.as_str()).collect();
    match without.as_slice() {
        [] => Ok("ok\n"),
        [pool] => unavailable(format!("the pool {pool} has no usable server")),
        pools => unavailable(format!("these pools have no usable server: {}", pools.join(", "))),
    }
}

async fn not_found(request: Request) -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        format!("there is no {}; GET / lists what there is", request.uri().path()),
    )
}

async fn method_not_allowed(request: Request) -> Refusal {
    let (method, path) = (request.method(), request.uri().path());
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("{path} does not take {method}"))
}
