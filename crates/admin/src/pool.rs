//! `GET /pools/{pool}` and what adds, changes and removes its servers. The tag of a pool keeps two operators from undoing each
//! other's changes unseen.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::HeaderMap;
use evenkeel_config::{Backend, unknown_name};
use evenkeel_core::endpoints::{Addition, shared_address};
use evenkeel_core::health::Administrative;
use evenkeel_core::snapshot::{Command, CommandDone, PoolState};
use evenkeel_types::{Address, BackendId, PoolName};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Number;
use utoipa::ToSchema;

use crate::body;
use crate::by::Behalf;
use crate::command::{Asked, carry_out};
use crate::context::Context;
use crate::discovery::origin;
use crate::refusal::{ErrorBody, Refusal, bad_request};
use crate::status::{self, Server};
use crate::tag::{self, Tag, Tagged, tags};

/// The largest weight of a server, as in the configuration.
pub const WEIGHT_MAX: u32 = 1000;
/// Characters of a server's name, as in the configuration.
const NAME_MAX: usize = 64;

/// A pool as the configuration and operators have set it; figures and health are in `/status`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PoolSettings {
    name: String,
    algorithm: &'static str,
    servers: Vec<ServerSettings>,
}

/// What is said of one server.
#[derive(Debug, Serialize, ToSchema)]
struct ServerSettings {
    id: String,
    address: String,
    /// Where it comes from: `configuration`, `command`, `dns`, `srv` or `file`.
    origin: &'static str,
    /// What the operator wants of it: `ready`, `drain` or `disable`.
    state: &'static str,
    weight: u32,
    backup: bool,
    /// Requests in flight at it; none without a limit.
    max_connections: Option<u32>,
}

/// The path of a pool, or of a server.
type In<T> = Result<Path<T>, PathRejection>;

/// A pool's servers, with their addresses, weights, and what operators want of them
#[utoipa::path(get, path = "/pools/{pool}", tag = "pools", params(("pool" = String, Path, description = "The pool.")), responses(
    (status = 200, body = PoolSettings, description = "The pool. Its ETag changes with each of these settings; send it as `If-Match` with a change.", headers(("ETag" = String))),
    (status = 404, body = ErrorBody, description = "There is no such pool."),
))]
pub(crate) async fn pool(
    State(context): State<Arc<Context>>,
    path: In<String>,
) -> Result<Tagged<PoolSettings>, Refusal> {
    let pool = PoolName::from(name(path)?);
    let (state, servers) = look(&context, &pool).ok_or_else(|| no_pool(&context, &pool))?;
    let settings = PoolSettings { name: pool.to_string(), algorithm: state.config.algorithm.word(), servers };
    Ok((tag(&state), Json(settings)))
}

/// A server with its state and figures
#[utoipa::path(get, path = "/pools/{pool}/servers/{id}", tag = "pools",
    params(("pool" = String, Path, description = "The pool."), ("id" = String, Path, description = "The id of the server: its name, or its address.")),
    responses(
    (status = 200, body = Server, description = "The server. The ETag is that of its pool.", headers(("ETag" = String))),
    (status = 404, body = ErrorBody, description = "There is no such pool or server."),
))]
pub(crate) async fn server(
    State(context): State<Arc<Context>>,
    path: In<(String, String)>,
) -> Result<Tagged<Server>, Refusal> {
    let (pool, id) = names(path)?;
    show(&context, &pool, &id)
}

/// Drain a server, disable it, take it back, or give it another weight
#[utoipa::path(put, path = "/pools/{pool}/servers/{id}", tag = "pools", request_body = Change,
    params(("pool" = String, Path, description = "The pool."), ("id" = String, Path, description = "The id of the server: its name, or its address."),
        ("If-Match" = Option<String>, Header, description = "The ETag of the pool that the change is meant for.")),
    responses(
    (status = 200, body = Server, description = "The server as it is now. The ETag is that of its pool.", headers(("ETag" = String))),
    (status = 404, body = ErrorBody, description = "There is no such pool or server."),
    (status = 408, body = ErrorBody, description = "The body came too slowly."),
    (status = 412, body = ErrorBody, description = "The pool is no longer as the ETag says."),
    (status = 413, body = ErrorBody, description = "The body is too large."),
    (status = 415, body = ErrorBody, description = "The body does not say that it is JSON."),
    (status = 422, body = ErrorBody, description = "The process refuses the change, and says why."),
    (status = 503, body = ErrorBody, description = "The process is leaving."),
    (status = 504, body = ErrorBody, description = "There is no outcome yet."),
))]
pub(crate) async fn change(
    State(context): State<Arc<Context>>,
    path: In<(String, String)>,
    Behalf(by): Behalf,
    request: Request,
) -> Result<Tagged<Server>, Refusal> {
    let (pool, id) = names(path)?;
    let if_match = tags(request.headers())?;
    let change = Change::parse(&body::read(request).await?)?;
    let command = Command::Server {
        pool: pool.clone(),
        id: id.clone(),
        administrative: change.state.map(Administrative::from),
        weight: change.weight,
    };
    carry_out(&context, Asked { command, by: by.because(change.why)?, if_match }).await?;
    show(&context, &pool, &id)
}

