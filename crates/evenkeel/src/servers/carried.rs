//! What commands have changed of the servers: it goes from one process to the next with an upgrade.

use evenkeel_config::Backend;
use evenkeel_core::health::Administrative;
use evenkeel_core::snapshot::CommandError;
use evenkeel_types::{Address, BackendId, PoolName, RouteName, Time};
use serde::{Deserialize, Serialize};

use super::ServerRegistry;
use super::pending::Change;
use super::split_set::SplitSet;

/// What commands have changed of the servers of one pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// The pool.
    pool: String,
    /// Servers that were added.
    added: Vec<Added>,
    /// Servers that were removed although the configuration names them.
    removed: Vec<String>,
    /// Weights that were set.
    weights: Vec<(String, u32)>,
    /// Servers that are drained.
    drained: Vec<String>,
    /// Servers that are disabled.
    #[serde(default)]
    disabled: Vec<String>,
}

/// The weights that commands have set for the split of a route, by pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedSplit {
    route: String,
    weights: Vec<(String, u32)>,
    /// What the configuration said then; processes of an older version do not say.
    #[serde(default)]
    configured: Option<Vec<(String, u32)>>,
}

/// A server that was added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Added {
    id: String,
    address: String,
    weight: u32,
    backup: bool,
    max_connections: Option<u32>,
}

impl ServerRegistry {
    /// What commands have changed, pool by pool.
    pub fn carried(&self) -> Vec<Carried> {
        let mut all = Vec::new();
        for (name, servers) in &self.pools {
            let (added, removed) = servers.changes();
            let pending = servers.pending();
            let of_state = |wanted: Administrative| {
                let servers = servers.health.servers();
                let such = servers.filter(move |(_, health)| health.administrative() == wanted);
                let ids = such.map(|(id, _)| id).chain(pending.of_state(wanted));
                ids.map(ToString::to_string).collect::<Vec<_>>()
            };
            let carried = Carried {
                pool: name.to_string(),
                added: added.iter().map(Added::of).collect(),
                removed: removed.chain(pending.removed()).map(ToString::to_string).collect(),
                weights: (servers.weights().chain(pending.weights()))
                    .map(|(id, weight)| (id.to_string(), weight))
                    .collect(),
                drained: of_state(Administrative::Drain),
                disabled: of_state(Administrative::Disable),
            };
            let is_empty = carried.added.is_empty()
                && carried.removed.is_empty()
                && carried.weights.is_empty()
                && carried.drained.is_empty()
                && carried.disabled.is_empty();
            all.extend((!is_empty).then_some(carried));
        }
        all
    }

    /// The splits that commands have changed.
    pub fn carried_splits(&self) -> Vec<CarriedSplit> {
        let words = |(pool, weight): (&PoolName, u32)| (pool.to_string(), weight);
        let of = |(route, set): (&RouteName, &SplitSet)| CarriedSplit {
            route: route.to_string(),
            weights: set.weights().map(words).collect(),
            configured: Some(set.configured().map(words).collect()),
        };
        self.splits.iter().map(of).collect()
    }

    /// Changes the splits as commands to another process did, unless the configuration says something else of them by now, as in a
    /// reload. What makes no sense with this configuration is logged and left out.
    pub fn carry_on_splits(&mut self, all: &[CarriedSplit]) {
        for CarriedSplit { route, weights, configured } in all {
            let route = RouteName::from(route.as_str());
            let named = |shares: &[(String, u32)]| -> Vec<(PoolName, u32)> {
                shares.iter().map(|(pool, weight)| (PoolName::from(pool.as_str()), *weight)).collect()
            };
            if let (Some(before), Some(now)) = (configured, self.configured_split(&route))
                && named(before) != *now
            {
                tracing::info!(%route, "the configuration says something else of this split by now: the weights that a command had set are dropped");
                continue;
            }
            let weights = named(weights);
            if let Err(error) = self.divide(&route, &weights) {
                tracing::warn!(%route, ?error, "a change by command to the process before does not fit this configuration");
            }
        }
    }

    /// Changes the servers as commands to another process did. What concerns servers that are not discovered yet is kept until they are.
    /// What makes no sense with this configuration is logged and left out.
    pub fn carry_on(&mut self, all: Vec<Carried>, now: Time) {
        for Carried { pool, added, removed, weights, drained, disabled } in all {
            let pool = PoolName::from(pool.as_str());
            let mut left_out = Vec::new();
            for id in removed {
                let id = BackendId::from(id.as_str());
                let done = self.remove(&pool, &id, now);
                left_out
                    .extend(done.err().and_then(|why| self.change_later(&pool, &id, Change::Removed, why)));
            }
            for server in added {
                match server.backend() {
                    Some(server) => left_out.extend(self.add(&pool, server, now).err()),
                    None => {
                        tracing::warn!(%pool, address = server.address, "a server that was added is left out: its address is not understood")
                    }
                }
            }
            let weights = weights.into_iter().map(|(id, weight)| (id, None, Some(weight)));
            let drained = drained.into_iter().map(|id| (id, Some(Administrative::Drain), None));
            let disabled = disabled.into_iter().map(|id| (id, Some(Administrative::Disable), None));
            for (id, state, weight) in weights.chain(drained).chain(disabled) {
                let id = BackendId::from(id.as_str());
                let done = self.administer(&pool, &id, state, weight, now);
                let change = Change::Set(state, weight);
                left_out.extend(done.err().and_then(|why| self.change_later(&pool, &id, change, why)));
            }
            for error in left_out {
                tracing::warn!(%pool, ?error, "a change by command to the process before does not fit this configuration");
            }
        }
    }

    /// Keeps a change of a server that its pool does not have yet, because it discovers servers. Else the error is returned.
    fn change_later(
        &mut self,
        pool: &PoolName,
        id: &BackendId,
        change: Change,
        why: CommandError,
    ) -> Option<CommandError> {
        let servers = self.pools.get_mut(pool).filter(|servers| servers.config().discover.is_some());
        let is_unknown = matches!(why, CommandError::NotFound(_));
        let is_kept = is_unknown && servers.is_some_and(|servers| servers.change_later(id, change));
        (!is_kept).then_some(why)
    }
}

impl Added {
    fn of(backend: &Backend) -> Self {
        let Backend { id, address, weight, backup, max_connections } = backend;
        Self {
            id: id.to_string(),
            address: address.to_string(),
            weight: *weight,
            backup: *backup,
            max_connections: *max_connections,
        }
    }

    fn backend(&self) -> Option<Backend> {
        Some(Backend {
            id: self.id.as_str().into(),
            address: Address::backend(&self.address).ok()?,
            weight: self.weight,
            backup: self.backup,
            max_connections: self.max_connections,
        })
    }
}
