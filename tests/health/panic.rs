//! A pool that ejections have left with too few servers uses the ejected ones as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Evenkeel, Origin, answer, eventually, ok, pool};

const OUTLIER: &str =
    "outlier = { failures = 2, window = \"30s\", eject = \"60s\", max_ejected = \"100%\" }\npanic = \"75%\"";

/// Servers that answer 503 while they are all sick.
fn sick(names: &[&str]) -> (Vec<Origin>, Arc<AtomicBool>) {
    let is_sick = Arc::new(AtomicBool::new(true));
    let origin = |name: &&str| {
        let (is_sick, well) = (is_sick.clone(), ok(name));
        let answer = move |_: &_| {
            if is_sick.load(Ordering::SeqCst) { answer(503, "", "sick") } else { well.clone() }
        };
        Origin::answering(answer).called(name)
    };
    (names.iter().map(origin).collect(), is_sick)
}

/// There is but one pool.
fn panics(evenkeel: &Evenkeel) -> bool {
    evenkeel.status()["pools"][0]["panic"] == true
}

#[test]
fn below_the_threshold_the_ejected_servers_are_used_as_well() {
    let (bad, is_sick) = sick(&["x", "y"]);
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool(&[&bad[0], &bad[1], &a, &b], OUTLIER));
    assert!(!panics(&evenkeel));
    let mut client = evenkeel.client();
    eventually("the pool panics", || {
        (0..4).for_each(|_| drop(client.get("/")));
        panics(&evenkeel)
    });
    for server in ["x", "y"] {
        evenkeel.wait_for_state(server, "ejected");
    }
    assert_eq!(evenkeel.metric("evenkeel_pool_panic", &["pool=\"app\""]), 1.0);
    assert_eq!(evenkeel.metric("evenkeel_backend_up", &["backend=\"x\""]), 1.0, "it takes requests");
    is_sick.store(false, Ordering::SeqCst);
    let before = [&bad[0], &bad[1], &a, &b].map(Origin::count);
    (0..40).for_each(|_| assert_eq!(client.get("/").status, 200));
    let after = [&bad[0], &bad[1], &a, &b].map(Origin::count);
    assert!(before.iter().zip(after).all(|(before, after)| after - before == 10), "{before:?} {after:?}");
    // One of those that are up leaves: nothing new to tell. All the others leave: it still is used.
    evenkeel.set_server("app", "a", "{\"state\": \"drain\"}");
    evenkeel.set_server("app", "b", "{\"state\": \"drain\"}");
    evenkeel.set_server("app", "y", "{\"state\": \"drain\"}");
    assert_eq!(client.get("/").text(), "x");
    assert_eq!(evenkeel.stderr.count(|line| line.contains("panic")), 1, "said once");
}

#[test]
fn a_panic_ends_with_the_ejections_and_says_so() {
    let (bad, is_sick) = sick(&["x", "y"]);
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let keys = OUTLIER.replace("60s", "1s");
    let evenkeel = Evenkeel::start(&pool(&[&bad[0], &bad[1], &a, &b], &keys));
    let mut client = evenkeel.client();
    eventually("the pool panics", || {
        (0..4).for_each(|_| drop(client.get("/")));
        evenkeel.stderr.count(|line| line.contains("panic: too few servers are left")) > 0
    });
    is_sick.store(false, Ordering::SeqCst);
    evenkeel.stderr.wait_for("the end of the panic", |line| line.contains("panic is over"));
    eventually("all are up", || evenkeel.metric("evenkeel_pool_panic", &[]) == 0.0);
}

#[test]
fn a_server_that_its_checks_found_down_stays_out_in_a_panic() {
    let down = Origin::answering(|request| match request.target() {
        "/health" => answer(500, "", "down"),
        _ => ok("down"),
    })
    .called("down");
    let x = Origin::answering(|request| match request.target() {
        "/health" => ok("well"),
        _ => answer(503, "", "sick"),
    });
    let (x, a) = (x.called("x"), Origin::named("a"));
    let health = "health = { path = \"/health\", interval = \"100ms\", timeout = \"100ms\", fall = 1 }";
    let evenkeel = Evenkeel::start(&pool(&[&down, &x, &a], &format!("{OUTLIER}\n{health}")));
    for (server, state) in [("down", "down"), ("x", "up"), ("a", "up")] {
        evenkeel.wait_for_state(server, state);
    }
    let mut client = evenkeel.client();
    eventually("the pool panics", || {
        (0..4).for_each(|_| drop(client.get("/")));
        panics(&evenkeel)
    });
    let answers: Vec<String> = (0..20).map(|_| client.get("/").text()).collect();
    assert!(answers.contains(&"sick".to_owned()) && answers.contains(&"a".to_owned()), "{answers:?}");
    assert!(!answers.contains(&"down".to_owned()), "{answers:?}");
}
