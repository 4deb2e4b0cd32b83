//! What operators change of servers and splits while the process runs: each change says what it changed, and is nothing if all is so
//! already.

use std::collections::HashMap;

use evenkeel_config::{Action, Backend, unknown_name};
use evenkeel_core::endpoints::{Addition, shared_addresses};
use evenkeel_core::health::Administrative;
use evenkeel_core::snapshot::{CommandError, Split};
use evenkeel_types::{BackendId, PoolName, RouteName, Time};

use super::split_set::SplitSet;
use super::{PoolServers, ServerRegistry};

impl ServerRegistry {
    /// Does what the operator wants of a server. What has changed is returned, in words.
    ///
    /// # Errors
    /// There is no such server.
    pub fn administer(
        &mut self,
        pool: &PoolName,
        id: &BackendId,
        administrative: Option<Administrative>,
        weight: Option<u32>,
        now: Time,
    ) -> Result<Vec<String>, CommandError> {
        let (state, old_weight) = self.settings(pool, id).ok_or_else(|| self.unknown(pool, id))?;
        let administrative = administrative.filter(|wanted| *wanted != state);
        let weight = weight.filter(|weight| *weight != old_weight);
        let mut changes = Vec::new();
        changes.extend(administrative.map(|to| format!("state from {} to {}", state.as_str(), to.as_str())));
        changes.extend(weight.map(|to| format!("weight from {old_weight} to {to}")));
        if changes.is_empty() {
            return Ok(changes);
        }
        let is_published = self.change(pool, now, |servers| {
            let mut notices = Vec::new();
            if let Some(wanted) = administrative {
                notices.extend(servers.health.administer(id, wanted, now));
            }
            if let Some(weight) = weight {
                servers.weigh(id, weight, now);
            }
            notices
        });
        if !is_published && let Some(servers) = self.pools.get_mut(pool) {
            servers.update(now);
        }
        Ok(changes)
    }

    /// That there is no such server: what is missing is the pool, or the server in it.
    fn unknown(&self, pool: &PoolName, id: &BackendId) -> CommandError {
        match self.pools.get(pool) {
            Some(servers) => servers.unknown(pool, id),
            None => self.unknown_pool(pool),
        }
    }

    /// That there is no such pool.
    pub(super) fn unknown_pool(&self, pool: &PoolName) -> CommandError {
        let known = self.config.pools.iter().map(|pool| pool.name.as_str());
        CommandError::NotFound(unknown_name(format_args!("there is no pool {pool}"), pool.as_str(), known))
    }

    /// The tag of what is said of a pool's servers.
    pub fn settings_tag(&self, pool: &PoolName) -> Option<String> {
        Some(self.pools.get(pool)?.handle().state().settings_tag())
    }

    /// What the operator wants of a server at this moment, and its weight.
    fn settings(&self, pool: &PoolName, id: &BackendId) -> Option<(Administrative, u32)> {
        let servers = self.pools.get(pool)?;
        let state = servers.handle().state();
        let at = state.servers.members.position(id)?;
        Some((servers.health.server(id)?.administrative(), state.servers.states.get(at)?.weight))
    }

    /// Warnings about servers that commands have added, and whose address another server of their pool has as well.
    pub fn shared_addresses(&self) -> Vec<String> {
        let of_pool = |(name, servers): (&PoolName, &PoolServers)| {
            let state = servers.handle().state();
            let warnings = shared_addresses(&state.config.backends, servers.changes().0);
            warnings.into_iter().map(|warning| format!("pool {name}: {warning}")).collect::<Vec<_>>()
        };
        self.pools.iter().flat_map(of_pool).collect()
    }

    /// Adds a server to a pool; false if the pool has one already of which all holds that is said.
    ///
    /// # Errors
    /// There is no such pool, or it has another server of that id, or too many.
    pub fn add(
        &mut self,
        pool: &PoolName,
        server: impl Into<Addition>,
        now: Time,
    ) -> Result<bool, CommandError> {
        let wanted = server.into();
        if let Some(present) = self.present(pool, &wanted.id).filter(|it| it.address == wanted.address) {
            if wanted.is(&present) {
                return Ok(false);
            }
            let Backend { id, weight, backup, .. } = present;
            let role = if backup { " as a backup" } else { ", not as a backup" };
            return Err(CommandError::Conflict(format!(
                "pool {pool}: there is a server {id} already, with weight {weight}{role}"
            )));
        }
        self.change_servers(pool, |servers, configured, secret| {
            servers.add(configured, wanted, secret, now)
        })?;
        Ok(true)
    }

