//! `POST /explain`: where a request would go now, and why.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde_json::Value;

use crate::body;
use crate::context::Context;
use crate::question::Question;
use crate::refusal::{ErrorBody, Refusal};

/// Where a request would go now, and why
///
/// The answer is that of `evenkeel explain --json`, with the states and loads of the servers at this moment.
#[utoipa::path(post, path = "/explain", tag = "figures", request_body = Question, responses(
    (status = 200, body = Object, description = "The route, the pool, the server, and why each other one was not chosen."),
    (status = 408, body = ErrorBody, description = "The body came too slowly."),
    (status = 413, body = ErrorBody, description = "The body is too large."),
    (status = 415, body = ErrorBody, description = "The body does not say that it is JSON."),
    (status = 422, body = ErrorBody, description = "There can be no such request, and why."),
))]
pub(crate) async fn explain(
    State(context): State<Arc<Context>>,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    let question: Question =
        body::parse(&body::read(request).await?, "{\"url\": \"https://shop.example.com/api/cart\"}")?;
    let answer = context.explainer.ask(&question);
    answer.map(Json).map_err(|why| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, why))
}
