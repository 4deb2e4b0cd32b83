//! What commands to the process before have changed of servers that this process has not discovered yet.

use std::collections::{HashMap, HashSet};

use evenkeel_core::health::Administrative;
use evenkeel_types::BackendId;

/// Servers of one pool of which something is kept.
const PENDING_MAX: usize = 4_096;

/// What is to be changed of servers once a pool has them.
#[derive(Debug, Clone, Default)]
pub struct Pending(HashMap<BackendId, Change>);

/// What is to be changed of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A command has removed it.
    Removed,
    /// A command has set its state, its weight, or both.
    Set(Option<Administrative>, Option<u32>),
}

impl Pending {
    /// Keeps a change for later; false if there are too many.
    pub fn keep(&mut self, id: BackendId, change: Change) -> bool {
        if self.0.len() >= PENDING_MAX && !self.0.contains_key(&id) {
            return false;
        }
        let kept = self.0.entry(id).or_insert(change);
        if let (Change::Set(state, weight), Change::Set(new_state, new_weight)) = (*kept, change) {
            *kept = Change::Set(new_state.or(state), new_weight.or(weight));
        }
        true
    }

    /// The servers that are to be out.
    pub fn removed(&self) -> impl Iterator<Item = &BackendId> {
        self.0.iter().filter(|(_, change)| **change == Change::Removed).map(|(id, _)| id)
    }

    /// The weights that are to be set.
    pub fn weights(&self) -> impl Iterator<Item = (&BackendId, u32)> {
        self.0.iter().filter_map(|(id, change)| match change {
            Change::Set(_, Some(weight)) => Some((id, *weight)),
            _ => None,
        })
    }

    /// The servers that are to get this state.
    pub fn of_state(&self, wanted: Administrative) -> impl Iterator<Item = &BackendId> {
        self.0
            .iter()
            .filter(move |(_, change)| matches!(change, Change::Set(Some(state), _) if *state == wanted))
            .map(|(id, _)| id)
    }

    /// Takes out the servers that are to be out, and are out now.
    pub fn take_removed(&mut self, mut keep_out: impl FnMut(&BackendId) -> bool) {
        self.0.retain(|id, change| *change != Change::Removed || !keep_out(id));
    }

    /// Takes out what is to be set of servers that the pool has by now.
    pub fn take_set(
        &mut self,
        ids: &HashSet<&BackendId>,
    ) -> Vec<(BackendId, Option<Administrative>, Option<u32>)> {
        let mut taken = Vec::new();
        self.0.retain(|id, change| match change {
            Change::Set(state, weight) if ids.contains(id) => {
                taken.push((id.clone(), *state, *weight));
                false
            }
            _ => true,
        });
        taken
    }

    /// Forgets all, and says of which servers.
    pub fn clear(&mut self) -> Vec<String> {
        self.0.drain().map(|(id, _)| id.to_string()).collect()
    }
}
