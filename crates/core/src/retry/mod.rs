//! Whether a request that a server has failed goes to another one, what that may cost, and how much time is left.

mod budget;
mod deadline;
mod latency;
mod policy;

pub use budget::{Budget, Purse};
pub use deadline::{deadline, told};
pub use latency::Latencies;
pub use policy::{Attempt, Cause, Decision, Final, describe, describe_hedge, hedge_after, retry};

use crate::balance::Members;

/// What a pool keeps for its retries; shared by all workers and kept across reloads.
#[derive(Debug, Default)]
pub struct Retries {
    /// How many there may be.
    pub budget: Budget,
    /// How long answers take, for hedges.
    pub latencies: Latencies,
}

/// True if a server that is not among `tried` takes requests.
pub fn any_left(members: &Members, tried: &[usize]) -> bool {
    (0..members.len()).any(|server| members.usable(server) && !tried.contains(&server))
}

#[cfg(test)]
mod simulation;
