//! `GET` and `PUT /routes/{route}/split`: how a route divides its requests between pools, and other weights for that.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use evenkeel_config::{Action, unknown_name};
use evenkeel_core::snapshot::Command;
use evenkeel_types::{PoolName, RouteName};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::body;
use crate::by::Behalf;
use crate::command::{Asked, carry_out};
use crate::context::Context;
use crate::pool::name;
use crate::refusal::{ErrorBody, Refusal, bad_request};
use crate::tag::{self, Tagged, tags};

/// Pools of a split at most, far above what a configuration has.
const POOLS_MAX: usize = 1_000;
/// The largest weight of a pool, as in the configuration.
pub const SHARE_MAX: u32 = 1_000_000;

/// How a route divides its requests.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RouteSplit {
    route: String,
    /// The weight of each pool at this moment.
    split: BTreeMap<String, u32>,
    /// What the configuration says.
    configured: BTreeMap<String, u32>,
}

/// How a route divides its requests between pools
#[utoipa::path(get, path = "/routes/{route}/split", tag = "routes", params(("route" = String, Path, description = "The name of the route.")), responses(
    (status = 200, body = RouteSplit, description = "The weights. The ETag changes with each of them; send it as `If-Match` with a change.", headers(("ETag" = String))),
    (status = 404, body = ErrorBody, description = "There is no such route, or it has no split."),
))]
pub(crate) async fn split(
    State(context): State<Arc<Context>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Tagged<RouteSplit>, Refusal> {
    show(&context, &RouteName::from(name(path)?))
}

/// Give pools of a route's split other weights
///
/// The body is an object of pools and weights, such as `{"blue": 90, "green": 10}`; a pool that is not named keeps its weight. A
/// reload keeps the weights for as long as the configuration says the same of the split.
#[utoipa::path(put, path = "/routes/{route}/split", tag = "routes",
    params(("route" = String, Path, description = "The name of the route."),
        ("If-Match" = Option<String>, Header, description = "The ETag of the split that the change is meant for.")),
    request_body(content = BTreeMap<String, u32>), responses(
    (status = 200, body = RouteSplit, description = "The weights from now on.", headers(("ETag" = String))),
    (status = 404, body = ErrorBody, description = "There is no such route, or it has no split."),
    (status = 408, body = ErrorBody, description = "The body came too slowly."),
    (status = 412, body = ErrorBody, description = "The split is no longer as the ETag says."),
    (status = 413, body = ErrorBody, description = "The body is too large."),
    (status = 415, body = ErrorBody, description = "The body does not say that it is JSON."),
    (status = 422, body = ErrorBody, description = "The split does not have such a pool, or no pool would have a weight."),
    (status = 503, body = ErrorBody, description = "The process is leaving."),
    (status = 504, body = ErrorBody, description = "There is no outcome yet."),
))]
pub(crate) async fn set_split(
    State(context): State<Arc<Context>>,
    path: Result<Path<String>, PathRejection>,
    Behalf(by): Behalf,
    request: Request,
) -> Result<Tagged<RouteSplit>, Refusal> {
    let route = RouteName::from(name(path)?);
    let if_match = tags(request.headers())?;
    let wanted: Map<String, Value> =
        body::parse(&body::read(request).await?, "{\"blue\": 90, \"green\": 10}")?;
    if wanted.is_empty() || wanted.len() > POOLS_MAX {
        return Err(bad_request(
            "name pools of the split and their weights, as in {\"blue\": 90, \"green\": 10}",
        ));
    }
    let weight = |(pool, weight): (&String, &Value)| match weight.as_u64() {
        Some(weight) if weight <= SHARE_MAX.into() => Ok((PoolName::from(pool.as_str()), weight as u32)),
        _ => {
            let why =
                format!("the weight of `{pool}` must be a whole number from 0 to {SHARE_MAX}, not {weight}");
            Err(bad_request(why))
        }
    };
    let weights = wanted.iter().map(weight).collect::<Result<_, _>>()?;
    let command = Command::Split { route: route.clone(), weights };
    carry_out(&context, Asked { command, by, if_match }).await?;
    show(&context, &route)
}

fn show(context: &Context, route: &RouteName) -> Result<Tagged<RouteSplit>, Refusal> {
    let snapshot = context.snapshot.load();
    let routes = snapshot.routes.routes();
    let not_found = |why: String| Refusal::new(StatusCode::NOT_FOUND, why);
    let position = routes.iter().position(|it| it.name == *route);
    let position = position.ok_or_else(|| {
        let known = routes.iter().map(|route| route.name.as_str());
        not_found(unknown_name(format_args!("there is no route {route}"), route.as_str(), known))
    })?;
    let no_split = || not_found(format!("the route {route} does not divide its requests: it has no split"));
    let now = snapshot.split_of(position).ok_or_else(no_split)?;
    let configured = match &snapshot.routes.route(position).action {
        Action::Split(configured) => configured.as_slice(),
        _ => &[],
    };
    let weights = |split: &[(PoolName, u32)]| -> BTreeMap<String, u32> {
        split.iter().map(|(pool, weight)| (pool.to_string(), *weight)).collect()
    };
    let (split, configured) = (weights(now), weights(configured));
    let tag = snapshot.split_tag(position).ok_or_else(no_split)?;
    Ok((tag::field(&tag), Json(RouteSplit { route: route.to_string(), split, configured })))
}
