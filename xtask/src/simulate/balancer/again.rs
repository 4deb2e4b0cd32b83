//! What follows from a failed try: what `stage/forward.rs` does on the data path.

use std::time::Duration;

use evenkeel_core::health::Failure;
use evenkeel_core::retry::{Attempt, Cause, Decision, Final, any_left, retry};
use evenkeel_types::Time;

use super::course::Course;
use super::{Balancer, TRIES_MAX};

/// What is done with a request whose try has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The client is told.
    GiveUp,
    /// Another server gets it, after this pause.
    Elsewhere(Duration),
}

impl Balancer {
    /// What follows from a failed try, whose place was given back.
    pub fn after(&mut self, course: &mut Course, failure: Failure, now: Time) -> Next {
        let cause = match failure {
            Failure::Connect => Cause::Connect,
            Failure::Reset => Cause::Reset,
            Failure::Timeout => Cause::Timeout,
            Failure::Status(status) => Cause::Status(status),
            Failure::BadAnswer => Cause::Malformed,
        };
        course.attempts += u32::from(cause != Cause::Connect);
        course.under_way = None;
        let attempt = Attempt {
            cause,
            method: course.method,
            replayable: true,
            answered: false,
            attempts: course.attempts,
            retries: course.retries,
            no_server: match any_left(&self.pool.members, &course.tried) {
                false => Some(Final::Servers),
                true => (course.tried.len() >= TRIES_MAX).then_some(Final::Unreachable),
            },
            now,
            deadline: None,
        };
        let withdraw = || {
            let guard = self.pool.guard.as_ref();
            let limited = guard.map(|guard| guard.breaker.try_retry(&self.config).ok_or(Final::Limit));
            course.under_way = limited.transpose()?;
            let (purse, budget) = (&self.purses[course.worker], &self.pool.retries.budget);
            let can_bear = purse.withdraw(self.policy.budget, budget, now);
            can_bear.then_some(()).ok_or(Final::Budget)
        };
        let decision = retry(&self.policy, &attempt, withdraw, || self.rng.u64(..));
        let Decision::Retry { after } = decision else { return Next::GiveUp };
        if cause != Cause::Connect {
            course.retries += 1;
            self.retries += 1;
            self.check_budget(now);
            self.check_retries();
        }
        Next::Elsewhere(after)
    }
}
