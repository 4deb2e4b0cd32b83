//! `GET /openapi.json` and `GET /`: the description of the API, put together with its router so that neither has a route
//! that the other lacks.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, VARY};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use utoipa::openapi::path::{HttpMethod, Operation, Paths};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::UtoipaMethodRouter;

use crate::assets;
use crate::context::Context;
use crate::guard::OPEN_PATHS;
use crate::refusal::{ErrorBody, Refusal};

/// The name of the security scheme.
const TOKEN: &str = "token";

/// Routes and their description, while they are put together.
pub(crate) struct Routes {
    router: Router<Arc<Context>>,
    openapi: OpenApi,
}

/// What `GET /` and `GET /openapi.json` answer.
#[derive(Debug)]
pub(crate) struct Description {
    openapi: Bytes,
    index: String,
}

impl Routes {
    /// None yet.
    pub(crate) fn new() -> Self {
        let info = InfoBuilder::new()
            .title("Evenkeel")
            .version(env!("CARGO_PKG_VERSION"))
            .description(Some(
                "The admin API of a running Evenkeel. Each refusal has the form {\"error\": \"...\"}. Where the API \
                 demands a token, it is sent as `Authorization: Bearer TOKEN`.",
            ));
        let token = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        let components = ComponentsBuilder::new()
            .security_scheme(TOKEN, token)
            .schema(ErrorBody::name(), ErrorBody::schema())
            .build();
        let openapi = OpenApiBuilder::new().info(info.build()).components(Some(components)).build();
        Self { router: Router::new(), openapi }
    }

    /// Adds what `utoipa_axum::routes!` makes of handlers of one path.
    pub(crate) fn with(mut self, routes: UtoipaMethodRouter<Arc<Context>>) -> Self {
        let (schemas, mut paths, methods) = routes;
        for (path, item) in &mut paths.paths {
            let operations =
                [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
            operations.into_iter().flatten().for_each(|operation| complete(path, operation));
            self.router = self.router.route(&pattern(path), methods.clone());
        }
        let components = self.openapi.components.get_or_insert_default();
        for (name, schema) in schemas {
            let other = components.schemas.insert(name.clone(), schema);
            debug_assert!(
                other.is_none_or(|other| json(&other) == json(&components.schemas[&name])),
                "two types are described as {name}"
            );
        }
        self.openapi.paths.paths.append(&mut paths.paths);
        self
    }

    /// The router, and the description of all its routes.
    pub(crate) fn finish(self) -> (Router<Arc<Context>>, Arc<Description>) {
        let Self { router, openapi } = self;
        let text = openapi.to_json().unwrap_or_default();
        (router, Arc::new(Description { openapi: text.into(), index: index(&openapi.paths) }))
    }
}

fn json(schema: &RefOr<utoipa::openapi::Schema>) -> String {
    serde_json::to_string(schema).unwrap_or_default()
}

/// What the router matches. Ids of servers are addresses, which may hold slashes: there the rest of the path is the id.
fn pattern(path: &str) -> String {
    match path.strip_suffix("/servers/{id}") {
        Some(before) => format!("{before}/servers/{{*id}}"),
        None => path.to_owned(),
    }
}

/// Adds the refusals that the guard may answer on every path.
fn complete(path: &str, operation: &mut Operation) {
    let mut refusals = vec![
        ("400", "The request is wrong in itself."),
        ("421", "The Host field does not name this API."),
        ("403", "A web page of another site, or another user of this machine, asks."),
    ];
    if OPEN_PATHS.contains(&path) {
        operation.security = Some(Vec::new());
    } else {
        refusals.push(("401", "The token is missing or wrong."));
        let none: [&str; 0] = [];
        operation.security =
            Some(vec![SecurityRequirement::default(), SecurityRequirement::new(TOKEN, none)]);
    }
    for (status, why) in refusals {
        let responses = &mut operation.responses.responses;
        responses.entry(status.into()).or_insert_with(|| {
            let content =
                ContentBuilder::new().schema(Some(Ref::from_schema_name(ErrorBody::name()))).build();
            ResponseBuilder::new().description(why).content("application/json", content).into()
        });
    }
}

/// One line a route, for people.
fn index(paths: &Paths) -> String {
    let mut text = String::from("The admin API of Evenkeel; /openapi.json describes it for programs\n\n");
    for (path, item) in &paths.paths {
        let operations = [
            (HttpMethod::Get, &item.get),
            (HttpMethod::Put, &item.put),
            (HttpMethod::Post, &item.post),
            (HttpMethod::Delete, &item.delete),
        ];
        for (method, operation) in operations {
            let Some(operation) = operation else { continue };
            let method = match method {
                HttpMethod::Get => "GET",
                HttpMethod::Put => "PUT",
                HttpMethod::Post => "POST",
                _ => "DELETE",
            };
            let summary = operation.summary.as_deref().unwrap_or_default();
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{method:<7}{path:<32} {summary}");
        }
    }
    text
}

/// The dashboard, to a browser; else this list
#[utoipa::path(get, path = "/", tag = "process", responses((status = 200, content_type = "text/plain", body = String, description = "One line a route.")))]
pub(crate) async fn root(
    Extension(description): Extension<Arc<Description>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let mut response = match assets::wants_page(&headers) {
        true => assets::page(&headers)?,
        false => description.index.clone().into_response(),
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// The description of this API as OpenAPI 3.1
#[utoipa::path(get, path = "/openapi.json", tag = "process", responses((status = 200, content_type = "application/json", body = Object, description = "An OpenAPI document.")))]
pub(crate) async fn openapi(Extension(description): Extension<Arc<Description>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], description.openapi.clone())
}
