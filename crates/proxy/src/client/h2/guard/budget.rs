//! How many frames without a use a peer may send: a bucket that time and our own answers fill.

use std::time::Duration;

use tokio::time::Instant;

/// Tokens a connection begins with, and never has more of.
pub const TOKENS_MAX: u32 = 4000;
/// How often a token comes back: 125 a second.
pub const TOKEN_EVERY: Duration = Duration::from_millis(8);

/// A bucket of tokens. Time is looked at only when it runs dry, since most connections never do.
#[derive(Debug)]
pub struct Budget {
    tokens: u32,
    filled_at: Instant,
}

impl Budget {
    /// A full one.
    pub fn new(now: Instant) -> Self {
        Self { tokens: TOKENS_MAX, filled_at: now }
    }

    /// Takes `cost` tokens; false when there are not as many.
    pub fn spend(&mut self, cost: u32, now: impl FnOnce() -> Instant) -> bool {
        if self.tokens < cost {
            let gained = now().duration_since(self.filled_at).as_millis() / TOKEN_EVERY.as_millis();
            let gained = u32::try_from(gained).unwrap_or(u32::MAX);
            self.filled_at += TOKEN_EVERY * gained;
            self.earn(gained);
        }
        let left = self.tokens.checked_sub(cost);
        self.tokens = left.unwrap_or(self.tokens);
        left.is_some()
    }

    /// Puts tokens in.
    pub fn earn(&mut self, tokens: u32) {
        self.tokens = self.tokens.saturating_add(tokens).min(TOKENS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(budget: &mut Budget, now: Instant) -> u32 {
        (0..).take_while(|_| budget.spend(1, || now)).count().try_into().unwrap()
    }

    #[test]
    fn runs_dry_and_fills_with_time() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        assert_eq!(drain(&mut budget, start), TOKENS_MAX);
        assert_eq!(drain(&mut budget, start + 100 * TOKEN_EVERY), 100);
        assert_eq!(drain(&mut budget, start + Duration::from_secs(3600)), TOKENS_MAX);
    }

    #[test]
    fn asking_often_loses_no_time() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        drain(&mut budget, start);
        let spent: u32 = (1..=100).map(|i| drain(&mut budget, start + TOKEN_EVERY * i / 3)).sum();
        assert_eq!(spent, 33);
    }

    #[test]
    fn earns_up_to_the_maximum() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        assert!(budget.spend(10, || start));
        budget.earn(3);
        assert_eq!(drain(&mut budget, start), TOKENS_MAX - 7);
        budget.earn(u32::MAX);
        assert_eq!(drain(&mut budget, start), TOKENS_MAX);
    }
}
