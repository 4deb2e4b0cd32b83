//! The figures of retries and hedges.

use super::page::Page;
use crate::names::{self, HedgeOutcome, RetryCause, RetryOutcome};
use crate::pool::PoolMetrics;
use crate::registry::Registry;

pub(super) fn render(page: &mut Page, registry: &Registry) {
    let all = registry.all_pools();
    page.family(&names::RETRIES);
    for (pool, PoolMetrics { retries, .. }) in all.iter().map(|(pool, figures)| (pool, &**figures)) {
        for &cause in RetryCause::ALL {
            for &outcome in RetryOutcome::ALL {
                let count = retries.decisions(cause, outcome);
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
            let count = retries.hedges(outcome);
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
