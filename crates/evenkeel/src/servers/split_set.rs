//! The weights of a split that a command has set.

use evenkeel_config::Action;
use evenkeel_core::snapshot::Split;
use evenkeel_types::PoolName;

/// What a command has set in place of the weights of a route's split.
#[derive(Clone)]
pub struct SplitSet {
    /// What the configuration said then. Once it says something else, that counts.
    pub configured: Vec<(PoolName, u32)>,
    /// The weights in place of those.
    pub weights: Split,
}

impl SplitSet {
    /// What the configuration said of its pools.
    pub fn configured(&self) -> impl Iterator<Item = (&PoolName, u32)> {
        self.configured.iter().map(|(pool, weight)| (pool, *weight))
    }

    /// The weights of its pools.
    pub fn weights(&self) -> impl Iterator<Item = (&PoolName, u32)> {
        self.weights.iter().map(|(pool, weight)| (pool, *weight))
    }

    /// True if it replaces the weights that this action has.
    pub fn replaces(&self, action: &Action) -> bool {
        matches!(action, Action::Split(configured) if *configured == self.configured)
    }
}
