//! The circuit breaker of a pool: it opens when too much fails or is slow, and closes by trials.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use crate::support::{Evenkeel, Origin, answer, eventually, ms, ok, pool};

/// A server that answers 503 while it is sick.
pub fn fragile(name: &str) -> (Origin, Arc<AtomicBool>) {
    let sick = Arc::new(AtomicBool::new(true));
    let (theirs, text) = (sick.clone(), ok(name));
    let origin =
        Origin::answering(move |_| if theirs.load(SeqCst) { answer(503, "", "sick") } else { text.clone() });
    (origin.called(name), sick)
}

fn state(evenkeel: &Evenkeel) -> String {
    evenkeel.status()["pools"][0]["breaker"]["state"].as_str().unwrap().to_owned()
}

const CHANGED: &str = "circuit breaker of the pool changed";

#[test]
fn it_opens_when_too_much_fails_and_then_answers_at_once() {
    let (server, _) = fragile("a");
    let keys = "breaker = { failures = \"50%\", requests_min = 4, window = \"1h\", open_for = \"1h\" }";
    let evenkeel = Evenkeel::start(&pool(&[&server], keys));
    let mut client = evenkeel.client();
    assert_eq!(state(&evenkeel), "closed");
    for _ in 0..4 {
        assert_eq!(client.get("/").text(), "sick", "the answers are the server's");
    }
    let refused = client.get("/refused");
    assert_eq!(refused.status, 503);
    assert!(refused.text().contains("circuit breaker is open"), "{}", refused.text());
    let after: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((3_590..=3_600).contains(&after), "{after}");
    assert_eq!((server.count(), state(&evenkeel).as_str()), (4, "open"));
    assert_eq!(evenkeel.metric("evenkeel_breaker_state", &["pool=\"app\"", "backend=\"\""]), 1.0);
    assert_eq!(evenkeel.metric("evenkeel_breaker_refused_total", &["reason=\"open\""]), 1.0);
    assert_eq!(evenkeel.metric("evenkeel_requests_refused_total", &["reason=\"breaker_open\""]), 1.0);
    let reason = evenkeel.record(|record| record["target"] == "/refused")["reason"].to_string();
    for told in
        ["\"circuit breaker is open; opened ", " ago, for ", " more: 4 of 4 requests failed within 3600s;"]
    {
        assert!(reason.contains(told), "{reason}");
    }
    assert!(!refused.text().contains("failed"), "that is for the log: {}", refused.text());
    eventually("it is told once", || evenkeel.stderr.count(|line| line.contains(CHANGED)) == 1);
}

#[test]
fn it_closes_when_trials_succeed() {
    let (server, sick) = fragile("a");
    let keys = "breaker = { failures = \"50%\", requests_min = 4, open_for = \"100ms\", trials = 2 }";
    let evenkeel = Evenkeel::start(&pool(&[&server], keys));
    let mut client = evenkeel.client();
    (0..4).for_each(|_| drop(client.get("/")));
    eventually("it opens", || state(&evenkeel) == "open");
    sick.store(false, SeqCst);
    eventually("it lets trials through", || client.get("/").status == 200);
    eventually("it closes", || client.get("/").status == 200 && state(&evenkeel) == "closed");
    assert_eq!(evenkeel.metric("evenkeel_breaker_state", &["backend=\"\""]), 0.0);
    eventually("each change is told: open, half open, closed", || {
        evenkeel.stderr.count(|line| line.contains(CHANGED)) == 3
    });
}

#[test]
fn it_opens_again_when_a_trial_fails() {
    let (server, _) = fragile("a");
    let keys = "breaker = { failures = \"50%\", requests_min = 4, open_for = \"100ms\" }";
    let evenkeel = Evenkeel::start(&pool(&[&server], keys));
    let mut client = evenkeel.client();
    (0..4).for_each(|_| drop(client.get("/")));
    eventually("a trial goes through", || client.get("/").text() == "sick");
    eventually("it opens again, for longer", || {
        evenkeel.status()["pools"][0]["breaker"]["reason"] == "a trial failed; open for 200ms"
    });
    assert_eq!((state(&evenkeel).as_str(), server.count()), ("open", 5));
}

#[test]
fn failures_of_connections_count_as_well() {
    let server = Origin::refusing("a");
    let keys = "breaker = { failures = \"50%\", requests_min = 4, open_for = \"1h\" }";
    let evenkeel = Evenkeel::start(&pool(&[&server], keys));
    let statuses: Vec<u16> = (0..6).map(|_| evenkeel.get("/").status).collect();
    assert_eq!(statuses, [502, 502, 502, 502, 503, 503]);
}

#[test]
fn it_opens_when_too_much_is_slow() {
    let server = Origin::answering(|_| {
        thread::sleep(ms(30));
        ok("a")
    });
    let keys = "breaker = { slow = \"100%\", slow_after = \"20ms\", requests_min = 3, open_for = \"1h\" }";
    let evenkeel = Evenkeel::start(&pool(&[&server], keys));
    let statuses: Vec<u16> = (0..4).map(|_| evenkeel.get("/").status).collect();
    assert_eq!(statuses, [200, 200, 200, 503]);
    assert!(
        evenkeel.status()["pools"][0]["breaker"]["reason"].as_str().unwrap().contains("took 20ms or longer")
    );
}

#[test]
fn a_client_that_takes_its_time_to_send_makes_no_server_slow() {
    let server = Origin::named("a");
    let keys = "breaker = { slow = \"1%\", slow_after = \"200ms\", requests_min = 3, open_for = \"1h\" }\n\
                server_breaker = { slow = \"1%\", slow_after = \"200ms\", requests_min = 3, open_for = \"1h\" }";
    let evenkeel = Evenkeel::start(&pool(&[&server], keys));
    let mut client = evenkeel.client();
    for _ in 0..5 {
        client.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\nh");
        thread::sleep(ms(250));
        client.send("i");
        assert_eq!(client.answer("POST").status, 200);
    }
    assert_eq!(state(&evenkeel), "closed");
}

#[test]
fn what_the_client_is_to_blame_for_does_not_count() {
    let server = Origin::bytes(answer(404, "", "none"));
    let keys = "breaker = { failures = \"1%\", requests_min = 1, open_for = \"1h\" }";
    let evenkeel = Evenkeel::start(&pool(&[&server], keys));
    let mut client = evenkeel.client();
    for _ in 0..20 {
        assert_eq!(client.get("/").status, 404);
    }
}
