//! Servers that fail: many requests for one key ask them no more often than one would.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::support::cache::{answers, assert_said, config, crowd, fresh, stale, start, wait_for_requests};
use crate::support::{Evenkeel, Gate, Origin, Port, answer, eventually};

const GET: &str = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";

#[test]
fn all_that_wait_learn_that_no_server_can_be_reached() {
    let port = Port::reserve();
    let _hang = port.hang();
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\nname = \"main\"\npath = \"/*\"\npool = \"app\"\ncache = true\nretry = false\n\
         [pool.app]\nbackends = [\"{}\"]\ntimeout = {{ connect = \"3s\" }}\n",
        port.address()
    ));
    let clients = crowd(&evenkeel, 20, GET);
    wait_for_requests(&evenkeel, 20);
    for response in answers(clients) {
        assert_eq!(response.status, 504, "{}", response.text());
    }
    assert_eq!(evenkeel.metric("evenkeel_backend_connect_failures_total", &[]), 1.0);
    let record = evenkeel.record(|record| {
        record["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("as another request for the same has found"))
    });
    assert_eq!(
        (record["cache"].as_str(), record["cache_reason"].as_str()),
        (Some("miss"), Some("no-response"))
    );
    assert_eq!(record["ended"], "backend_timeout");
}

#[test]
fn a_failure_that_a_request_may_have_caused_is_its_own() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |request, wire| {
        if request.header("x-kill").is_some() {
            theirs.wait();
            wire.close();
        } else {
            wire.send(fresh("", "page"));
        }
    });
    let evenkeel = Evenkeel::start(&config(&[&origin], "true").replace("cache =", "retry = false\ncache ="));
    let mut killer = crowd(&evenkeel, 1, "GET / HTTP/1.1\r\nhost: test\r\nx-kill: 1\r\n\r\n");
    eventually("the server is asked", || origin.count() == 1);
    let others = crowd(&evenkeel, 10, GET);
    wait_for_requests(&evenkeel, 11);
    gate.open();
    assert_eq!(answers(std::mem::take(&mut killer))[0].status, 502);
    for response in answers(others) {
        assert_eq!((response.status, response.text().as_str()), (200, "page"));
    }
}

#[test]
fn background_fetches_that_fail_pause() {
    let asked = AtomicUsize::new(0);
    let origin = Origin::answering(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => stale(", stale-while-revalidate=600", "one", "old"),
        _ => answer(503, "", "sick"),
    });
    let evenkeel = start(&origin, "true");
    let started = Instant::now();
    evenkeel.get("/");
    for _ in 0..100 {
        let response = evenkeel.get("/");
        assert_eq!((response.status, response.text().as_str()), (200, "old"));
        assert_said(&response, "detail=stale-while-revalidate");
    }
    eventually("a background fetch was made", || origin.count() >= 2);
    let most = 2 + started.elapsed().as_secs() as usize;
    assert!(origin.count() <= most, "{} in {:?}", origin.count(), started.elapsed());
    eventually("another one is made", || {
        assert_eq!(evenkeel.get("/").text(), "old");
        origin.count() >= 3
    });
}
