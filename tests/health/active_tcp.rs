//! Active checks that only connect.

use std::time::Instant;

use crate::support::{DEADLINE, Evenkeel, Origin, Traffic, pool};

const HEALTH: &str = "health = { kind = \"tcp\", interval = \"100ms\", timeout = \"100ms\", fall = 2 }";

#[test]
fn a_server_that_stops_listening_is_taken_out_and_comes_back() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool(&[&a, &b], HEALTH));
    evenkeel.wait_for_state("a", "up");
    evenkeel.wait_for_state("b", "up");
    a.stop();
    evenkeel.wait_for_state("a", "down");
    let before = evenkeel.metric("evenkeel_backend_connect_failures_total", &["backend=\"a\""]);
    for _ in 0..10 {
        assert_eq!(evenkeel.get("/").text(), "b");
    }
    let after = evenkeel.metric("evenkeel_backend_connect_failures_total", &["backend=\"a\""]);
    assert_eq!(before, after, "requests no longer try it");
    a.resume();
    evenkeel.wait_for_state("a", "up");
}

#[test]
fn with_default_settings_of_a_short_interval_a_death_is_noticed_within_three_seconds() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let health = "health = { kind = \"tcp\", interval = \"500ms\", timeout = \"500ms\" }";
    let evenkeel = Evenkeel::start(&pool(&[&a, &b], health));
    evenkeel.wait_for_state("a", "up");
    a.stop();
    let begun = Instant::now();
    evenkeel.wait_for_state("a", "down");
    // Three failures at half a second, with room for a machine that is busy with other tests.
    assert!(begun.elapsed() < DEADLINE / 3, "{:?}", begun.elapsed());
}

#[test]
fn traffic_goes_on_while_servers_die_and_come_back() {
    let (a, b, c) = (Origin::named("a"), Origin::named("b"), Origin::named("c"));
    let evenkeel = Evenkeel::start(&pool(&[&a, &b, &c], HEALTH));
    let traffic = Traffic::start(evenkeel.address(), 2);
    for server in [&a, &b, &c] {
        traffic.more(20);
        server.stop();
        evenkeel.wait_for_state(&server.name, "down");
        traffic.more(20);
        server.resume();
        evenkeel.wait_for_state(&server.name, "up");
    }
    let lost = traffic.stop().lost;
    assert!(lost.len() <= 6, "at most what a dying server had in hand: {lost:?}");
}
