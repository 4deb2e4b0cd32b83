//! What `retry`, `hedge` and `deadline_header` of a route mean.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use evenkeel_config::*;

/// The one route that `lines` describe.
fn route(lines: &str) -> Route {
    let text = format!(
        "[listener.web]\nbind = \":80\"\n[[route]]\npool = \"app\"\n{lines}\n[pool.app]\nbackends = [3000]\n"
    );
    parse("test.toml", &text).unwrap_or_else(|faults| panic!("{faults}")).config.routes.remove(0)
}

#[test]
fn a_route_retries_unless_it_says_otherwise() {
    let defaults = Retry::default();
    for same in ["", "retry = true", "retry = {}"] {
        assert_eq!(route(same).retry, defaults, "{same}");
    }
    assert_eq!((defaults.attempts, defaults.budget, defaults.replay), (3, 20, 64 << 10));
    assert!(defaults.on.connect && defaults.on.reset && !defaults.on.timeout);
    assert!(["GET", "PUT", "DELETE"].iter().all(|method| defaults.repeats(method)));
    assert!(!defaults.repeats("POST") && !defaults.repeats("get"));
    assert_eq!(route("retry = false").retry, Retry::off());
    assert_eq!((route("").hedge, route("").deadline_header), (None, None));
}

#[test]
fn each_key_of_retry_is_read() {
    let retry = route(
        "retry = { attempts = 2, on = [\"503\", \"timeout\", \"429\", \"503\"], methods = \"POST\", \
         per_try_timeout = \"2s\", budget = \"100%\", backoff = \"10ms\", replay = \"1MiB\", header = true }",
    )
    .retry;
    let on = FailureOn { timeout: true, statuses: vec![429, 503], ..FailureOn::default() };
    let per_try_timeout = Some(Duration::from_secs(2));
    let (methods, backoff) = (vec!["POST".to_owned()], Duration::from_millis(10));
    let expected = Retry {
        attempts: 2,
        on,
        methods,
        per_try_timeout,
        budget: 100,
        backoff,
        replay: 1 << 20,
        header: true,
    };
    assert_eq!(retry, expected);
    assert!(retry.may_send_twice());
    for never in ["attempts = 1", "budget = \"0%\"", "on = \"connect\""] {
        assert!(!route(&format!("retry = {{ {never} }}")).retry.may_send_twice(), "{never}");
    }
}

#[test]
fn hedges_and_deadlines_are_read() {
    assert_eq!(route("hedge = { after = \"p95\" }").hedge.unwrap(), Hedge { after: HedgeAfter::P95 });
    let after = HedgeAfter::Fixed(Duration::from_millis(50));
    assert_eq!(route("hedge = { after = \"50ms\" }").hedge.unwrap(), Hedge { after });
    assert_eq!(route("deadline_header = \"Grpc-Timeout\"").deadline_header.unwrap(), DeadlineHeader::Grpc);
    let other = route("deadline_header = \"X-Left\"").deadline_header.unwrap();
    assert_eq!((other.name(), &other), ("x-left", &DeadlineHeader::Millis("x-left".into())));
}

#[test]
fn what_is_shown_is_read_back() {
    for lines in [
        "",
        "retry = false",
        "retry = { on = [\"500\", \"connect\"], budget = \"0%\", per_try_timeout = \"1s\", backoff = \"5ms\" }",
        "hedge = { after = \"p95\" }\ndeadline_header = \"grpc-timeout\"",
        "hedge = { after = \"20ms\" }\ndeadline_header = \"x-left\"",
    ] {
        let text = format!(
            "[listener.web]\nbind = \":80\"\n[[route]]\npool = \"app\"\n{lines}\n[pool.app]\nbackends = [3000]\n"
        );
        let config = parse("test.toml", &text).unwrap().config;
        let again = parse("shown.toml", &config.to_toml()).unwrap().config;
        assert_eq!(format!("{:?}", again.routes), format!("{:?}", config.routes), "{}", config.to_toml());
    }
}
