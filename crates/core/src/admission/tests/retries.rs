//! Which failed tries are retried, where, and what comes of the others.

use super::*;
use crate::retry::{Decision, Final};

const THREE: &str = "[5001, 5002, 5003]";

#[test]
fn a_request_is_in_flight_at_its_server_until_its_permit_is_dropped() {
    let scene = Scene::new(THREE, "", "");
    let mut request = scene.request();
    let (leg, server) = scene.sent(&mut request, 0);
    assert_eq!(scene.poll(&mut request, 1), Step::Asking { until: None });
    assert_eq!(scene.head(&mut request, leg, 200, 5), AfterHead::PassOn);
    let permit = request.take_permit().expect("the response is on its way");
    assert_eq!((permit.server(), scene.in_flight()[server]), (Some(server), 1));
    drop(permit);
    assert_eq!(scene.in_flight(), [0, 0, 0]);
    assert_eq!(scene.notices(), []);
}

#[test]
fn a_request_whose_client_leaves_gives_everything_back() {
    let scene = Scene::new(THREE, "breaker = { max_requests = 5 }", "");
    let mut request = scene.request();
    scene.sent(&mut request, 0);
    assert_eq!(scene.in_pool(), (1, 0, 0));
    drop(request);
    assert_eq!((scene.in_pool(), scene.in_flight()), ((0, 0, 0), vec![0, 0, 0]));
}

#[test]
fn a_refused_connection_sends_the_request_to_each_server_once() {
    let scene = Scene::new(THREE, "", "");
    let mut request = scene.request();
    let mut seen = Vec::new();
    for ms in 0..3 {
        let (leg, server) = scene.sent(&mut request, ms);
        seen.push(server);
        let is_last = seen.len() == 3;
        let expected = if is_last { AfterFailure::GiveUp(Some(Final::Servers)) } else { AfterFailure::Retry };
        assert_eq!(scene.fail(&mut request, leg, refused(), ms), expected);
    }
    seen.sort_unstable();
    assert_eq!((seen, request.attempts()), (vec![0, 1, 2], 0), "no server was sent it");
    assert_eq!(scene.poll(&mut request, 9), Step::GiveUp(GiveUp::NotRetried(Final::Servers)));
    assert_eq!(scene.in_flight(), [0, 0, 0]);
}

#[test]
fn the_time_is_up_before_a_server_is_chosen() {
    let mut scene = Scene::new(THREE, "", "");
    scene.deadline = Some(Time::from_millis(10));
    let mut request = scene.request();
    assert_eq!(scene.poll(&mut request, 10), Step::GiveUp(GiveUp::Deadline));
}

#[test]
fn connect_timeouts_are_waited_for_three_times() {
    let servers: Vec<u16> = (5001..5020).collect();
    let scene = Scene::new(&format!("{servers:?}"), "", "");
    let mut request = scene.request();
    let late = FailedTry { timed_out: true, ..refused() };
    let after = [0, 1, 2].map(|ms| {
        let (leg, _) = scene.sent(&mut request, ms);
        scene.fail(&mut request, leg, late, ms)
    });
    use AfterFailure::{GiveUp, Retry};
    assert_eq!(after, [Retry, Retry, GiveUp(Some(Final::Unreachable))]);
}

#[test]
fn a_deferred_response_stays_until_another_server_is_reached() {
    let scene = Scene::new(THREE, "", "retry = { attempts = 3, on = [\"connect\", \"503\"] }");
    let mut request = scene.request();
    let (first, _) = scene.sent(&mut request, 0);
    assert!(!request.handle_connected(first), "there is none");
    assert_eq!(scene.head(&mut request, first, 503, 1), AfterHead::Defer);
    assert_eq!(scene.in_flight(), [0, 0, 0], "its permit was given back");
    let (second, _) = scene.sent(&mut request, 1);
    assert_eq!(scene.fail(&mut request, second, refused(), 2), AfterFailure::Retry);
    assert_eq!(request.deferred(), Some(first));
    let (third, _) = scene.sent(&mut request, 2);
    assert!(request.handle_connected(third) && request.deferred().is_none());
    assert_eq!((scene.head(&mut request, third, 200, 3), request.attempts()), (AfterHead::PassOn, 2));
    let retries: Vec<_> = scene.notices();
    assert!(matches!(
        retries[..],
        [
            Notice::Retry { cause: Cause::Status(503), decision: Decision::Retry { .. } },
            Notice::Retry { cause: Cause::Connect, decision: Decision::Retry { .. } },
        ]
    ));
}

