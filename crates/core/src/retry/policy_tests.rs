//! What is retried and what is not, each reason against it, and that nothing with an effect is repeated.

use evenkeel_config::FailureOn;
use proptest::prelude::*;

use super::*;

fn policy() -> Retry {
    let on =
        FailureOn { connect: true, reset: true, timeout: true, all_5xx: false, statuses: vec![502, 503] };
    Retry { on, ..Retry::default() }
}

/// A first try at a GET, after which two more are possible.
const FAILED: Attempt<'static> = Attempt {
    cause: Cause::Reset,
    method: "GET",
    replayable: true,
    answered: false,
    attempts: 1,
    retries: 0,
    no_server: None,
    now: Time::ZERO,
    deadline: None,
};

const AT_ONCE: Decision = Decision::Retry { after: Duration::ZERO };

#[track_caller]
fn check(attempt: &Attempt<'_>, expected: Decision) {
    assert_eq!(retry(&policy(), attempt, || Ok(()), || 0), expected, "{attempt:?}");
}

#[test]
fn what_is_listed_is_retried() {
    for cause in [Cause::Connect, Cause::Reset, Cause::Timeout, Cause::Status(502), Cause::Status(503)] {
        check(&Attempt { cause, ..FAILED }, AT_ONCE);
    }
    for cause in [Cause::Status(500), Cause::Status(404), Cause::Malformed] {
        check(&Attempt { cause, ..FAILED }, Decision::Final(Final::NotListed));
    }
}

#[test]
fn each_reason_against_it_is_reported() {
    let refused = |attempt, why| check(&attempt, Decision::Final(why));
    refused(Attempt { answered: true, ..FAILED }, Final::Answered);
    refused(Attempt { cause: Cause::Begun, ..FAILED }, Final::Answered);
    refused(Attempt { method: "POST", ..FAILED }, Final::Method);
    refused(Attempt { replayable: false, ..FAILED }, Final::Body);
    refused(Attempt { attempts: 3, ..FAILED }, Final::Attempts);
    for why in [Final::Servers, Final::Unreachable] {
        refused(Attempt { no_server: Some(why), ..FAILED }, why);
    }
    refused(Attempt { deadline: Some(Time::ZERO), ..FAILED }, Final::Deadline);
    assert_eq!(retry(&policy(), &FAILED, || Err(Final::Budget), || 0), Decision::Final(Final::Budget));
}

#[test]
fn a_server_that_was_not_reached_costs_neither_attempts_nor_budget() {
    let post = Attempt { cause: Cause::Connect, method: "POST", attempts: 10, ..FAILED };
    assert_eq!(retry(&policy(), &post, || panic!("no budget is asked for"), || 0), AT_ONCE);
    let on = FailureOn { connect: false, ..policy().on };
    let never = Retry { on, ..policy() };
    assert_eq!(retry(&never, &post, || Ok(()), || 0), Decision::Final(Final::NotListed));
    check(&Attempt { no_server: Some(Final::Servers), ..post }, Decision::Final(Final::Servers));
}

#[test]
fn pauses_grow_up_to_ten_times() {
    let backoff = Duration::from_millis(10);
    let longest = |retries| pause(backoff, retries, || 100_000_000).as_millis();
    let at_most = |retries| {
        (0..1_000).map(|i| pause(backoff, retries, || i * 99_991).as_millis()).max().unwrap_or_default()
    };
    assert_eq!(longest(0), 0);
    assert!(at_most(1) <= 10 && at_most(2) <= 20 && at_most(3) <= 40);
    assert!(at_most(5) <= 100 && at_most(40) <= 100 && at_most(5) > 80);
}

#[test]
fn a_pause_that_would_outlast_the_request_is_no_retry() {
    let backoff = Duration::from_millis(10);
    let slow = Retry { backoff, ..policy() };
    let second = Attempt { retries: 1, attempts: 2, deadline: Some(Time::from_millis(5)), ..FAILED };
    let decide = |random| retry(&slow, &second, || Ok(()), || random);
    assert_eq!(decide(9_000_000), Decision::Final(Final::Deadline));
    assert_eq!(decide(1_000_000), Decision::Retry { after: Duration::from_millis(1) });
}

#[test]
fn a_policy_is_shown_in_a_line() {
    assert_eq!(
        describe(&Retry::default()),
        "sent to at most 3 servers, on connect, reset; GET, HEAD, OPTIONS, TRACE, PUT, DELETE after it was sent; \
         budget 20%"
    );
    assert_eq!(describe(&Retry::off()), "never");
}

proptest! {
    /// Whatever else holds: nothing that may have had an effect is sent again if its method is not to be repeated, and
    /// nothing at all once the client has seen a byte.
    #[test]
    fn what_may_have_had_an_effect_is_not_repeated(
        cause in prop::sample::select(vec![Cause::Reset, Cause::Begun, Cause::Timeout, Cause::Status(503), Cause::Malformed, Cause::Connect]),
        method in prop::sample::select(vec!["GET", "POST", "PATCH", "PUT"]),
        (replayable, answered, server_left, budget) in any::<(bool, bool, bool, bool)>(),
        attempts in 0_u32..12,
    ) {
        let no_server = (!server_left).then_some(Final::Servers);
        let attempt = Attempt { cause, method, replayable, answered, attempts, no_server, ..FAILED };
        if let Decision::Retry { .. } = retry(&policy(), &attempt, || budget.then_some(()).ok_or(Final::Budget), || 0) {
            prop_assert!(!answered && replayable && server_left && cause != Cause::Begun);
            prop_assert!(cause == Cause::Connect || (method != "POST" && method != "PATCH"));
            prop_assert!(cause == Cause::Connect || (attempts < 3 && budget));
        }
    }
}
