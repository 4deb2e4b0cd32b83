//! What a kept response is to a request at each moment of its life.

use super::*;

const BORN: Wall = Wall::from_secs(1_000_000);

fn stored(lifetime: u32, stale_while_revalidate: u32, stale_if_error: u32, flags: Flags) -> Stored {
    Stored { born: BORN, lifetime, stale_while_revalidate, stale_if_error, flags }
}

fn at(seconds: u64) -> Moment {
    Moment { now: BORN.plus_millis(seconds * 1_000), ..Moment::default() }
}

const ANY: RequestDirectives = RequestDirectives {
    no_store: false,
    no_cache: false,
    only_if_cached: false,
    max_age: None,
    min_fresh: None,
    max_stale: None,
    stale_if_error: None,
};

#[test]
fn a_response_is_fresh_then_stale_then_useless() {
    let of = stored(60, 10, 30, Flags::default());
    let verdict = |seconds: u64| judge(&of, &ANY, &at(seconds));
    assert_eq!((verdict(0), verdict(59)), (Verdict::Fresh, Verdict::Fresh));
    assert_eq!(verdict(60), Verdict::Stale(StaleUse::WhileRevalidate));
    assert_eq!(verdict(69), Verdict::Stale(StaleUse::WhileRevalidate));
    assert_eq!(verdict(70), Verdict::Revalidate(Why::Stale));
    let down = |seconds: u64| judge(&of, &ANY, &Moment { origin_down: true, ..at(seconds) });
    assert_eq!(down(89), Verdict::Stale(StaleUse::IfError));
    assert_eq!(down(90), Verdict::Revalidate(Why::Stale));
    assert_eq!((of.ttl(at(50).now), of.ttl(at(65).now), of.age(at(65).now)), (10, -5, 65));
    assert_eq!(of.useless_from(), at(90).now);
}

#[test]
fn a_response_of_no_lifetime_is_stale_at_once() {
    let of = stored(0, 0, 0, Flags::default());
    assert_eq!(judge(&of, &ANY, &at(0)), Verdict::Revalidate(Why::Stale));
    // The clock was read before the response came: two workers share what is kept.
    let before = Moment { now: Wall::from_secs(BORN.as_millis() / 1_000 - 1), ..Moment::default() };
    assert_eq!(judge(&of, &ANY, &before), Verdict::Revalidate(Why::Stale));
}

#[test]
fn what_must_be_revalidated_is_never_used_stale() {
    let of = stored(60, 100, 100, Flags::MUST_REVALIDATE);
    let asked = RequestDirectives { max_stale: Some(1_000), stale_if_error: Some(1_000), ..ANY };
    let moment = Moment { origin_down: true, ..at(61) };
    assert_eq!(judge(&of, &asked, &moment), Verdict::Revalidate(Why::Stale));
    let passed_on = AfterFailure::PassOn { must_revalidate: true };
    assert_eq!(after_failure(&of, &asked, &moment, Failure::Unreachable), passed_on);
    let no_cache = stored(60, 0, 0, Flags::NO_CACHE.with(Flags::MUST_REVALIDATE, true));
    assert_eq!(judge(&no_cache, &ANY, &at(1)), Verdict::Revalidate(Why::NoCache));
}

#[test]
fn clients_can_ask_for_less_and_for_more() {
    let of = stored(60, 10, 0, Flags::default());
    let check = |asked: RequestDirectives, seconds: u64, expected: Verdict| {
        assert_eq!(judge(&of, &asked, &at(seconds)), expected, "{asked:?} at {seconds}");
    };
    let refused = Verdict::Revalidate(Why::Request);
    check(RequestDirectives { no_cache: true, ..ANY }, 1, refused);
    check(RequestDirectives { max_age: Some(0), ..ANY }, 0, refused);
    check(RequestDirectives { max_age: Some(5), ..ANY }, 4, Verdict::Fresh);
    check(RequestDirectives { max_age: Some(5), ..ANY }, 5, refused);
    check(RequestDirectives { min_fresh: Some(20), ..ANY }, 40, Verdict::Fresh);
    check(RequestDirectives { min_fresh: Some(20), ..ANY }, 41, refused);
    check(RequestDirectives { max_stale: Some(30), ..ANY }, 89, Verdict::Stale(StaleUse::MaxStale));
    check(RequestDirectives { max_stale: Some(30), ..ANY }, 90, Verdict::Revalidate(Why::Stale));
    // A client that sets a bound wants no stale response.
    check(RequestDirectives { max_age: Some(100), ..ANY }, 65, Verdict::Revalidate(Why::Stale));
    check(RequestDirectives { only_if_cached: true, ..ANY }, 1, Verdict::Fresh);
    check(RequestDirectives { only_if_cached: true, ..ANY }, 80, Verdict::OnlyIfCached);
    let shared = stored(60, 0, 0, Flags::SHARED_LIFETIME);
    let asked = RequestDirectives { max_stale: Some(30), ..ANY };
    assert_eq!(judge(&shared, &asked, &at(61)), Verdict::Revalidate(Why::Stale));
}