#[test]
fn a_response_is_passed_on_if_no_server_is_reached_to_make_it_good() {
    let scene = Scene::new("[5001, 5002]", "", "retry = { attempts = 3, on = [\"connect\", \"503\"] }");
    let mut request = scene.request();
    let (first, _) = scene.sent(&mut request, 0);
    assert_eq!(scene.head(&mut request, first, 503, 1), AfterHead::Defer);
    let (second, _) = scene.sent(&mut request, 1);
    let after = scene.fail(&mut request, second, refused(), 2);
    assert_eq!(after, AfterFailure::GiveUp(Some(Final::Servers)));
    assert_eq!(request.deferred(), Some(first));
}

#[test]
fn an_answer_that_cannot_be_retried_says_why() {
    let route = "retry = { attempts = 2, on = [\"503\"] }";
    let check = |change: fn(Answer) -> Answer, method: &'static str, expected| {
        let mut scene = Scene::new(THREE, "", route);
        scene.asked.0 = method;
        let mut request = scene.request();
        let (leg, _) = scene.sent(&mut request, 0);
        let answer = change(Answer::whole(503, Time::ZERO, Time::ZERO));
        assert_eq!(request.handle_head(leg, &answer, &scene.terms()), expected);
    };
    let because = |why, was_asked| AfterHead::NotRetried { why, was_asked };
    check(|it| it, "GET", AfterHead::Defer);
    check(|it| Answer { status: 500, ..it }, "GET", AfterHead::PassOn);
    check(|it| Answer { has_begun: true, ..it }, "GET", because(Final::Answered, false));
    check(|it| Answer { is_sent: false, ..it }, "GET", because(Final::Early, false));
    check(|it| Answer { is_sent: false, ..it }, "POST", because(Final::Method, false));
    check(|it| it, "POST", because(Final::Method, true));
    check(|it| Answer { replayable: false, ..it }, "GET", because(Final::Body, true));
}

#[test]
fn the_second_retry_comes_after_a_pause() {
    let scene = Scene::new(THREE, "", "retry = { attempts = 3, on = [\"reset\"], backoff = \"10s\" }");
    let mut request = scene.request();
    for ms in 0..2 {
        let (leg, _) = scene.sent(&mut request, ms);
        assert_eq!(scene.fail(&mut request, leg, reset(), ms), AfterFailure::Retry);
    }
    let Step::Pause { until } = scene.poll(&mut request, 2) else { panic!("no pause") };
    assert!(until <= Time::from_millis(10_001));
    assert_eq!(scene.poll(&mut request, 2), Step::Pause { until });
    let ms = until.as_nanos() / 1_000_000 + 1;
    assert!(matches!(scene.poll(&mut request, ms), Step::Send { .. }));
}

#[test]
fn a_retry_counts_as_one_until_its_answer_is_there() {
    let route = "retry = { attempts = 3, on = [\"reset\"] }";
    let scene = Scene::new(THREE, "breaker = { max_retries = 1 }", route);
    let (mut one, mut two) = (scene.request(), scene.request());
    let (leg, _) = scene.sent(&mut one, 0);
    let (other, _) = scene.sent(&mut two, 0);
    assert_eq!(scene.fail(&mut one, leg, reset(), 1), AfterFailure::Retry);
    let (leg, _) = scene.sent(&mut one, 1);
    assert_eq!(scene.in_pool(), (2, 0, 1));
    assert_eq!(scene.fail(&mut two, other, reset(), 1), AfterFailure::GiveUp(Some(Final::Limit)));
    assert!(scene.notices().contains(&Notice::Refused(RefusedBy::RetriesMax)));
    scene.head(&mut one, leg, 200, 2);
    assert_eq!(scene.in_pool(), (2, 0, 0));
}