/// A server that was added.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AddedServer {
    #[serde(flatten)]
    server: Server,
    /// Such as that another server of the pool has the same address.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// Add a server to a pool
///
/// A reload keeps it. Adding the same server again changes nothing; what is left out is not compared. A removed server of the
/// configuration comes back as it was, but for what is said here.
#[utoipa::path(post, path = "/pools/{pool}/servers", tag = "pools", request_body = NewServer,
    params(("pool" = String, Path, description = "The pool."),
        ("If-Match" = Option<String>, Header, description = "The ETag of the pool that the change is meant for.")),
    responses(
    (status = 200, body = AddedServer, description = "The pool had it already.", headers(("ETag" = String))),
    (status = 201, body = AddedServer, description = "It was added.", headers(("ETag" = String))),
    (status = 404, body = ErrorBody, description = "There is no such pool."),
    (status = 408, body = ErrorBody, description = "The body came too slowly."),
    (status = 409, body = ErrorBody, description = "The pool has a server of that id at another address, or of which other things hold."),
    (status = 412, body = ErrorBody, description = "The pool is no longer as the ETag says."),
    (status = 413, body = ErrorBody, description = "The body is too large."),
    (status = 415, body = ErrorBody, description = "The body does not say that it is JSON."),
    (status = 422, body = ErrorBody, description = "What is asked for cannot be."),
    (status = 503, body = ErrorBody, description = "The process is leaving."),
    (status = 504, body = ErrorBody, description = "There is no outcome yet."),
))]
pub(crate) async fn add(
    State(context): State<Arc<Context>>,
    path: In<String>,
    Behalf(by): Behalf,
    request: Request,
) -> Result<(StatusCode, Tagged<AddedServer>), Refusal> {
    let pool = PoolName::from(name(path)?);
    let if_match = tags(request.headers())?;
    let new: NewServer = body::parse(&body::read(request).await?, "{\"address\": \"10.0.0.3:3000\"}")?;
    let server = new.server()?;
    let id = server.id.clone();
    let command = Command::AddServer { pool: pool.clone(), server };
    let done = carry_out(&context, Asked { command, by: by.because(new.why)?, if_match }).await?;
    let status = if done == CommandDone::Unchanged { StatusCode::OK } else { StatusCode::CREATED };
    let (tag, Json(server)) = show(&context, &pool, &id)?;
    let state = look(&context, &pool).map(|(state, _)| state);
    let warning = state.and_then(|state| shared_address(&state.config.backends, &id));
    Ok((status, (tag, Json(AddedServer { server, warnings: warning.into_iter().collect() }))))
}

/// A server that was removed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Removed {
    /// Its id.
    removed: String,
}

/// Remove a server from a pool
///
/// It finishes the requests that it has. It stays out over reloads for as long as the configuration names it, or until it is
/// added again.
#[utoipa::path(delete, path = "/pools/{pool}/servers/{id}", tag = "pools",
    params(("pool" = String, Path, description = "The pool."), ("id" = String, Path, description = "The id of the server: its name, or its address."),
        ("If-Match" = Option<String>, Header, description = "The ETag of the pool that the change is meant for.")),
    responses(
    (status = 200, body = Removed, description = "It is gone, now or since an earlier removal.", headers(("ETag" = String))),
    (status = 404, body = ErrorBody, description = "There is no such pool, or there was no such server."),
    (status = 412, body = ErrorBody, description = "The pool is no longer as the ETag says."),
    (status = 422, body = ErrorBody, description = "What is asked for cannot be."),
    (status = 503, body = ErrorBody, description = "The process is leaving."),
    (status = 504, body = ErrorBody, description = "There is no outcome yet."),
))]
pub(crate) async fn remove(
    State(context): State<Arc<Context>>,
    path: In<(String, String)>,
    Behalf(by): Behalf,
    headers: HeaderMap,
) -> Result<Tagged<Removed>, Refusal> {
    let (pool, id) = names(path)?;
    let if_match = tags(&headers)?;
    let command = Command::RemoveServer { pool: pool.clone(), id: id.clone() };
    carry_out(&context, Asked { command, by, if_match }).await?;
    let (state, _) = look(&context, &pool).ok_or_else(|| no_pool(&context, &pool))?;
    Ok((tag(&state), Json(Removed { removed: id.to_string() })))
}

/// What a `PUT` asks for. A key that is left out changes nothing.
#[derive(Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ServerChange, min_properties = 1)]
pub(crate) struct Change {
    #[serde(default, deserialize_with = "wanted")]
    state: Option<Wanted>,
    #[serde(default, deserialize_with = "weight")]
    #[schema(maximum = 1000)]
    weight: Option<u32>,
    /// Why, for the log and the events.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(max_length = 500)]
    why: Option<String>,
}

