//! Passive checks: live traffic shows that a server is sick.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Evenkeel, Origin, eventually, ok, pool};

/// A server that drops its connections unanswered while it is sick.
fn fragile(name: &str) -> (Origin, Arc<AtomicBool>) {
    let sick = Arc::new(AtomicBool::new(true));
    let (theirs, text) = (sick.clone(), ok(name));
    let origin = Origin::start(move |_, wire| {
        if theirs.load(Ordering::SeqCst) {
            wire.close();
        } else {
            wire.send(&text);
        }
    });
    (origin.called(name), sick)
}

#[test]
fn failures_within_the_window_eject_a_server_for_a_while() {
    let (bad, sick) = fragile("bad");
    let good = Origin::named("good");
    let evenkeel = Evenkeel::start(&pool(
        &[&bad, &good],
        "outlier = { failures = 3, window = \"30s\", eject = \"3s\" }",
    ));
    let mut client = evenkeel.client();
    let post = "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n";
    let statuses: Vec<u16> = (0..6).map(|_| client.ask(post).status).collect();
    assert_eq!(statuses.iter().filter(|s| **s == 502).count(), 3, "{statuses:?}");
    evenkeel.wait_for_state("bad", "ejected");
    for _ in 0..10 {
        assert_eq!(client.ask(post).text(), "good");
    }
    assert_eq!(bad.count(), 3);
    sick.store(false, Ordering::SeqCst);
    evenkeel.wait_for_state("bad", "up");
    eventually("it is used again", || client.ask(post).text() == "bad");
}

#[test]
fn refused_connections_eject_too_and_cost_no_request() {
    let (dead, good) = (Origin::refusing("dead"), Origin::named("good"));
    let evenkeel = Evenkeel::start(&pool(
        &[&dead, &good],
        "outlier = { failures = 2, window = \"30s\", eject = \"60s\" }",
    ));
    let mut client = evenkeel.client();
    for _ in 0..10 {
        assert_eq!(client.get("/").text(), "good");
    }
    evenkeel.wait_for_state("dead", "ejected");
    let failures = || evenkeel.metric("evenkeel_backend_connect_failures_total", &["backend=\"dead\""]);
    let before = failures();
    assert!(before >= 2.0);
    for _ in 0..10 {
        assert_eq!(client.get("/").text(), "good");
    }
    assert_eq!(failures(), before, "it is tried no more");
}

#[test]
fn the_last_server_of_a_pool_is_never_ejected() {
    let (only, sick) = fragile("only");
    let evenkeel =
        Evenkeel::start(&pool(&[&only], "outlier = { failures = 2, window = \"30s\", eject = \"60s\" }"));
    for _ in 0..6 {
        assert_eq!(evenkeel.get("/").status, 502);
    }
    sick.store(false, Ordering::SeqCst);
    assert_eq!(evenkeel.get("/").text(), "only");
}

#[test]
fn good_answers_eject_no_server() {
    let (a, b) = (Origin::named("a"), Origin::bytes(crate::support::answer(404, "", "none")).called("b"));
    let evenkeel =
        Evenkeel::start(&pool(&[&a, &b], "outlier = { failures = 1, window = \"30s\", eject = \"60s\" }"));
    let mut client = evenkeel.client();
    for _ in 0..20 {
        client.get("/");
    }
    assert_eq!((a.count(), b.count()), (10, 10), "a 404 is no fault of the server");
    assert_eq!(evenkeel.server("app", "b")["state"], "up");
}

#[test]
fn answers_that_say_the_server_is_sick_eject_it() {
    let sick = Origin::bytes(crate::support::answer(503, "", "sick")).called("sick");
    let well = Origin::named("well");
    let evenkeel = Evenkeel::start(&pool(
        &[&sick, &well],
        "outlier = { failures = 3, window = \"30s\", eject = \"60s\" }",
    ));
    let mut client = evenkeel.client();
    for _ in 0..6 {
        client.get("/");
    }
    evenkeel.wait_for_state("sick", "ejected");
    for _ in 0..10 {
        assert_eq!(client.get("/").text(), "well");
    }
}
