//! Where each server of a pool stands in the order of its configuration.

use std::collections::HashMap;

use evenkeel_types::BackendId;

/// The position of each server, by its id and by what identifies it in memory. Shared by all states of a pool that have
/// the same servers.
#[derive(Debug)]
pub struct Positions {
    by_id: HashMap<BackendId, usize>,
    by_key: HashMap<usize, usize>,
    keys: Box<[usize]>,
}

impl Positions {
    /// Those of servers with these ids and keys, in the order of the configuration.
    pub(super) fn new(servers: impl Iterator<Item = (BackendId, usize)>) -> Self {
        let (ids, keys): (Vec<_>, Vec<_>) = servers.unzip();
        Self {
            by_id: ids.into_iter().enumerate().map(|(at, id)| (id, at)).collect(),
            by_key: keys.iter().enumerate().map(|(at, &key)| (key, at)).collect(),
            keys: keys.into(),
        }
    }

    /// The keys of the servers, in order.
    pub(crate) fn keys(&self) -> &[usize] {
        &self.keys
    }

    /// Where the server with this id stands.
    pub(crate) fn of_id(&self, id: &BackendId) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// Where the server with this key stands.
    pub(crate) fn of_key(&self, key: usize) -> Option<usize> {
        self.by_key.get(&key).copied()
    }
}
