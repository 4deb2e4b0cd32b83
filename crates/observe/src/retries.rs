//! What is counted of a pool's retries and hedges. They are exceptions, so all workers write to the same numbers.

use crate::counter::SharedCounter;
use crate::names::{self, HedgeOutcome, RetryCause, RetryOutcome};
use crate::pool::PoolMetrics;
use crate::registry::Registry;
use crate::render::Page;

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

    /// Counts a hedge that has ended.
    pub fn hedged(&self, outcome: HedgeOutcome) {
        self.hedges[outcome as usize].increment();
    }
}

pub(crate) fn render(page: &mut Page, registry: &Registry) {
    let all = registry.all_pools();
    page.family(&names::RETRIES);
    for (pool, PoolMetrics { retries, .. }) in all.iter().map(|(pool, figures)| (pool, &**figures)) {
        for &cause in RetryCause::ALL {
            for &outcome in RetryOutcome::ALL {
                let count = retries.decided[cause as usize][outcome as usize].value();
                // The reasons against a retry are many, and most never occur.
                if count > 0 || outcome == RetryOutcome::Retried {
                    let labels = [pool.as_str(), cause.as_str(), outcome.as_str()];
                    page.sample(&names::RETRIES, &labels, count);
                }
            }
        }
    }
    page.family(&names::RETRY_BUDGET_EXHAUSTED);
    for (pool, PoolMetrics { retries, .. }) in all.iter().map(|(pool, figures)| (pool, &**figures)) {
        page.sample(&names::RETRY_BUDGET_EXHAUSTED, &[pool.as_str()], retries.budget_exhausted.value());
    }
    page.family(&names::HEDGES);
    for (pool, PoolMetrics { retries, .. }) in all.iter().map(|(pool, figures)| (pool, &**figures)) {
        for &outcome in HedgeOutcome::ALL {
            let count = retries.hedges[outcome as usize].value();
            page.sample(&names::HEDGES, &[pool.as_str(), outcome.as_str()], count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_decided_can_be_read() {
        let registry = Registry::new(1);
        let figures = registry.pool(&"app".into());
        let retries = &figures.retries;
        retries.decided(RetryCause::Reset, RetryOutcome::Retried);
        retries.decided(RetryCause::Status, RetryOutcome::Budget);
        retries.hedged(HedgeOutcome::Won);
        let page = registry.render();
        for line in [
            "evenkeel_retries_total{pool=\"app\",cause=\"reset\",outcome=\"retried\"} 1",
            "evenkeel_retries_total{pool=\"app\",cause=\"status\",outcome=\"budget\"} 1",
            "evenkeel_retries_total{pool=\"app\",cause=\"timeout\",outcome=\"retried\"} 0",
            "evenkeel_retry_budget_exhausted_total{pool=\"app\"} 1",
            "evenkeel_hedges_total{pool=\"app\",outcome=\"won\"} 1",
            "evenkeel_hedges_total{pool=\"app\",outcome=\"lost\"} 0",
        ] {
            assert!(page.lines().any(|seen| seen == line), "{line}\nin\n{page}");
        }
    }
}
