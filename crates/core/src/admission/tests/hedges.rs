//! Requests that several servers have at once.

use std::time::Duration;

use super::*;
use crate::retry::Final;

const THREE: &str = "[5001, 5002, 5003]";
const ROUTE: &str =
    "retry = { attempts = 3, on = [\"connect\", \"reset\", \"503\"] }\nhedge = { after = \"10ms\" }";

/// A request that two servers have since 10 ms.
fn hedged(scene: &Scene) -> (Request, Leg, Leg) {
    let mut request = scene.request();
    let Step::Send { leg: first, role, .. } = scene.poll(&mut request, 0) else { panic!("it was not sent") };
    assert_eq!(role, Role::First);
    let until = Some(Time::from_millis(10));
    assert_eq!(scene.poll(&mut request, 1), Step::Asking { until });
    let Step::Send { leg: second, role, .. } = scene.poll(&mut request, 10) else { panic!("not hedged") };
    assert_eq!(role, Role::Hedge { after: Duration::from_millis(10) });
    assert_eq!(scene.poll(&mut request, 11), Step::Asking { until: None });
    (request, first, second)
}

fn first_byte(scene: &Scene, request: &mut Request, leg: Leg, status: u16, ms: u64) -> FirstByte {
    let retry = &scene.config.routes[0].retry;
    request.handle_first_byte(leg, (Some(status), Time::from_millis(10)), retry, scene.at(ms))
}

fn outcomes(scene: &Scene) -> Vec<HedgeNotice> {
    let hedge = |it| if let Notice::Hedge(it) = it { Some(it) } else { None };
    scene.notices().into_iter().filter_map(hedge).collect()
}

#[test]
fn the_first_to_answer_wins_and_the_other_gives_its_permits_back() {
    for keys in ["", "breaker = { max_requests = 5 }"] {
        let scene = Scene::new(THREE, keys, ROUTE);
        let (mut request, _, second) = hedged(&scene);
        let server = request.server_of(second);
        assert_eq!(scene.in_flight().iter().sum::<u32>(), 2);
        let FirstByte::Won(winner) = first_byte(&scene, &mut request, second, 200, 15) else { panic!() };
        assert!(winner.is_hedge && winner.dismissed.is_none());
        assert_eq!((outcomes(&scene), request.hedged()), (vec![HedgeNotice::Won], Some(Time::ZERO)));
        assert_eq!(scene.head(&mut request, second, 200, 16), AfterHead::PassOn);
        assert_eq!((scene.in_flight().iter().sum::<u32>(), scene.in_flight()[server]), (1, 1));
        assert_eq!(request.attempts(), 2);
        if !keys.is_empty() {
            assert_eq!(scene.in_pool(), (1, 0, 0));
        }
    }
}

#[test]
fn each_leg_has_a_place_in_the_pool_and_one_that_fails_gives_up_one() {
    let scene = Scene::new(THREE, "breaker = { max_requests = 2 }", ROUTE);
    let (mut request, first, second) = hedged(&scene);
    assert_eq!(scene.in_pool(), (2, 0, 1));
    assert_eq!(scene.fail(&mut request, first, reset(), 12), AfterFailure::Others);
    assert_eq!(scene.in_pool(), (1, 0, 1));
    assert!(matches!(first_byte(&scene, &mut request, second, 200, 13), FirstByte::Won(_)));
    scene.head(&mut request, second, 200, 13);
    assert_eq!(scene.in_pool(), (1, 0, 0));
    drop(request);
    assert_eq!((scene.in_pool(), scene.in_flight()), ((0, 0, 0), vec![0, 0, 0]));
}

#[test]
fn a_hedge_that_finds_no_place_is_not_made() {
    let scene = Scene::new(THREE, "breaker = { max_requests = 1 }", ROUTE);
    let mut request = scene.request();
    scene.sent(&mut request, 0);
    assert_eq!(scene.poll(&mut request, 10), Step::NotHedged(Final::Servers));
    assert_eq!(scene.poll(&mut request, 10), Step::Asking { until: None });
    assert_eq!(scene.in_flight().iter().sum::<u32>(), 1);
}

