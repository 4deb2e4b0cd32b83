//! Servers come and go by reload while traffic flows, and no request is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;

use crate::support::{Evenkeel, Gate, Origin, Traffic, eventually, ok, pool};

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

#[test]
fn connections_to_a_removed_server_are_closed_whatever_is_in_flight() {
    for in_flight in [false, true] {
        let (gate, closed) = (Gate::default(), Arc::new(AtomicUsize::new(0)));
        let (theirs, count) = (gate.clone(), closed.clone());
        let a = Origin::start(move |request, wire| {
            if request.target() == "/held" {
                theirs.wait();
            }
            wire.send(ok("a"));
            if wire.hold() {
                count.fetch_add(1, Ordering::SeqCst);
            }
            wire.close();
        });
        let b = Origin::named("b");
        let evenkeel = Evenkeel::start(&pool(&[&a], ""));
        let mut held = evenkeel.client();
        if in_flight {
            held.send("GET /held HTTP/1.1\r\nhost: test\r\n\r\n");
            eventually("the server is asked", || a.count() == 1);
        }
        assert_eq!(evenkeel.get("/").text(), "a");
        assert_eq!(closed.load(Ordering::SeqCst), 0, "it is kept for the next request");
        assert_eq!(evenkeel.reload(&pool(&[&b], "")).status / 100, 2);
        eventually("the idle connection is closed", || closed.load(Ordering::SeqCst) == 1);
        if in_flight {
            gate.open();
            assert_eq!(held.answer("GET").text(), "a");
            eventually("the busy one is not kept", || closed.load(Ordering::SeqCst) == 2);
        }
        assert_eq!(evenkeel.get("/").text(), "b");
    }
}
