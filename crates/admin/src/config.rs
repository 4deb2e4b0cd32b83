//! `GET /config`: the configuration in force, and what commands have changed since it was read.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use evenkeel_config::{Action, Backend, Pool, Redactor};
use evenkeel_core::discovery::DiscoveryState;
use evenkeel_core::health;
use evenkeel_core::snapshot::{PoolState, Snapshot};
use evenkeel_types::{BackendId, PoolName};
use serde::Serialize;
use utoipa::ToSchema;

use crate::context::Context;
use crate::discovery::origin;
use crate::file::File;

/// The configuration in force.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Configuration {
    /// The number of what is in force: 1 in a new process, also after an upgrade, and one more with each reload that took effect,
    /// each return to the previous configuration, and each change of a split.
    generation: u64,
    /// The absolute path of its file; none if it is from the command line.
    #[schema(value_type = Option<String>)]
    source: Option<PathBuf>,
    /// As TOML, with every default filled in; without the changes by commands, and without those that
    /// take effect at a restart or upgrade. In place of each secret stands `(redacted)` with a checksum.
    text: String,
    /// What commands have changed since the file was read, in words.
    changes: Vec<String>,
    /// The same for programs, in the same order. Whether the file has changed since is not said here.
    runtime: Vec<RuntimeChange>,
    /// What the file says by now. Absent if the configuration is from the command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<File>,
}

/// One thing that a command has changed, and that is not in the file.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct RuntimeChange {
    /// `server-added`, `server-removed`, `weight`, `state` or `split`.
    kind: &'static str,
    /// Of a change of a server.
    #[serde(skip_serializing_if = "String::is_empty")]
    pool: String,
    /// Of a change of a server.
    #[serde(skip_serializing_if = "String::is_empty")]
    server: String,
    /// The route of a split.
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    /// The weights of a split by pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    weights: Option<BTreeMap<String, u32>>,
    /// Of an added server.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// Of an added server, or the new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<u32>,
    /// Of an added server.
    #[serde(skip_serializing_if = "Option::is_none")]
    backup: Option<bool>,
    /// Of an added server that has such a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_connections: Option<u32>,
    /// What the operator wants of the server; there is no key for it in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    /// In words.
    #[serde(skip)]
    what: String,
}

/// The configuration in force, and what commands have changed since it was read
#[utoipa::path(get, path = "/config", tag = "configuration", responses(
    (status = 200, body = Configuration, description = "The configuration."),
))]
pub(crate) async fn config(State(context): State<Arc<Context>>) -> Json<Configuration> {
    let snapshot = context.snapshot.load_full();
    let mut runtime = Vec::new();
    for (configured, handle) in snapshot.config.pools.iter().zip(&snapshot.pools) {
        let found = context.discoveries.of(&configured.name);
        of_pool(configured, &handle.state(), found.as_deref(), &mut runtime);
    }
    runtime.extend(splits(&snapshot));
    Json(Configuration {
        generation: snapshot.generation,
        source: context.source.clone(),
        text: snapshot.config.redacted(&Redactor::of(&[&*snapshot.config])).to_toml(),
        changes: runtime.iter().map(|change| change.what.clone()).collect(),
        runtime,
        file: File::of(&snapshot, context.source.as_ref()).await,
    })
}

/// What commands have changed of routes' splits.
fn splits(snapshot: &Snapshot) -> Vec<RuntimeChange> {
    let routes = snapshot.routes.routes().iter().enumerate();
    let changed = routes.filter_map(|(position, route)| {
        let (Action::Split(configured), now) = (&route.action, snapshot.split_of(position)?) else {
            return None;
        };
        let shown = |split: &[(PoolName, u32)]| {
            let shares: Vec<_> = split.iter().map(|(pool, weight)| format!("{pool}={weight}")).collect();
            shares.join(" ")
        };
        let is_changed = configured.as_slice() != now;
        is_changed.then(|| RuntimeChange {
            kind: "split",
            route: Some(route.name.to_string()),
            weights: Some(now.iter().map(|(pool, weight)| (pool.to_string(), *weight)).collect()),
            what: format!("route {}: split {} -> {} by a command", route.name, shown(configured), shown(now)),
            ..RuntimeChange::default()
        })
    });
    changed.collect()
}

/// What commands have changed of one pool.
fn of_pool(configured: &Pool, now: &PoolState, found: Option<&DiscoveryState>, out: &mut Vec<RuntimeChange>) {
    let pool = &configured.name;
    let by_id = |backends: &'_ [Backend]| -> HashMap<BackendId, Backend> {
        backends.iter().map(|it| (it.id.clone(), it.clone())).collect()
    };
    let present = by_id(&now.config.backends);
    let change = |kind, server: &BackendId, what: String| RuntimeChange {
        kind,
        pool: pool.to_string(),
        server: server.to_string(),
        what: format!("pool {pool}: {what}"),
        ..RuntimeChange::default()
    };
    let is_gone = |server: &&Backend| present.get(&server.id) != Some(*server);
    for server in configured.backends.iter().filter(is_gone) {
        let id = &server.id;
        out.push(change("server-removed", id, format!("server {id} was removed by a command")));
    }
    for (server, state) in now.config.backends.iter().zip(now.servers.states.iter()) {
        let (id, address) = (&server.id, &server.address);
        if origin(server, configured, found) == "command" {
            let at = if id.as_str() == address.to_string() { String::new() } else { format!(" ({address})") };
            out.push(RuntimeChange {
                address: Some(address.to_string()),
                weight: Some(state.weight),
                backup: Some(server.backup),
                max_connections: server.max_connections,
                ..change("server-added", id, format!("server {id}{at} was added by a command"))
            });
        } else if state.weight != server.weight {
            let what = format!("weight of server {id}: {} -> {} by a command", server.weight, state.weight);
            out.push(RuntimeChange { weight: Some(state.weight), ..change("weight", id, what) });
        }
        if matches!(state.state, health::State::Draining | health::State::Disabled) {
            let word = state.state.as_str();
            let what = format!("server {id} is {word} by a command");
            out.push(RuntimeChange { state: Some(word), ..change("state", id, what) });
        }
    }
}
