//! What commands and discoveries have said of a pool's servers, kept while a configuration on trial may lack them.

use std::collections::{HashMap, HashSet};

use evenkeel_config::Pool as PoolConfig;
use evenkeel_core::endpoints::Endpoints;
use evenkeel_core::health::{Administrative, HealthNotice};
use evenkeel_types::{BackendId, Time};

use super::PoolServers;
use crate::servers::pending::{Change, Pending};

/// What is remembered of one pool.
pub struct PoolMemory {
    endpoints: Endpoints,
    weights: HashMap<BackendId, u32>,
    states: HashMap<BackendId, Administrative>,
    pending: Pending,
}

impl PoolServers {
    /// What commands and discoveries have said of the servers: the last word on each, which is that of `before` on those that the pool
    /// does not have now. `configured` is the pool as the configuration in force has it.
    pub fn remember(&self, configured: &PoolConfig, before: Option<PoolMemory>) -> PoolMemory {
        let states = self.health.servers().map(|(id, health)| (id.clone(), health.administrative()));
        let mut memory = PoolMemory {
            endpoints: self.endpoints.clone(),
            weights: self.weights.clone(),
            states: states.collect(),
            pending: self.pending.clone(),
        };
        let Some(before) = before else { return memory };
        let present: HashSet<&BackendId> = self.config.backends.iter().map(|backend| &backend.id).collect();
        memory.endpoints.remember(configured, before.endpoints);
        memory.weights.extend(before.weights.into_iter().filter(|(id, _)| !present.contains(id)));
        memory.states.extend(before.states.into_iter().filter(|(id, _)| !present.contains(id)));
        if configured.discover.is_none() {
            memory.pending = before.pending;
        }
        memory
    }

    /// The servers of a pool that comes back.
    pub fn recalled(
        pool: &PoolConfig,
        memory: &PoolMemory,
        secret: &[u8],
        now: Time,
    ) -> (Self, Vec<HealthNotice>) {
        let mut endpoints = memory.endpoints.clone();
        endpoints.reconfigure(pool);
        // All of them start together: none is new beside the others.
        let whole = PoolConfig { backends: endpoints.of(pool), ..pool.clone() };
        let mut servers = Self::new(&whole, secret, now);
        servers.recall(memory);
        let notices = servers.reconfigure(pool, secret, now);
        (servers, notices)
    }

    /// Goes by what is remembered, from the next [`reconfigure`](Self::reconfigure) on.
    pub fn recall(&mut self, memory: &PoolMemory) {
        let PoolMemory { endpoints, weights, states, pending } = memory;
        for id in endpoints.changes().1 {
            if !self.was_removed(id) {
                self.note_removed(id);
            }
        }
        self.endpoints = endpoints.clone();
        self.weights.clone_from(weights);
        self.pending = pending.clone();
        for (id, state) in states {
            if *state != Administrative::Ready {
                self.pending.keep(id.clone(), Change::Set(Some(*state), None));
            }
        }
    }
}
