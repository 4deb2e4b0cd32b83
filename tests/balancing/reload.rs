//! Servers come and go by reload while traffic flows, and no request is lost.

use rustix::process::Signal;

use crate::support::{Evenkeel, Origin, Traffic, eventually, pool};

#[test]
fn adding_and_removing_servers_under_traffic_loses_nothing() {
    let (a, b, c) = (Origin::named("a"), Origin::named("b"), Origin::named("c"));
    let evenkeel = Evenkeel::start(&format!("[server]\nworkers = 2\n{}", pool(&[&a, &b], "")));
    let traffic = Traffic::start(evenkeel.address(), 8);
    traffic.more(50);
    let with = |servers: &[&Origin]| format!("[server]\nworkers = 2\n{}", pool(servers, ""));
    for _ in 0..3 {
        let before = traffic.of("c");
        assert_eq!(evenkeel.reload(&with(&[&b, &c])).status / 100, 2);
        eventually("c is used", || traffic.of("c") > before);
        eventually("a is no more in the pool", || {
            let old = traffic.of("a");
            traffic.more(50);
            traffic.of("a") == old
        });
        let before = traffic.of("a");
        assert_eq!(evenkeel.reload(&with(&[&a, &b])).status / 100, 2);
        eventually("a is used", || traffic.of("a") > before);
    }
    assert_eq!(traffic.stop().lost, [""; 0]);
}

#[test]
fn a_hangup_reloads_and_connections_stay() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    let mut client = evenkeel.client();
    assert_eq!(client.get("/").text(), "a");
    evenkeel.rewrite(&pool(&[&b], ""));
    evenkeel.signal(Signal::HUP);
    eventually("the new server answers on the old connection", || client.get("/").text() == "b");
}

#[test]
fn what_was_drained_stays_drained_and_counts_go_on() {
    let (a, b, c) = (Origin::named("a"), Origin::named("b"), Origin::named("c"));
    let evenkeel = Evenkeel::start(&pool(&[&a, &b], ""));
    let mut client = evenkeel.client();
    for _ in 0..10 {
        client.get("/");
    }
    let count = || evenkeel.metric("evenkeel_requests_total", &["backend=\"a\""]);
    eventually("five requests are counted", || count() == 5.0);
    evenkeel.set_server("app", "a", "{\"state\":\"drain\"}");
    assert_eq!(evenkeel.reload(&pool(&[&a, &b, &c], "")).status / 100, 2);
    for _ in 0..20 {
        assert_ne!(client.get("/").text(), "a");
    }
    assert_eq!(count(), 5.0);
    assert_eq!(evenkeel.server("app", "a")["state"], "draining");
}
