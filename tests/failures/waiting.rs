//! Requests that wait for a server (`wait_for_server`): until one comes, for as long as they may, as many as may.

use std::time::Instant;

use crate::support::{Evenkeel, Origin, eventually, ms, pool};

/// A pool of one server, which is down until it is resumed, with these keys.
fn before(late: &Origin, keys: &str) -> String {
    let health = "health = { kind = \"tcp\", interval = \"20ms\", timeout = \"100ms\", fall = 1 }";
    pool(&[late], &format!("{health}\n{keys}"))
}

fn waiting(evenkeel: &Evenkeel) -> u64 {
    evenkeel.status()["pools"][0]["waiting_for_server"].as_u64().unwrap()
}

#[track_caller]
fn wait_until_waiting(evenkeel: &Evenkeel, count: u64) {
    eventually(&format!("{count} wait"), || waiting(evenkeel) == count);
}

const GET: &str = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";

#[test]
fn a_server_that_comes_in_time_answers() {
    let late = Origin::refusing("late");
    let evenkeel = Evenkeel::start(&before(&late, "wait_for_server = \"30s\""));
    evenkeel.wait_for_state("late", "down");
    let (mut client, mut other) = (evenkeel.client(), evenkeel.client());
    client.send(GET);
    other.send("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nhello");
    wait_until_waiting(&evenkeel, 2);
    assert_eq!(evenkeel.metric("evenkeel_pool_waiting_for_server", &["pool=\"app\""]), 2.0);
    late.resume();
    assert_eq!(client.answer("GET").text(), "late");
    assert_eq!(other.answer("POST").text(), "late");
    assert_eq!(waiting(&evenkeel), 0);
    let record = evenkeel.record(|record| record["method"] == "POST");
    assert_eq!(
        (record["status"].as_u64(), record["backend"].as_str()),
        (Some(200), Some("late")),
        "{record}"
    );
}

#[test]
fn a_server_that_does_not_come_is_a_503_after_that_time() {
    let late = Origin::refusing("late");
    let evenkeel = Evenkeel::start(&before(&late, "wait_for_server = \"300ms\""));
    evenkeel.wait_for_state("late", "down");
    let begun = Instant::now();
    let response = evenkeel.get("/");
    assert!(begun.elapsed() >= ms(300));
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    let record = evenkeel.record(|record| record["status"] == 503);
    assert_eq!(record["reason"], "pool app: no healthy server within 300ms");
}

#[test]
fn beyond_the_limit_a_503_comes_at_once_and_a_client_that_leaves_makes_room() {
    let late = Origin::refusing("late");
    let keys = "wait_for_server = { at_most = \"30s\", requests = 2 }";
    let evenkeel = Evenkeel::start(&before(&late, keys));
    evenkeel.wait_for_state("late", "down");
    let mut clients = [evenkeel.client(), evenkeel.client()];
    assert!(clients.iter_mut().all(|client| client.send(GET)));
    wait_until_waiting(&evenkeel, 2);
    let response = evenkeel.get("/");
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    let [mut stays, leaves] = clients;
    drop(leaves);
    wait_until_waiting(&evenkeel, 1);
    let mut third = evenkeel.client();
    third.send(GET);
    wait_until_waiting(&evenkeel, 2);
    late.resume();
    assert_eq!(stays.answer("GET").status, 200);
    assert_eq!(third.answer("GET").status, 200);
}

#[test]
fn a_request_waits_for_servers_that_a_reload_adds() {
    let late = Origin::refusing("late");
    let config = before(&late, "wait_for_server = \"30s\"");
    let evenkeel = Evenkeel::start(&config);
    evenkeel.wait_for_state("late", "down");
    let mut client = evenkeel.client();
    client.send(GET);
    wait_until_waiting(&evenkeel, 1);
    let added = Origin::named("added");
    let with = format!("backends = [{{ address = \"{}\", name = \"added\" }}, ", added.address());
    // The positions of routes and servers change.
    let route = "[[route]]\npath = \"/other\"\nrespond = { status = 204 }\n";
    let config = format!("{}{route}", config.replace("backends = [", &with));
    assert_eq!(evenkeel.reload(&config).status, 200);
    assert_eq!(client.answer("GET").text(), "added");
    let record = evenkeel.record(|record| record["status"] == 200);
    assert_eq!(record["backend"], "added", "{record}");
    let labels = ["route=", "pool=\"app\"", "backend=\"added\""];
    assert_eq!(evenkeel.metric("evenkeel_requests_total", &labels), 1.0);
}

#[test]
fn a_request_waits_while_an_operator_drains_the_only_server() {
    let late = Origin::named("late");
    let evenkeel = Evenkeel::start(&before(&late, "wait_for_server = \"30s\""));
    evenkeel.wait_for_state("late", "up");
    evenkeel.set_server("app", "late", "{\"state\": \"drain\"}");
    let mut client = evenkeel.client();
    client.send(GET);
    wait_until_waiting(&evenkeel, 1);
    evenkeel.set_server("app", "late", "{\"state\": \"ready\"}");
    assert_eq!(client.answer("GET").text(), "late");
}

#[test]
fn a_server_that_refuses_before_its_check_has_noticed_does_not_fail_the_request() {
    let late = Origin::refusing("late");
    let config = before(&late, "wait_for_server = \"30s\"").replace("20ms", "200ms");
    let evenkeel = Evenkeel::start(&config);
    late.resume();
    evenkeel.wait_for_state("late", "up");
    late.stop();
    let mut client = evenkeel.client();
    client.send(GET);
    wait_until_waiting(&evenkeel, 1);
    evenkeel.wait_for_state("late", "down");
    late.resume();
    assert_eq!(client.answer("GET").text(), "late");
}

#[test]
fn a_request_goes_on_with_a_server_that_restarts_before_its_checks_take_it_out() {
    let late = Origin::refusing("late");
    let config =
        before(&late, "wait_for_server = \"30s\"").replace("20ms", "500ms").replace("fall = 1", "fall = 10");
    let evenkeel = Evenkeel::start(&config);
    late.resume();
    evenkeel.wait_for_state("late", "up");
    late.stop();
    let mut client = evenkeel.client();
    client.send(GET);
    wait_until_waiting(&evenkeel, 1);
    late.resume();
    assert_eq!(client.answer("GET").text(), "late");
    assert_eq!(
        evenkeel.stderr.count(|line| line.contains("from=\"up\"")),
        0,
        "its checks have not taken it out"
    );
}

#[test]
fn a_request_that_waits_when_the_process_leaves_is_still_answered() {
    let late = Origin::refusing("late");
    let mut evenkeel = Evenkeel::start(&before(&late, "wait_for_server = \"30s\""));
    evenkeel.wait_for_state("late", "down");
    let mut client = evenkeel.client();
    client.send(GET);
    wait_until_waiting(&evenkeel, 1);
    evenkeel.signal(rustix::process::Signal::TERM);
    late.resume();
    assert_eq!(client.answer("GET").text(), "late");
    assert!(evenkeel.wait_exit().success());
}
