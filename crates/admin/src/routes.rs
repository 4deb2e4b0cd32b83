//! The handler of each path, and the handlers too small for a file of their own.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::{Extension, Router, middleware};
use utoipa_axum::routes;

use crate::context::Context;
use crate::live::stream;
use crate::openapi::Routes;
use crate::peer::Peer;
use crate::refusal::{ErrorBody, Refusal};
use crate::{
    assets, cache, command, config, confirm, events, explain, guard, metrics, openapi, pool, process, purge,
    requests, split, status, upgrade,
};

/// Bytes of a request's body.
const BODY_BYTES_MAX: usize = 64 << 10;

/// The whole API, behind its guard.
pub(crate) fn router(context: Arc<Context>) -> Router {
    let (router, description) = Routes::new()
        .with(routes!(openapi::root))
        .with(routes!(openapi::openapi))
        .with(routes!(alive))
        .with(routes!(ready))
        .with(routes!(process::process))
        .with(routes!(metrics::metrics))
        .with(routes!(status::status))
        .with(routes!(stream::live))
        .with(routes!(events::events))
        .with(routes!(explain::explain))
        .with(routes!(config::config))
        .with(routes!(requests::requests))
        .with(routes!(requests::request))
        .with(routes!(cache::cache))
        .with(routes!(purge::purge))
        .with(routes!(command::reload))
        .with(routes!(confirm::confirm))
        .with(routes!(upgrade::upgrade))
        .with(routes!(command::log_level, command::set_log_level))
        .with(routes!(pool::pool))
        .with(routes!(pool::add))
        .with(routes!(pool::server, pool::change, pool::remove))
        .with(routes!(split::split, split::set_split))
        .finish();
    router
        // Files are no part of the API, so its description lacks them.
        .route("/assets/{*file}", get(assets::file))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(Extension(description))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(Arc::clone(&context), guard::guard))
        .with_state(context)
}

/// 200 while the process lives; never asks for the token
#[utoipa::path(get, path = "/healthz", tag = "process", responses((status = 200, content_type = "text/plain", body = String, description = "It lives.")))]
async fn alive() -> &'static str {
    "ok\n"
}

/// 200 when requests can be served, else 503, with the reason only for requests with the token; never demands the token
#[utoipa::path(get, path = "/readyz", tag = "process", responses(
    (status = 200, content_type = "text/plain", body = String, description = "Each pool has a usable server."),
    (status = 503, body = ErrorBody, description = "The process is leaving, or a pool has no usable server."),
))]
async fn ready(
    State(context): State<Arc<Context>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Result<&'static str, Refusal> {
    // The names of pools are for those that may use the API.
    let may_know = guard::may_know(&context, peer, &headers);
    let unavailable = |why: String| {
        let why = if may_know { why } else { "not ready".into() };
        Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why))
    };
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
        format!("the API has no path {}; GET / lists its paths", request.uri().path()),
    )
}

async fn method_not_allowed(request: Request) -> Refusal {
    let (method, path) = (request.method(), request.uri().path());
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("{path} does not take {method}"))
}
