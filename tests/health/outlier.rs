//! Servers are compared with one another: one that fails a share of its requests, and one that is slow, are ejected.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crate::support::{Evenkeel, Origin, answer, eventually, ms, ok, pool};

/// Asks for one page after the other until a server is ejected; returns why it was.
fn until_ejected(evenkeel: &Evenkeel, server: &str) -> String {
    let mut client = evenkeel.client();
    eventually(&format!("{server} is ejected"), || {
        (0..30).for_each(|_| drop(client.get("/")));
        evenkeel.server("app", server)["state"] == "ejected"
    });
    evenkeel.server("app", server)["reason"].as_str().unwrap().to_owned()
}

#[test]
fn a_server_that_fails_a_share_of_its_requests_is_ejected_by_its_success_rate() {
    let nth = AtomicUsize::new(0);
    let bad = Origin::answering(move |_| {
        if nth.fetch_add(1, Ordering::SeqCst).is_multiple_of(3) { answer(500, "", "no") } else { ok("bad") }
    });
    let (bad, a, b) = (bad.called("bad"), Origin::named("a"), Origin::named("b"));
    // Far fewer failures than counting would take.
    let keys = "outlier = { failures = 1000, window = \"2s\", eject = \"60s\", success_rate = 1.9, requests_min = 30 }";
    let evenkeel = Evenkeel::start(&pool(&[&a, &bad, &b], keys));
    let reason = until_ejected(&evenkeel, "bad");
    assert!(reason.starts_with("success rate 6"), "{reason}");
    assert!(reason.contains("where the others have 100 %"), "{reason}");
    let counted = evenkeel.metric(
        "evenkeel_backend_outliers_total",
        &["backend=\"bad\"", "cause=\"success_rate\"", "outcome=\"ejected\""],
    );
    assert_eq!(counted, 1.0);
    let mut client = evenkeel.client();
    let before = bad.count();
    (0..30).for_each(|_| assert_eq!(client.get("/").status, 200));
    assert_eq!(bad.count(), before);
    evenkeel.stderr.wait_for("its change in the log", |line| line.contains("success rate 6"));
}

#[test]
fn a_server_that_is_slow_beside_the_others_is_ejected_by_its_latency() {
    let slow = Origin::start(|_, wire| {
        thread::sleep(ms(40));
        wire.send(ok("slow"));
    });
    let (slow, a, b) = (slow.called("slow"), Origin::named("a"), Origin::named("b"));
    let keys = "outlier = { window = \"2s\", eject = \"60s\", latency = 3.0, requests_min = 10 }";
    let evenkeel = Evenkeel::start(&pool(&[&slow, &a, &b], keys));
    let reason = until_ejected(&evenkeel, "slow");
    assert!(reason.contains("ms on average where the median is"), "{reason}");
    assert_eq!(evenkeel.metric("evenkeel_backend_outliers_total", &["cause=\"latency\""]), 1.0);
    assert_eq!(evenkeel.server("app", "a")["state"], "up");
}

#[test]
fn no_more_servers_are_out_than_allowed() {
    let sick = |name: &str| Origin::bytes(answer(503, "", "sick")).called(name);
    let (x, y, a, b) = (sick("x"), sick("y"), Origin::named("a"), Origin::named("b"));
    let keys = "outlier = { failures = 2, window = \"30s\", eject = \"60s\", max_ejected = \"25%\" }";
    let evenkeel = Evenkeel::start(&pool(&[&x, &y, &a, &b], keys));
    let mut client = evenkeel.client();
    let kept =
        || evenkeel.metric("evenkeel_backend_outliers_total", &["cause=\"failures\"", "outcome=\"kept\""]);
    eventually("one is ejected and the other kept", || {
        (0..4).for_each(|_| drop(client.get("/")));
        kept() == 1.0
    });
    let states = ["x", "y"].map(|server| evenkeel.server("app", server)["state"].clone());
    assert!(states.contains(&"ejected".into()) && states.contains(&"up".into()), "{states:?}");
    evenkeel
        .stderr
        .wait_for("why it was kept", |line| line.contains("as many are out as max_ejected allows"));
    (0..40).for_each(|_| drop(client.get("/")));
    assert_eq!(kept(), 1.0, "said once");
}

#[test]
fn a_client_that_takes_its_time_to_send_does_not_make_its_server_slow() {
    let servers = ["a", "b", "c"].map(Origin::named);
    let keys = "algorithm = \"consistent-hash\"\nhash_key = \"header:x-key\"\n\
                outlier = { window = \"2s\", eject = \"60s\", latency = 20.0, requests_min = 5 }";
    let evenkeel = Evenkeel::start(&pool(&servers.each_ref(), keys));
    let mut client = evenkeel.client();
    // A key for each server.
    let mut keys: Vec<(String, String)> = Vec::new();
    for key in 0.. {
        let server = client.get_with("/", &format!("x-key: {key}\r\n")).text();
        if keys.iter().all(|(_, other)| *other != server) {
            keys.push((key.to_string(), server));
        }
        if keys.len() == servers.len() {
            break;
        }
    }
    let (victim, name) = keys.pop().unwrap();
    let begun = Instant::now();
    // As long as it takes to be compared several times.
    while begun.elapsed() < ms(1_500) {
        client
            .send(format!("POST / HTTP/1.1\r\nhost: test\r\nx-key: {victim}\r\ncontent-length: 2\r\n\r\nh"));
        thread::sleep(ms(50));
        client.send("i");
        assert_eq!(client.answer("POST").text(), name);
        for (key, server) in &keys {
            assert_eq!(client.get_with("/", &format!("x-key: {key}\r\n")).text(), *server);
        }
    }
    assert_eq!(evenkeel.server("app", &name)["state"], "up");
}
