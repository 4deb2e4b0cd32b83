//! Servers are drained, brought back and re-weighted through the admin API while traffic flows.

use std::thread;

use crate::support::{Client, Evenkeel, Gate, Origin, Traffic, eventually, ok, pool};

#[test]
fn draining_under_traffic_loses_nothing() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&format!("[server]\nworkers = 2\n{}", pool(&[&a, &b], "")));
    let traffic = Traffic::start(evenkeel.address(), 8);
    traffic.more(100);
    assert!(traffic.of("a") > 0 && traffic.of("b") > 0);
    for _ in 0..3 {
        evenkeel.set_server("app", "a", "{\"state\":\"drain\"}");
        assert_eq!(evenkeel.server("app", "a")["state"], "draining");
        // Those already on their way end, then no more come.
        eventually("a is empty", || evenkeel.server("app", "a")["in_flight"] == 0);
        let drained = traffic.of("a");
        traffic.more(100);
        assert!(traffic.of("a") <= drained + 8, "a drained server got new requests");
        evenkeel.set_server("app", "a", "{\"state\":\"ready\"}");
        let before = traffic.of("a");
        eventually("a is back", || traffic.of("a") > before + 8);
    }
    assert_eq!(traffic.stop().lost, [""; 0]);
}

#[test]
fn a_request_in_flight_ends_on_the_server_that_is_drained() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let slow = Origin::start(move |_, wire| {
        theirs.wait();
        wire.send(ok("slow"));
    })
    .called("slow");
    let other = Origin::named("other");
    let evenkeel = Evenkeel::start(&pool(&[&slow, &other], ""));
    let address = evenkeel.address();
    let mut asked = Vec::new();
    while slow.count() == 0 {
        let before = slow.count() + other.count();
        asked.push(thread::spawn(move || Client::connect(address).get("/").text()));
        eventually("a server is asked", || slow.count() + other.count() > before);
    }
    evenkeel.set_server("app", "slow", "{\"state\":\"drain\"}");
    assert_eq!(evenkeel.server("app", "slow")["in_flight"], 1);
    for _ in 0..5 {
        assert_eq!(evenkeel.get("/").text(), "other");
    }
    gate.open();
    let answers: Vec<String> = asked.into_iter().map(|t| t.join().unwrap()).collect();
    assert!(answers.contains(&"slow".to_owned()), "{answers:?}");
}

#[test]
fn weights_change_under_traffic_without_a_loss() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool(&[&a, &b], ""));
    let traffic = Traffic::start(evenkeel.address(), 4);
    traffic.more(40);
    evenkeel.set_server("app", "a", "{\"weight\":0}");
    eventually("a is empty", || evenkeel.server("app", "a")["in_flight"] == 0);
    let quiet = traffic.of("a");
    traffic.more(100);
    assert!(traffic.of("a") <= quiet + 4, "a weight of zero still got requests");
    evenkeel.set_server("app", "a", "{\"weight\":3}");
    assert_eq!(evenkeel.server("app", "a")["weight"], 3);
    assert_eq!(traffic.stop().lost, [""; 0]);
    let (a_before, b_before) = (a.count(), b.count());
    let mut client = evenkeel.client();
    for _ in 0..40 {
        client.get("/");
    }
    assert_eq!((a.count() - a_before, b.count() - b_before), (30, 10));
}

#[test]
fn when_all_are_drained_there_is_none_left() {
    let a = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    evenkeel.set_server("app", "a", "{\"state\":\"drain\"}");
    assert_eq!(evenkeel.get("/").status, 503);
    evenkeel.set_server("app", "a", "{\"state\":\"ready\"}");
    assert_eq!(evenkeel.get("/").text(), "a");
}

#[test]
fn wrong_changes_are_refused_and_change_nothing() {
    let a = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    for (path, body) in [
        ("/pools/app/servers/nobody", "{\"state\":\"drain\"}"),
        ("/pools/none/servers/a", "{\"state\":\"drain\"}"),
        ("/pools/app/servers/a", "{\"state\":\"asleep\"}"),
        ("/pools/app/servers/a", "{\"weight\":1001}"),
        ("/pools/app/servers/a", "{\"weight\":-1}"),
        ("/pools/app/servers/a", "{\"wait\":1}"),
        ("/pools/app/servers/a", "nonsense"),
    ] {
        let status = evenkeel.admin("PUT", path, body).status;
        assert!((400..500).contains(&status), "{path} {body}: {status}");
    }
    assert_eq!(evenkeel.get("/").text(), "a");
    assert_eq!(evenkeel.server("app", "a")["weight"], 1);
}
