//! What is known of how pools discover their servers, for people: written by the control thread, read by the API.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use evenkeel_config::{Backend, Discover};
use evenkeel_types::{PoolName, Time};

/// What asking for the servers of one pool came to.
#[derive(Debug, Clone)]
pub struct DiscoveryState {
    /// What is asked.
    pub source: Discover,
    /// When it was asked last.
    pub asked: Time,
    /// When it is asked next.
    pub next: Time,
    /// When all was answered for the last time; `None` if never.
    pub succeeded: Option<Time>,
    /// Why not all was answered the last time, in one line; `None` if it was.
    pub error: Option<String>,
    /// The servers of the last good answer.
    pub servers: Arc<[Backend]>,
}

/// That of each pool that discovers servers and has asked for them.
#[derive(Debug, Default)]
pub struct DiscoveryStates(Mutex<HashMap<PoolName, Arc<DiscoveryState>>>);

impl DiscoveryStates {
    /// That of one pool.
    pub fn of(&self, pool: &PoolName) -> Option<Arc<DiscoveryState>> {
        self.lock().get(pool).cloned()
    }

    /// Replaces that of one pool.
    pub fn set(&self, pool: &PoolName, state: DiscoveryState) {
        self.lock().insert(pool.clone(), Arc::new(state));
    }

    /// Forgets those that are not to be kept.
    pub fn retain(&self, keep: impl Fn(&PoolName) -> bool) {
        self.lock().retain(|pool, _| keep(pool));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PoolName, Arc<DiscoveryState>>> {
        // The map stays whole whatever thread dies.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
