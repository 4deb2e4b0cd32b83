//! Whether a request that failed at one server goes to another one, how many such retries a pool may make, and how much time
//! a request has left.

mod budget;
mod deadline;
mod latency;
mod policy;

pub use budget::{Budget, LocalBudget};
pub use deadline::{deadline, remaining};
pub use latency::Latencies;
pub use policy::{Attempt, Cause, Decision, Final, describe, describe_hedge, hedge_after, retry};

use crate::balance::Members;

/// What a pool remembers for its retries and hedges; all workers share it, and reloads keep it.
#[derive(Debug, Default)]
pub struct Retries {
    /// How many retries the pool may make.
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
