//! What a peer may do that leads to nothing: one bucket of tokens a connection, which time and answers fill.

use std::time::Duration;

use evenkeel_types::Time;

use crate::error::ConnectionError;

/// What a frame costs that is dealt with at once: SETTINGS, PING, PRIORITY, WINDOW_UPDATE, an empty DATA, one of unknown
/// type.
pub(crate) const FRAME: u32 = 1;
/// What a reset costs, whether the peer sends it or is the cause of it (CVE-2023-44487, CVE-2025-8671): behind it may be a
/// request that was routed, sent and cancelled.
pub(crate) const RESET: u32 = 4;
/// Tokens for each HEADERS or DATA frame that we send. A peer may answer DATA with two WINDOW_UPDATE and a PING.
pub(crate) const EARNED: u32 = 4;
/// DATA frames with fewer bytes cost a token until they have been consumed: each takes more work than a byte is worth.
pub(crate) const SMALL_DATA: usize = 256;

/// How much of that a connection allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetConfig {
    /// Tokens that a connection begins with, and never has more of.
    pub tokens: u32,
    /// How often a token comes back.
    pub every: Duration,
}

impl Default for BudgetConfig {
    /// 4,000 tokens, so 1,000 resets at once, and 125 tokens a second.
    fn default() -> Self {
        Self { tokens: 4000, every: Duration::from_millis(8) }
    }
}

/// The bucket. The clock is looked at only when it runs dry, since most connections never do that.
#[derive(Debug)]
pub(crate) struct Budget {
    tokens: u32,
    max: u32,
    every_ns: u64,
    filled_at: Time,
    /// Tokens that DATA has cost which was not consumed yet.
    owed_for_data: u32,
}

impl Budget {
    pub(crate) fn new(config: BudgetConfig, now: Time) -> Self {
        let every_ns = u64::try_from(config.every.as_nanos()).unwrap_or(u64::MAX).max(1);
        Self { tokens: config.tokens, max: config.tokens, every_ns, filled_at: now, owed_for_data: 0 }
    }

    /// Takes `cost` tokens.
    ///
    /// # Errors
    /// There are not as many; `reason` says what for.
    #[inline]
    pub(crate) fn spend(
        &mut self,
        cost: u32,
        now: Time,
        reason: &'static str,
    ) -> Result<(), ConnectionError> {
        if self.tokens < cost {
            self.fill(now);
        }
        match self.tokens.checked_sub(cost) {
            Some(left) => {
                self.tokens = left;
                Ok(())
            }
            None => Err(ConnectionError::PeerExceeded { reason }),
        }
    }

    /// Takes a token for a small DATA frame, until [`consumed`](Self::consumed).
    pub(crate) fn lend(&mut self, now: Time) -> Result<(), ConnectionError> {
        self.spend(1, now, "small DATA frames that are not read")?;
        self.owed_for_data += 1;
        Ok(())
    }

    /// Gives back what DATA has cost, a token a byte.
    #[inline]
    pub(crate) fn consumed(&mut self, bytes: usize) {
        if self.owed_for_data > 0 {
            let back = self.owed_for_data.min(u32::try_from(bytes).unwrap_or(u32::MAX));
            self.owed_for_data -= back;
            self.earn(back);
        }
    }

    /// Puts tokens in.
    #[inline]
    pub(crate) fn earn(&mut self, tokens: u32) {
        self.tokens = self.tokens.saturating_add(tokens).min(self.max);
    }

    fn fill(&mut self, now: Time) {
        let passed_ns = now.as_nanos().saturating_sub(self.filled_at.as_nanos());
        let gained = passed_ns / self.every_ns;
        self.filled_at = Time::from_nanos(self.filled_at.as_nanos() + gained * self.every_ns);
        self.earn(u32::try_from(gained).unwrap_or(u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_millis(8);

    fn drain(budget: &mut Budget, now: Time) -> usize {
        (0..).take_while(|_| budget.spend(1, now, "").is_ok()).count()
    }

    #[test]
    fn runs_dry_and_fills_with_time() {
        let start = Time::from_millis(5);
        let mut budget = Budget::new(BudgetConfig::default(), start);
        assert_eq!(drain(&mut budget, start), 4000);
        assert_eq!(drain(&mut budget, start + 100 * EVERY), 100);
        assert_eq!(drain(&mut budget, start + Duration::from_secs(3600)), 4000);
    }

    #[test]
    fn asking_often_loses_no_time() {
        let start = Time::ZERO;
        let mut budget = Budget::new(BudgetConfig::default(), start);
        drain(&mut budget, start);
        let spent: usize = (1..=100).map(|i| drain(&mut budget, start + EVERY * i / 3)).sum();
        assert_eq!(spent, 33);
    }

    #[test]
    fn small_data_costs_nothing_once_it_is_consumed() {
        let mut budget = Budget::new(BudgetConfig::default(), Time::ZERO);
        for _ in 0..100_000 {
            budget.lend(Time::ZERO).unwrap();
            budget.consumed(1);
        }
        assert_eq!((0..).take_while(|_| budget.lend(Time::ZERO).is_ok()).count(), 4000);
        budget.consumed(1 << 20);
        budget.consumed(1 << 20);
        assert_eq!(drain(&mut budget, Time::ZERO), 4000);
    }
}