#[test]
fn a_reload_of_what_never_changes_is_answered() {
    let of = stored(60, 0, 0, Flags::IMMUTABLE);
    let reload = RequestDirectives { max_age: Some(0), ..ANY };
    assert_eq!(judge(&of, &reload, &at(59)), Verdict::Fresh);
    let forced = RequestDirectives { no_cache: true, ..ANY };
    assert_eq!(judge(&of, &forced, &at(59)), Verdict::Revalidate(Why::Request));
    assert_eq!(judge(&of, &reload, &at(60)), Verdict::Revalidate(Why::Request));
}

#[test]
fn a_soft_purge_makes_stale_at_once() {
    let of = stored(60, 10, 30, Flags::default());
    let purged = |seconds: u64| Moment { purged: Some(at(20).now), ..at(seconds) };
    assert_eq!(judge(&of, &ANY, &purged(25)), Verdict::Stale(StaleUse::WhileRevalidate));
    assert_eq!(judge(&of, &ANY, &purged(30)), Verdict::Revalidate(Why::Purged));
    let asked = RequestDirectives { max_stale: Some(1_000), ..ANY };
    assert_eq!(
        judge(&of, &asked, &purged(31)),
        Verdict::Revalidate(Why::Purged),
        "not as stale as a client likes"
    );
    assert_eq!(after_failure(&of, &ANY, &purged(49), Failure::Timeout), AfterFailure::UseStale);
    assert_ne!(after_failure(&of, &ANY, &purged(50), Failure::Timeout), AfterFailure::UseStale);
}

#[test]
fn a_stale_response_stands_in_for_errors_alone() {
    let of = stored(60, 0, 30, Flags::default());
    let after = |seconds: u64, failure: Failure| after_failure(&of, &ANY, &at(seconds), failure);
    for failure in [Failure::Unreachable, Failure::Timeout, Failure::Broken, Failure::Status(503)] {
        assert_eq!(after(89, failure), AfterFailure::UseStale, "{failure:?}");
        assert_eq!(after(90, failure), AfterFailure::PassOn { must_revalidate: false }, "{failure:?}");
    }
    for status in [200, 404, 429, 501, 505] {
        assert_ne!(after(61, Failure::Status(status)), AfterFailure::UseStale, "{status}");
    }
    let none = stored(60, 0, 0, Flags::default());
    let asked = RequestDirectives { stale_if_error: Some(5), ..ANY };
    assert_eq!(after_failure(&none, &asked, &at(64), Failure::Broken), AfterFailure::UseStale);
    assert_ne!(after_failure(&none, &asked, &at(65), Failure::Broken), AfterFailure::UseStale);
}

#[test]
fn times_at_the_ends_of_the_clock_do_not_overflow() {
    let mut rng = fastrand::Rng::with_seed(4);
    let edges = [0, 1, 999, 1_000, u64::MAX / 2, u64::MAX - 1, u64::MAX];
    for _ in 0..20_000 {
        let wall = |rng: &mut fastrand::Rng| Wall::from_millis(edges[rng.usize(..edges.len())]);
        let seconds = |rng: &mut fastrand::Rng| [0, 1, u32::MAX / 2, u32::MAX][rng.usize(..4)];
        let of = Stored {
            born: wall(&mut rng),
            lifetime: seconds(&mut rng),
            stale_while_revalidate: seconds(&mut rng),
            stale_if_error: seconds(&mut rng),
            flags: Flags::from_bits(rng.u8(..)),
        };
        let asked =
            RequestDirectives { max_age: Some(seconds(&mut rng)), min_fresh: Some(seconds(&mut rng)), ..ANY };
        let moment = Moment { now: wall(&mut rng), purged: Some(wall(&mut rng)), origin_down: rng.bool() };
        judge(&of, &asked, &moment);
        after_failure(&of, &asked, &moment, Failure::Broken);
        of.ttl(moment.now);
        of.useless_from();
    }
}
