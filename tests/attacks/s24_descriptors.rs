//! S24: clients that use up the file descriptors.

use std::thread;

use crate::support::{Client, Evenkeel, Gate, Origin, eventually, ok, pool};

/// Few enough to be used up quickly.
const DESCRIPTORS: usize = 160;
/// A probe that must go on meanwhile.
const HEALTH: &str = "health = { path = \"/health\", interval = \"500ms\", timeout = \"500ms\" }";

/// Opens connections that are asked one request each, until one is turned away; those that were not.
fn exhaust(evenkeel: &Evenkeel) -> Vec<Client> {
    let mut held = Vec::new();
    while held.len() < DESCRIPTORS {
        let mut client = evenkeel.client();
        client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        match client.response("GET") {
            Ok(response) => assert_eq!(response.status, 200, "{}", response.text()),
            Err(fault) => {
                assert!(fault.is_end(), "neither served nor turned away: {fault:?}");
                return held;
            }
        }
        held.push(client);
    }
    panic!("{DESCRIPTORS} connections with {DESCRIPTORS} descriptors");
}

#[test]
fn s24_admin_api_probes_and_the_clients_that_are_there_work_on_without_descriptors() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start_with_descriptors(DESCRIPTORS, &pool(&[&origin], HEALTH));
    evenkeel.wait_for_state("a", "up");
    let mut held = exhaust(&evenkeel);
    eventually("it is counted", || {
        evenkeel.metric("evenkeel_connections_refused_total", &["reason=\"descriptors\""]) >= 1.0
    });

    for client in held.iter_mut().take(10) {
        assert_eq!(client.get("/").text(), "a");
    }
    let probes = || evenkeel.metric("evenkeel_probes_total", &["result=\"success\""]);
    let before = probes();
    eventually("probes go on", || probes() > before + 1.0);
    assert_eq!(evenkeel.metric("evenkeel_probes_total", &[]), probes(), "a probe failed");
    assert_eq!(evenkeel.server("app", "a")["state"], "up");
    assert_eq!(evenkeel.reload(&pool(&[&origin], HEALTH)).status, 200);
    drop(held);
}

#[test]
fn s24_it_recovers_by_itself() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start_with_descriptors(DESCRIPTORS, &pool(&[&origin], ""));
    for _ in 0..2 {
        let held = exhaust(&evenkeel);
        // Others knock meanwhile; whoever is turned away is turned away visibly.
        let address = evenkeel.address();
        let knocking: Vec<_> = (0..20)
            .map(|_| {
                thread::spawn(move || {
                    let mut client = Client::connect(address);
                    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
                    client.response("GET").map(|response| response.status)
                })
            })
            .collect();
        drop(held);
        for client in knocking {
            match client.join().unwrap() {
                Ok(status) => assert_eq!(status, 200),
                Err(fault) => assert!(fault.is_end(), "{fault:?}"),
            }
        }
        eventually("new clients are served", || {
            let mut client = evenkeel.client();
            client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
            client.response("GET").is_ok_and(|response| response.status == 200)
        });
        eventually("all are closed", || evenkeel.metric("evenkeel_connections", &[]) == 0.0);
    }
}

#[test]
fn s24_servers_are_not_blamed_for_what_we_lack() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |request, wire| {
        if request.target() == "/hold" {
            theirs.wait();
        }
        wire.send(ok("a"));
    })
    .called("a");
    let keys = format!("{HEALTH}\noutlier = {{ failures = 1, eject = \"1h\" }}");
    let evenkeel = Evenkeel::start_with_descriptors(DESCRIPTORS, &pool(&[&origin], &keys));
    evenkeel.wait_for_state("a", "up");
    // Those that ask one after the other share a connection to the server; now each needs its own.
    let mut held = exhaust(&evenkeel);
    for client in &mut held {
        client.send("GET /hold HTTP/1.1\r\nhost: test\r\n\r\n");
    }
    let failed = || evenkeel.metric("evenkeel_requests_total", &["class=\"5xx\""]);
    eventually("some could not be forwarded", || failed() > 0.0);
    assert_eq!(evenkeel.server("app", "a")["state"], "up");
    assert_eq!(evenkeel.metric("evenkeel_backend_failures_total", &[]), 0.0);
    assert_eq!(evenkeel.metric("evenkeel_probes_total", &["result=\"io\""]), 0.0);
    gate.open();
    for mut client in held {
        let status = client.answer("GET").status;
        assert!(matches!(status, 200 | 502 | 503), "{status}");
    }
}
