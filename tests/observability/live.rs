//! `GET /live` and `GET /events`: what they show is what was sent and what has happened, and watching costs little.

use std::io::Write;
use std::net::TcpStream;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use std::sync::atomic::Ordering::SeqCst;

use crate::breaker::trip::fragile;
use crate::support::live::Watcher;
use crate::support::{Evenkeel, Gate, Origin, answer, eventually, ok, pool};

/// What a stream says of requests between two of its points, added up.
struct Seen {
    at: f64,
    requests: f64,
    errors: f64,
    of_pool: f64,
    of_listener: f64,
}

impl Seen {
    /// From the first point on.
    fn begin(watcher: &mut Watcher) -> Self {
        let tick = watcher.find("tick", |tick| number(&tick["point"]["at"]) > 0.0);
        let at = number(&tick["point"]["at"]);
        Self { at, requests: 0.0, errors: 0.0, of_pool: 0.0, of_listener: 0.0 }
    }

    fn add(&mut self, tick: &Value) {
        let point = &tick["point"];
        let seconds = number(&point["at"]) - self.at;
        self.at = number(&point["at"]);
        self.requests += number(&point["rps"]) * seconds;
        self.errors += number(&point["errors"]) * seconds;
        self.of_pool += number(&point["pools"]["app"]["rps"]) * seconds;
        self.of_listener += number(&point["listeners"]["web"]["rps"]) * seconds;
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

/// Rates have three decimals, and times milliseconds.
fn is_about(seen: f64, sent: f64) -> bool {
    (seen - sent).abs() <= 1.0 + sent * 0.01
}

#[test]
fn the_figures_are_those_of_the_requests_that_were_sent() {
    let origin =
        Origin::answering(
            |request| {
                if request.target() == "/bad" { answer(500, "", "no") } else { ok("yes") }
            },
        )
        .called("one");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut watcher = Watcher::open(evenkeel.admin_address());
    let mut seen = Seen::begin(&mut watcher);
    let mut client = evenkeel.client();
    for number in 0..200 {
        client.get(if number % 10 == 0 { "/bad" } else { "/" });
    }
    let mut status = Value::Null;
    while !is_about(seen.requests, 200.0) {
        assert!(seen.requests < 202.0, "{}", seen.requests);
        let tick = watcher.find("tick", |tick| number(&tick["point"]["at"]) > seen.at);
        seen.add(&tick);
        status = tick["status"].clone();
    }
    assert!(is_about(seen.errors, 20.0), "{}", seen.errors);
    assert!(is_about(seen.of_pool, 200.0) && is_about(seen.of_listener, 200.0), "{}", seen.of_pool);
    let server = &status["pools"][0]["servers"][0];
    for now in [&status["now"], &status["pools"][0]["now"], &server["now"]] {
        assert!(number(&now["rps"]) > 0.0 && number(&now["p99"]) > 0.0, "{now}");
        let ratio = number(&now["errors"]) / number(&now["rps"]);
        assert!((ratio - 0.1).abs() < 0.01, "{now}");
    }
    assert_eq!((&server["requests"], &status["listeners"][0]["now"]["p50"]), (&200.into(), &Value::Null));
}

#[test]
fn requests_in_progress_are_shown_while_they_are() {
    let gate = Gate::default();
    let origin = Origin::held("one", &gate);
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut watcher = Watcher::open(evenkeel.admin_address());
    let mut client = evenkeel.client();
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    let tick = watcher.find("tick", |tick| tick["point"]["in_flight"] == 1);
    assert_eq!(tick["point"]["pools"]["app"]["in_flight"], 1, "{tick}");
    gate.open();
    watcher.find("tick", |tick| tick["point"]["in_flight"] == 0);
}

#[test]
fn a_server_that_dies_is_an_event_and_a_problem_until_it_is_back() {
    let origin = Origin::named("one");
    let health = "health = { kind = \"tcp\", interval = \"50ms\", timeout = \"50ms\", fall = 1, rise = 1 }";
    let evenkeel = Evenkeel::start(&pool(&[&origin], health));
    evenkeel.wait_for_state("one", "up");
    let mut watcher = Watcher::open(evenkeel.admin_address());
    watcher.find("tick", |tick| tick["problems"] == serde_json::json!([]));
    origin.stop();
    let down = watcher.find("event", |event| event["kind"] == "health");
    assert_eq!((&down["severity"], &down["pool"]), (&"critical".into(), &"app".into()));
    assert!(down["what"].as_str().unwrap().contains("refused") && down["server"] == "one", "{down}");
    let tick = watcher.find("tick", |tick| !tick["problems"][1].is_null());
    let problems: Vec<_> = (0..2).map(|at| tick["problems"][at]["kind"].as_str().unwrap()).collect();
    assert_eq!(problems, ["pool-down", "server-down"], "{tick}");
    let since = number(&tick["problems"][1]["since"]);
    assert!((since - number(&down["at"])).abs() < 1.0, "{since} {down}");
    let server = &tick["status"]["pools"][0]["servers"][0];
    assert_eq!(
        (&server["check"]["passed"], server["failures"].as_array().unwrap().len()),
        (&false.into(), 1)
    );
    assert!(server["failures"][0]["what"].as_str().unwrap().contains("check: "), "{server}");
    origin.resume();
    let up = watcher.find("event", |event| event["kind"] == "health");
    assert_eq!(up["severity"], "info");
    watcher.find("tick", |tick| tick["problems"] == serde_json::json!([]));
    let listed: Value =
        serde_json::from_str(&evenkeel.admin("GET", "/events?kind=health&limit=2", "").text()).unwrap();
    assert_eq!((&listed["events"][0]["seq"], &listed["events"][1]["seq"]), (&up["seq"], &down["seq"]));
}

#[test]
fn a_reload_that_fails_is_a_problem_until_one_succeeds() {
    let origin = Origin::named("one");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut watcher = Watcher::open(evenkeel.admin_address());
    assert_eq!(evenkeel.reload(&pool(&[&origin], "wrong = 1")).status, 422);
    let event = watcher.find("event", |event| event["kind"] == "reload");
    assert_eq!(event["severity"], "warning", "{event}");
    let tick = watcher.find("tick", |tick| !tick["problems"][0].is_null());
    let problem = &tick["problems"][0];
    assert_eq!((&problem["kind"], &problem["severity"]), (&"reload".into(), &"warning".into()), "{tick}");
    assert_eq!(evenkeel.reload(&pool(&[&origin], "")).status, 200);
    watcher.find("tick", |tick| tick["problems"][0].is_null());
}

#[test]
fn a_change_by_an_operator_is_an_event_with_who_made_it_and_why() {
    let origin = Origin::named("one");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let mut watcher = Watcher::open(evenkeel.admin_address());
    evenkeel.set_server("app", "one", r#"{"weight": 5, "why": "a larger machine"}"#);
    let event = watcher.find("event", |event| event["kind"] == "operator");
    assert_eq!((&event["server"], &event["why"]), (&"one".into(), &"a larger machine".into()), "{event}");
    assert!(event["who"].as_str().is_some_and(|who| !who.is_empty()), "{event}");
}

/// The events of a kind, the newest first, once there are so many.
fn events(evenkeel: &Evenkeel, kind: &str, count: usize) -> Vec<Value> {
    let mut found = Vec::new();
    eventually(&format!("there are {count} events of the kind {kind}"), || {
        let answer = evenkeel.admin("GET", &format!("/events?kind={kind}"), "");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer: Value = serde_json::from_str(&answer.text()).unwrap();
        found = answer["events"].as_array().unwrap().clone();
        found.len() >= count
    });
    assert!(found.iter().all(|event| event["kind"] == kind), "{found:#?}");
    assert_eq!(found.len(), count, "{found:#?}");
    found
}

#[track_caller]
fn assert_event(event: &Value, severity: &str, server: Option<&str>, parts: &[&str]) {
    assert_eq!((&event["severity"], &event["pool"]), (&severity.into(), &"app".into()), "{event:#}");
    assert_eq!(event["server"].as_str(), server, "{event:#}");
    let what = event["what"].as_str().unwrap();
    parts.iter().for_each(|part| assert!(what.contains(part), "no `{part}` in {what}"));
}

#[test]
fn an_ejection_is_an_event_with_its_server_and_cause_and_its_end_is_another() {
    let (bad, sick) = fragile("bad");
    let good = Origin::named("good");
    let keys = "outlier = { failures = 3, window = \"30s\", eject = \"300ms\" }";
    let evenkeel = Evenkeel::start(&pool(&[&bad, &good], keys));
    let mut watcher = Watcher::open(evenkeel.admin_address());
    watcher.find("tick", |_| true);
    let mut client = evenkeel.client();
    assert!(events(&evenkeel, "ejection", 0).is_empty());
    eventually("three requests have failed", || client.get("/").status == 503 && bad.count() == 3);
    sick.store(false, SeqCst);
    let live = watcher.find("event", |event| event["kind"] == "ejection");
    let listed = events(&evenkeel, "ejection", 2);
    let (back, out) = (&listed[0], &listed[1]);
    assert_eq!(*out, live);
    assert_event(out, "critical", Some("bad"), &["server bad went from up to ejected: 3 ", "503"]);
    assert_event(back, "info", Some("bad"), &["server bad went from ejected to up: "]);
}

#[test]
fn each_change_of_a_circuit_breaker_is_an_event_with_its_cause() {
    let (server, sick) = fragile("one");
    let keys = "breaker = { failures = \"50%\", requests_min = 4, window = \"1h\", open_for = \"100ms\", trials = 1 }";
    let evenkeel = Evenkeel::start(&pool(&[&server], keys));
    let mut client = evenkeel.client();
    (0..4).for_each(|_| assert_eq!(client.get("/").text(), "sick"));
    sick.store(false, SeqCst);
    eventually("a trial succeeds", || client.get("/").status == 200);
    let listed = events(&evenkeel, "breaker", 3);
    let opened = ["breaker of the pool went from closed to open: ", "4 of 4 requests failed"];
    assert_event(&listed[2], "critical", None, &opened);
    assert_event(&listed[1], "warning", None, &["breaker of the pool went from open to half_open: "]);
    assert_event(&listed[0], "info", None, &["breaker of the pool went from half_open to closed: "]);
}

#[test]
fn a_circuit_breaker_of_a_server_that_opens_is_an_event_with_the_server() {
    let (bad, _) = fragile("bad");
    let good = Origin::named("good");
    let keys =
        "server_breaker = { failures = \"50%\", requests_min = 3, window = \"1h\", open_for = \"1h\" }";
    let evenkeel = Evenkeel::start(&pool(&[&bad, &good], keys));
    let mut client = evenkeel.client();
    (0..10).for_each(|_| drop(client.get("/")));
    let opened = ["breaker of server bad went from closed to open: ", "3 of 3 requests failed"];
    assert_event(&events(&evenkeel, "breaker", 1)[0], "critical", Some("bad"), &opened);
}

#[test]
fn the_last_failures_of_live_traffic_are_shown_by_server() {
    let origin = Origin::refusing("gone");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    for _ in 0..3 {
        assert_eq!(evenkeel.get("/").status, 502);
    }
    let server = evenkeel.server("app", "gone");
    let failure = &server["failures"][0];
    assert!(failure["what"].as_str().unwrap().contains("refused"), "{server}");
    assert!(failure["times"].as_u64().unwrap() >= 3 && number(&failure["at"]) > 1.7e9, "{server}");
    assert!(server.get("check").is_none(), "it is not checked: {server}");
}

#[test]
fn watchers_that_do_not_read_hold_little_memory_and_lose_their_places() {
    let servers: Vec<String> = (1..=400).map(|port| format!("\"127.0.0.1:{port}\"")).collect();
    let evenkeel = Evenkeel::start(&format!("[pool.app]\nbackends = [{}]\n", servers.join(", ")));
    let admin = evenkeel.admin_address();
    // A first one, which reads, so that what all of them share is there.
    Watcher::open(admin).find("tick", |_| true);
    let before = evenkeel.allocated();
    let stalled: Vec<TcpStream> = (0..32)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            // What the kernel takes for a client is not the process's.
            socket.set_recv_buffer_size(4_096).unwrap();
            socket.connect(&admin.into()).unwrap();
            let mut stream = TcpStream::from(socket);
            write!(stream, "GET /live HTTP/1.0\r\nhost: {admin}\r\n\r\n").unwrap();
            stream
        })
        .collect();
    eventually("all places are taken", || evenkeel.admin("GET", "/live", "").status == 503);
    eventually("the places of slow watchers are free again", || {
        let mut stream = TcpStream::connect(admin).unwrap();
        write!(stream, "GET /live HTTP/1.0\r\nhost: {admin}\r\n\r\n").unwrap();
        let mut head = [0; 12];
        std::io::Read::read_exact(&mut stream, &mut head).unwrap();
        head.ends_with(b" 200")
    });
    let grown = evenkeel.allocated().saturating_sub(before);
    assert!(grown < 48 << 20, "{grown} bytes for {} watchers that do not read", stalled.len());
}
