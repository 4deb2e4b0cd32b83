//! All paths, and what applies to them.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use axum::{Json, Router};
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::core_share::{CoreShare, within_share};
use super::{
    App, account, comments, guard, health, likes, live, media, metrics, observe, people, photos, upload,
};

/// Where the API begins.
const API: &str = "/api/v1";

#[derive(OpenApi)]
#[openapi(info(
    title = "MiniGram",
    description = "Photos, likes, comments and follows. Errors are `application/problem+json` (RFC 9457); 503 and 429 \
                   say when to try again by `Retry-After`."
))]
struct Description;

/// The service of a server.
pub(crate) fn router(app: &App) -> Router {
    let (api, mut description) = OpenApiRouter::with_openapi(Description::openapi())
        .nest(API, api(app).merge(uploads(app)))
        .merge(pictures(app))
        .split_for_parts();
    describe_security(&mut description);
    let description = Json(description);
    let api = match app.settings.core_share {
        Some(share) => api.layer(from_fn_with_state(Arc::new(CoreShare::new(share)), within_share)),
        None => api,
    };
    api.route(&format!("{API}/openapi.json"), get(async move || description.clone()))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .fallback(guard::no_such_path)
        .method_not_allowed_fallback(guard::no_such_method)
        .layer(from_fn_with_state(app.clone(), guard::same_origin))
        .layer(from_fn_with_state(app.clone(), guard::finish))
        .layer(from_fn_with_state(app.clone(), observe::observe))
        .with_state(app.clone())
}

/// What takes and returns JSON.
fn api(app: &App) -> OpenApiRouter<App> {
    let limits = &app.settings.limits;
    OpenApiRouter::new()
        .routes(routes!(account::sign_up, people::search))
        .routes(routes!(account::sign_in, account::sign_out))
        .routes(routes!(account::refresh))
        .routes(routes!(people::me, people::change_me))
        .routes(routes!(people::user))
        .routes(routes!(people::follow, people::unfollow))
        .routes(routes!(photos::photo, photos::delete))
        .routes(routes!(photos::photos_of))
        .routes(routes!(photos::feed))
        .routes(routes!(likes::like, likes::unlike))
        .routes(routes!(comments::comments, comments::comment))
        .routes(routes!(comments::delete))
        .routes(routes!(live::live))
        .layer(DefaultBodyLimit::max(limits.json_bytes))
        .layer(from_fn_with_state(limits.request, guard::within))
}

fn uploads(app: &App) -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(upload::upload))
        // The blobs count the bytes as they arrive.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(app.settings.limits.upload, guard::within))
}

/// A picture's head must come in time; its bytes go as fast as the client takes them.
fn pictures(app: &App) -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(media::media))
        .layer(from_fn_with_state(app.settings.limits.request, guard::within))
}

fn describe_security(description: &mut utoipa::openapi::OpenApi) {
    let access = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    description.components.get_or_insert_default().add_security_scheme("access", access);
}
