//! What is counted of a pool's retries and hedges. They are exceptions, so all workers write to the same numbers.

use crate::counter::SharedCounter;
use crate::names::{HedgeOutcome, RetryCause, RetryOutcome};

/// The retries of one pool.
#[derive(Debug, Default)]
pub struct RetryMetrics {
    /// Retries and hedges that the budget did not allow.
    pub budget_exhausted: SharedCounter,
    decided: [[SharedCounter; RetryOutcome::ALL.len()]; RetryCause::ALL.len()],
    hedges: [SharedCounter; HedgeOutcome::ALL.len()],
}

impl RetryMetrics {
    /// Counts a try that failed, and what became of it.
    pub fn decided(&self, cause: RetryCause, outcome: RetryOutcome) {
        self.decided[cause as usize][outcome as usize].increment();
        if outcome == RetryOutcome::Budget {
            self.budget_exhausted.increment();
        }
    }

    /// Tries that failed by `cause` and came to `outcome`.
    pub(crate) fn decisions(&self, cause: RetryCause, outcome: RetryOutcome) -> u64 {
        self.decided[cause as usize][outcome as usize].value()
    }

    /// Hedges that ended with `outcome`.
    pub(crate) fn hedges(&self, outcome: HedgeOutcome) -> u64 {
        self.hedges[outcome as usize].value()
    }

    /// Counts a hedge that has ended.
    pub fn hedged(&self, outcome: HedgeOutcome) {
        self.hedges[outcome as usize].increment();
    }
}