#[test]
fn an_answer_that_would_be_retried_wins_only_if_the_others_fail() {
    let scene = Scene::new(THREE, "", ROUTE);
    let (mut request, first, second) = hedged(&scene);
    assert_eq!(first_byte(&scene, &mut request, first, 503, 12), FirstByte::Kept(None));
    let AfterFailure::Won(leg, winner) = scene.fail(&mut request, second, reset(), 13) else { panic!() };
    assert_eq!((leg, winner.is_hedge, winner.dismissed), (first, false, None));
    assert_eq!(scene.head(&mut request, first, 503, 13), AfterHead::Defer, "a third server is left");
    assert_eq!(outcomes(&scene), [HedgeNotice::Lost]);
}

#[test]
fn an_answer_that_was_kept_is_dismissed_when_another_is_better() {
    let scene = Scene::new(THREE, "server_breaker = { failures = \"50%\", requests_min = 1 }", ROUTE);
    let (mut request, first, second) = hedged(&scene);
    first_byte(&scene, &mut request, first, 503, 12);
    let FirstByte::Won(winner) = first_byte(&scene, &mut request, second, 200, 15) else { panic!() };
    let (server, took) = (request.server_of(first), Duration::from_millis(2));
    assert_eq!(winner.dismissed, Some(Dismissed { leg: first, server, status: 503, took }));
    let is_judged = |it: &Notice| matches!(it, Notice::Circuit { server: Some(of), .. } if *of == server);
    assert!(scene.notices().iter().any(is_judged));
    assert_eq!(scene.in_flight().iter().sum::<u32>(), 1);
}

#[test]
fn when_all_fail_the_try_has_failed() {
    let scene = Scene::new(THREE, "breaker = { max_requests = 9 }", ROUTE);
    let (mut request, first, second) = hedged(&scene);
    assert_eq!(scene.fail(&mut request, second, reset(), 12), AfterFailure::Others);
    assert_eq!(scene.fail(&mut request, first, reset(), 13), AfterFailure::Retry);
    assert_eq!((request.attempts(), scene.in_pool()), (2, (1, 0, 1)));
    let (_, server) = scene.sent(&mut request, 13);
    assert!(![first, second].map(|leg| request.server_of(leg)).contains(&server));
    assert!(
        matches!(scene.poll(&mut request, 14), Step::Asking { until: None }),
        "no attempt is left to hedge"
    );
}

#[test]
fn a_hedge_is_not_made_without_a_budget_and_that_is_counted() {
    let scene = Scene::new(THREE, "", &ROUTE.replace("attempts = 3", "attempts = 3, budget = \"1%\""));
    let mut last = Vec::new();
    for _ in 0..40 {
        let mut request = scene.request();
        scene.sent(&mut request, 0);
        last.push(matches!(scene.poll(&mut request, 10), Step::NotHedged(Final::Budget)));
    }
    let refused = last.iter().filter(|is| **is).count();
    assert!(refused > 20, "{refused}");
    let exhausted = outcomes(&scene).into_iter().filter(|it| *it == HedgeNotice::BudgetExhausted);
    assert_eq!(exhausted.count(), refused);
}

#[test]
fn what_is_not_to_be_sent_twice_is_not_hedged() {
    let mut scene = Scene::new(THREE, "", ROUTE);
    scene.asked.0 = "POST";
    let mut request = scene.request();
    assert!(matches!(scene.poll(&mut request, 0), Step::Send { role: Role::Alone, .. }));
    assert_eq!(scene.poll(&mut request, 50), Step::Asking { until: None });
}

#[test]
fn a_client_that_leaves_loses_all_hedges() {
    let scene = Scene::new(THREE, "breaker = { max_requests = 9 }", ROUTE);
    let (mut request, first, _) = hedged(&scene);
    first_byte(&scene, &mut request, first, 503, 12);
    let dismissed = request.handle_gone(scene.at(13));
    assert_eq!(dismissed.map(|it| it.leg), Some(first));
    assert_eq!((scene.in_pool(), scene.in_flight()), ((0, 0, 0), vec![0, 0, 0]));
    assert_eq!(outcomes(&scene), [HedgeNotice::Lost]);
}
