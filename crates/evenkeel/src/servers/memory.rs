//! What commands and discoveries have changed, remembered while a configuration is on trial: one that lacks a server, a pool or a route
//! makes the registry forget what was said of it, and it is to be so again when the configuration before comes back.

use std::collections::HashMap;

use evenkeel_types::{PoolName, RouteName};

use super::ServerRegistry;
use super::pool::PoolMemory;
use super::split_set::SplitSet;

/// What is remembered: the last word on each server and split since the configuration that may come back was replaced.
#[derive(Default)]
pub struct Memory {
    pools: HashMap<PoolName, PoolMemory>,
    /// One route may have several: what it splits may differ between configurations.
    splits: Vec<(RouteName, SplitSet)>,
}

impl Memory {
    /// What is remembered of a pool.
    pub fn pool(&self, name: &PoolName) -> Option<&PoolMemory> {
        self.pools.get(name)
    }
}

impl ServerRegistry {
    /// Adds what is so now to what was `before`.
    pub fn remember(&self, before: Memory) -> Memory {
        let Memory { mut pools, mut splits } = before;
        for configured in &self.config.pools {
            let Some(servers) = self.pools.get(&configured.name) else { continue };
            let known = pools.remove(&configured.name);
            pools.insert(configured.name.clone(), servers.remember(configured, known));
        }
        if !splits.is_empty() {
            let routes: HashMap<_, _> = self.config.routes.iter().map(|it| (&it.name, &it.action)).collect();
            splits.retain(|(route, set)| !routes.get(route).is_some_and(|action| set.replaces(action)));
        }
        splits.extend(self.splits.iter().map(|(route, set)| (route.clone(), set.clone())));
        Memory { pools, splits }
    }

    /// Divides as is remembered. What does not fit the configuration is forgotten with the next snapshot.
    pub(super) fn recall_splits(&mut self, memory: &Memory) {
        if memory.splits.is_empty() {
            return;
        }
        let routes: HashMap<_, _> = self.config.routes.iter().map(|it| (&it.name, &it.action)).collect();
        let fits = |(route, set): &&(RouteName, SplitSet)| {
            routes.get(route).is_some_and(|action| set.replaces(action))
        };
        self.splits.extend(memory.splits.iter().filter(fits).cloned());
    }
}