    /// A server of a pool, with the weight that it has now.
    pub fn present(&self, pool: &PoolName, id: &BackendId) -> Option<Backend> {
        let (_, weight) = self.settings(pool, id)?;
        let backend = self.pool(pool)?.backends.iter().find(|backend| backend.id == *id)?;
        Some(Backend { weight, ..backend.clone() })
    }

    /// Removes a server from a pool. Requests that it has go on. False if it was removed before.
    ///
    /// # Errors
    /// There is no such server, and was none.
    pub fn remove(&mut self, pool: &PoolName, id: &BackendId, now: Time) -> Result<bool, CommandError> {
        if self.pools.get(pool).is_some_and(|servers| servers.was_removed(id)) {
            return Ok(false);
        }
        self.change_servers(pool, |servers, configured, secret| servers.remove(configured, id, secret, now))?;
        self.metrics.retain_backends(|of, server| of != pool || server != id);
        Ok(true)
    }

    /// What the configuration says of a route's split, if it has one.
    pub(super) fn configured_split(&self, route: &RouteName) -> Option<&[(PoolName, u32)]> {
        match &self.config.routes.iter().find(|it| it.name == *route)?.action {
            Action::Split(configured) => Some(configured),
            _ => None,
        }
    }

    /// Gives pools of a route's split other weights, and says what has changed. The workers see it with the next snapshot.
    ///
    /// # Errors
    /// There is no such route, or it has no split, or none with such a pool; or no weight would be left.
    pub fn divide(
        &mut self,
        route: &RouteName,
        weights: &[(PoolName, u32)],
    ) -> Result<Vec<String>, CommandError> {
        let configured = self.config.routes.iter().find(|it| it.name == *route);
        let configured = match configured.map(|route| &route.action) {
            Some(Action::Split(configured)) => configured,
            Some(_) => return Err(CommandError::NotFound(format!("the route {route} has no split"))),
            None => {
                let known = self.config.routes.iter().map(|route| route.name.as_str());
                let why = unknown_name(format_args!("there is no route {route}"), route.as_str(), known);
                return Err(CommandError::NotFound(why));
            }
        };
        let before = match self.splits.get(route) {
            Some(set) if set.configured == *configured => set.weights.to_vec(),
            _ => configured.clone(),
        };
        let mut after = before.clone();
        for (pool, weight) in weights {
            let Some(share) = after.iter_mut().find(|(name, _)| name == pool) else {
                let pools = configured.iter().map(|(name, _)| name.as_str());
                let missing = format_args!("the split of {route} has no pool {pool}");
                return Err(CommandError::Refused(unknown_name(missing, pool.as_str(), pools)));
            };
            share.1 = *weight;
        }
        if after.iter().all(|(_, weight)| *weight == 0) {
            return Err(CommandError::Refused(format!(
                "no pool of the split of {route} would have a weight"
            )));
        }
        let changed = |((pool, from), (_, to)): (&(PoolName, u32), &(PoolName, u32))| {
            (from != to).then(|| format!("weight of {pool} from {from} to {to}"))
        };
        let changes = before.iter().zip(&after).filter_map(changed).collect();
        if after == *configured {
            self.splits.remove(route);
        } else {
            let set = SplitSet { configured: configured.clone(), weights: after.into() };
            self.splits.insert(route.clone(), set);
        }
        Ok(changes)
    }

    /// What commands have set of splits, by route, for as long as the configuration says of them what it said then.
    pub(super) fn splits_by_route(&mut self) -> HashMap<usize, Split> {
        if self.splits.is_empty() {
            return HashMap::new();
        }
        let mut kept = foldhash::HashMap::default();
        let mut by_route = HashMap::new();
        for (position, route) in self.routes.routes().iter().enumerate() {
            let Action::Split(configured) = &route.action else { continue };
            if let Some((name, set)) = self.splits.remove_entry(&route.name)
                && set.configured == *configured
            {
                by_route.insert(position, set.weights.clone());
                kept.insert(name, set);
            }
        }
        self.splits = kept;
        by_route
    }
}
