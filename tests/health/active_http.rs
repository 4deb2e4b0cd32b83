//! Active checks over HTTP take servers out and bring them back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::support::{Evenkeel, Gate, Origin, answer, eventually, ok, pool};

/// A server whose `/health` answers with a status that the test can change.
fn patient(name: &str, status: u16) -> (Origin, Arc<AtomicU16>) {
    let current = Arc::new(AtomicU16::new(status));
    let (theirs, text) = (current.clone(), ok(name));
    let origin = Origin::start(move |request, wire| {
        let health = answer(theirs.load(Ordering::SeqCst), "", "");
        wire.send(if request.target() == "/health" { &health } else { &text });
    });
    (origin.called(name), current)
}

#[test]
fn a_failing_check_takes_a_server_out_and_a_passing_one_brings_it_back() {
    let (sick, status) = patient("sick", 200);
    let well = Origin::named("well");
    let health =
        "health = { path = \"/health\", interval = \"50ms\", timeout = \"50ms\", fall = 2, rise = 2 }";
    let evenkeel = Evenkeel::start(&pool(&[&sick, &well], health));
    evenkeel.wait_for_state("sick", "up");
    status.store(500, Ordering::SeqCst);
    evenkeel.wait_for_state("sick", "down");
    let mut client = evenkeel.client();
    for _ in 0..10 {
        assert_eq!(client.get("/").text(), "well");
    }
    let reason = evenkeel.server("app", "sick")["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("500"), "{reason}");
    status.store(200, Ordering::SeqCst);
    evenkeel.wait_for_state("sick", "up");
    let answers: Vec<String> = (0..4).map(|_| client.get("/").text()).collect();
    assert!(answers.contains(&"sick".to_owned()), "{answers:?}");
}

#[test]
fn a_check_that_outlasts_the_interval_is_waited_for_and_not_doubled() {
    let gate = Gate::default();
    let (slow, quick) = (Origin::held("slow", &gate), Origin::named("quick"));
    let health = "health = { path = \"/health\", interval = \"20ms\", timeout = \"30s\", fall = 1 }";
    let evenkeel = Evenkeel::start(&pool(&[&slow, &quick], health));
    eventually("ten checks of the other server", || quick.count() >= 10);
    assert_eq!(slow.count(), 1);
    gate.open();
    evenkeel.wait_for_state("slow", "up");
    eventually("the next check", || slow.count() >= 3);
}

#[test]
fn all_down_is_a_503() {
    let (sick, _status) = patient("sick", 500);
    let health = "health = { path = \"/health\", interval = \"50ms\", timeout = \"50ms\", fall = 1 }";
    let evenkeel = Evenkeel::start(&pool(&[&sick], health));
    evenkeel.wait_for_state("sick", "down");
    let response = evenkeel.get("/");
    assert_eq!(response.status, 503);
    assert!(response.text().contains(response.header("x-request-id").unwrap()));
    assert_eq!(evenkeel.admin("GET", "/readyz", "").status, 503);
    assert_eq!(evenkeel.admin("GET", "/healthz", "").status, 200);
    assert_eq!(sick.requests().iter().filter(|r| r.target() == "/").count(), 0);
}

#[test]
fn only_expected_statuses_count() {
    for (expect, status, state) in [
        ("[204]", 204, "up"),
        ("[204]", 200, "down"),
        ("[\"2xx\"]", 226, "up"),
        ("[\"2xx\"]", 302, "down"),
        ("[\"200-299\", 401]", 401, "up"),
        ("[\"200-299\", 401]", 403, "down"),
    ] {
        let (server, _status) = patient("server", status);
        let health = format!(
            "health = {{ path = \"/health\", interval = \"50ms\", timeout = \"50ms\", fall = 1, expect = {expect} }}"
        );
        let evenkeel = Evenkeel::start(&pool(&[&server], &health));
        evenkeel.wait_for_state("server", state);
    }
}

#[test]
fn a_check_asks_for_the_path_and_host_that_were_configured() {
    let (server, _status) = patient("server", 200);
    let health =
        "health = { path = \"/health\", host = \"app.internal\", interval = \"50ms\", timeout = \"50ms\" }";
    let evenkeel = Evenkeel::start(&pool(&[&server], health));
    evenkeel.wait_for_state("server", "up");
    let request = server.last();
    assert_eq!((request.method(), request.target()), ("GET", "/health"));
    assert_eq!(request.header("host"), Some("app.internal"));
}

#[test]
fn a_server_that_does_not_answer_its_check_is_down() {
    let silent = Origin::start(|_, wire| {
        wire.hold();
        wire.close();
    })
    .called("silent");
    let health = "health = { path = \"/health\", interval = \"100ms\", timeout = \"100ms\", fall = 2 }";
    let evenkeel = Evenkeel::start(&pool(&[&silent], health));
    evenkeel.wait_for_state("silent", "down");
}

#[test]
fn a_shorter_interval_takes_effect_at_once() {
    let (server, status) = patient("server", 200);
    let every = |interval: &str| {
        let health = format!(
            "health = {{ path = \"/health\", interval = \"{interval}\", timeout = \"100ms\", fall = 1 }}"
        );
        pool(&[&server], &health)
    };
    let evenkeel = Evenkeel::start(&every("60s"));
    eventually("the first check is through", || server.count() == 1);
    evenkeel.wait_for_state("server", "up");
    status.store(500, Ordering::SeqCst);
    assert_eq!(evenkeel.reload(&every("100ms")).status / 100, 2);
    evenkeel.wait_for_state("server", "down");
}