/// What the operator wants of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Administrative)]
enum Wanted {
    /// No new requests; it finishes those that it has.
    Drain,
    /// As `drain`; also WebSockets and relayed connections end, idle connections are closed, and health checks stop.
    Disable,
    /// Its health decides.
    Ready,
}

impl From<Wanted> for Administrative {
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Drain => Self::Drain,
            Wanted::Disable => Self::Disable,
            Wanted::Ready => Self::Ready,
        }
    }
}

fn wanted<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Wanted>, D::Error> {
    body::present(value)
}

/// A weight as in the configuration.
pub(crate) fn weight<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u32>, D::Error> {
    let number = Number::deserialize(value)?;
    match number.as_u64().and_then(|weight| u32::try_from(weight).ok()) {
        Some(weight) if weight <= WEIGHT_MAX => Ok(Some(weight)),
        _ => Err(D::Error::custom(format!(
            "`weight` must be a whole number from 0 to {WEIGHT_MAX}, not {number}"
        ))),
    }
}

impl Change {
    fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let change: Self = body::parse(body, "{\"state\": \"drain\"}")?;
        if change.state.is_none() && change.weight.is_none() {
            return Err(bad_request("say `state`, `weight` or both"));
        }
        Ok(change)
    }
}

/// A server to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewServer {
    /// `PORT`, `HOST:PORT`, `[v6]:PORT` or `unix:/path`.
    address: String,
    /// Its share; if it is left out, 1, or what the configuration says of the server.
    #[serde(default, deserialize_with = "weight")]
    #[schema(maximum = 1000)]
    weight: Option<u32>,
    /// Its name: letters, digits, `.`, `_` and `-`. If it is left out, the address is the id.
    #[serde(default, deserialize_with = "body::present")]
    id: Option<String>,
    /// Used only when no other server is up.
    #[serde(default, deserialize_with = "body::present")]
    backup: Option<bool>,
    /// Why, for the log and the events.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(max_length = 500)]
    why: Option<String>,
}

impl NewServer {
    fn server(&self) -> Result<Addition, Refusal> {
        let address = Address::backend(&self.address);
        let address = address.map_err(|fault| bad_request(format!("`address`: {fault}")))?;
        let mut id = BackendId::from(address.to_string());
        if let Some(given) = &self.id {
            let is_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            if given.is_empty() || given.len() > NAME_MAX || !given.chars().all(is_name) {
                let form = format!("`id` has 1 to {NAME_MAX} letters, digits, `.`, `_` and `-`");
                return Err(bad_request(form));
            }
            id = BackendId::from(given.as_str());
        }
        Ok(Addition { id, address, weight: self.weight, backup: self.backup, max_connections: None })
    }
}

/// The one name in a path.
pub(crate) fn name(path: In<String>) -> Result<String, Refusal> {
    path.map(|Path(name)| name).map_err(|fault| bad_request(fault.body_text()))
}

fn names(path: In<(String, String)>) -> Result<(PoolName, BackendId), Refusal> {
    let Path((pool, id)) = path.map_err(|fault| bad_request(fault.body_text()))?;
    Ok((PoolName::from(pool), BackendId::from(id)))
}

fn tag(state: &PoolState) -> Tag {
    tag::field(&state.settings_tag())
}

/// A pool at this moment, and what is said of its servers.
fn look(context: &Context, pool: &PoolName) -> Option<(Arc<PoolState>, Vec<ServerSettings>)> {
    let snapshot = context.snapshot.load();
    let position = snapshot.position_of(pool)?;
    let (configured, known) = (&snapshot.config.pools[position], context.discoveries.of(pool));
    let state = snapshot.pools[position].state();
    let show = |(at, backend): (usize, &Backend)| ServerSettings {
        id: backend.id.to_string(),
        address: backend.address.to_string(),
        origin: origin(backend, configured, known.as_deref()),
        state: state.servers.states[at].administrative().as_str(),
        weight: state.servers.states[at].weight,
        backup: backend.backup,
        max_connections: backend.max_connections,
    };
    let servers = state.config.backends.iter().enumerate().map(show).collect();
    Some((state, servers))
}

fn no_pool(context: &Context, pool: &PoolName) -> Refusal {
    let snapshot = context.snapshot.load();
    let known = snapshot.config.pools.iter().map(|pool| pool.name.as_str());
    let why = unknown_name(format_args!("there is no pool {pool}"), pool.as_str(), known);
    Refusal::new(StatusCode::NOT_FOUND, why)
}

fn show(context: &Context, pool: &PoolName, id: &BackendId) -> Result<Tagged<Server>, Refusal> {
    let (state, servers) = look(context, pool).ok_or_else(|| no_pool(context, pool))?;
    let server = status::server(context, pool, id).ok_or_else(|| {
        let known = servers.iter().map(|server| server.id.as_str());
        let missing = format_args!("there is no server {id} in the pool {pool}");
        Refusal::new(StatusCode::NOT_FOUND, unknown_name(missing, id.as_str(), known))
    })?;
    Ok((tag(&state), Json(server)))
}
