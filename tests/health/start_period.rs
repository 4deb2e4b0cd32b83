//! A server that boots may fail its checks for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::support::{Evenkeel, Origin, answer, eventually, ok, pool};

fn booting(name: &str) -> (Origin, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(503));
    let (theirs, text) = (status.clone(), ok(name));
    let origin = Origin::start(move |request, wire| {
        let health = answer(theirs.load(Ordering::SeqCst), "", "");
        wire.send(if request.target() == "/" { &text } else { &health });
    });
    (origin.called(name), status)
}

#[test]
fn failures_within_the_start_period_do_not_count() {
    let (server, status) = booting("server");
    let health = "health = { path = \"/health\", interval = \"50ms\", timeout = \"50ms\", fall = 1, start_period = \"60s\" }";
    let evenkeel = Evenkeel::start(&pool(&[&server], health));
    eventually("ten checks have failed", || server.count() >= 10);
    assert_eq!(evenkeel.server("app", "server")["state"], "starting");
    status.store(200, Ordering::SeqCst);
    evenkeel.wait_for_state("server", "up");
    status.store(503, Ordering::SeqCst);
    evenkeel.wait_for_state("server", "down");
}

#[test]
fn a_booting_server_gets_no_request_while_another_one_is_up() {
    let (server, _status) = booting("booting");
    let (well, well_status) = booting("well");
    well_status.store(200, Ordering::SeqCst);
    let health =
        "health = { path = \"/health\", interval = \"50ms\", timeout = \"50ms\", start_period = \"60s\" }";
    let evenkeel = Evenkeel::start(&pool(&[&server, &well], health));
    evenkeel.wait_for_state("well", "up");
    for _ in 0..10 {
        assert_eq!(evenkeel.get("/").text(), "well");
    }
}

#[test]
fn without_a_start_period_the_first_failure_counts() {
    let (server, _status) = booting("server");
    let health = "health = { path = \"/health\", interval = \"50ms\", timeout = \"50ms\", fall = 100 }";
    let evenkeel = Evenkeel::start(&pool(&[&server], health));
    evenkeel.wait_for_state("server", "down");
}

#[test]
fn the_start_period_ends() {
    let (server, _status) = booting("server");
    let health = "health = { path = \"/health\", interval = \"50ms\", timeout = \"50ms\", fall = 1, start_period = \"500ms\" }";
    let evenkeel = Evenkeel::start(&pool(&[&server], health));
    evenkeel.wait_for_state("server", "down");
    assert!(server.count() >= 3, "{} checks", server.count());
}
