//! `queue` of a pool: who finds no place waits for one, for a while.

use std::time::Instant;

use super::max_connections::{ask, pool_of};
use crate::support::{Client, Evenkeel, Gate, Origin, Wire, answer, eventually, ms, ok, pool};

/// A server that holds `/hold` until the gate opens.
fn holding(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |request, wire| {
        if request.target() == "/hold" {
            gate.wait();
        }
        wire.send(ok("a"));
    })
}

fn waiting(evenkeel: &Evenkeel) -> f64 {
    evenkeel.metric("evenkeel_queue_length", &["pool=\"app\""])
}

/// Has `/hold` take the one place that there is, then these wait for it; returns the order in which they got it.
fn order(keys: &str, hold_on: impl Fn()) -> Vec<String> {
    let gate = Gate::default();
    let server = holding(&gate);
    let evenkeel = Evenkeel::start(&pool_of(&[&server], 1, keys));
    let mut asked = vec![ask(&evenkeel, "/hold")];
    eventually("the place is taken", || server.count() == 1);
    for (at, target) in ["/first", "/second", "/third"].into_iter().enumerate() {
        asked.push(ask(&evenkeel, target));
        eventually("it waits", || waiting(&evenkeel) == (at + 1) as f64);
    }
    assert_eq!(evenkeel.status()["pools"][0]["breaker"]["waiting"], 3);
    hold_on();
    gate.open();
    asked.into_iter().for_each(|request| assert_eq!(request.join().unwrap().0, 200));
    assert_eq!(waiting(&evenkeel), 0.0);
    assert_eq!(evenkeel.metric("evenkeel_queue_waits_total", &[]), 3.0);
    server.requests().iter().skip(1).map(|request| request.target().to_owned()).collect()
}

#[test]
fn first_come_first_served() {
    assert_eq!(order("queue = { wait = \"15s\" }", || {}), ["/first", "/second", "/third"]);
}

#[test]
fn the_newest_first_under_overload() {
    let busy = || {
        let since = Instant::now();
        eventually("the queue has been busy for long enough", || since.elapsed() > ms(100));
    };
    let keys = "queue = { wait = \"15s\", order = \"newest-under-overload\" }";
    assert_eq!(order(keys, busy), ["/third", "/second", "/first"]);
}

#[test]
fn a_request_that_is_queued_in_vain_is_refused() {
    let gate = Gate::default();
    let server = holding(&gate);
    let evenkeel = Evenkeel::start(&pool_of(&[&server], 1, "queue = { wait = \"50ms\" }"));
    let held = ask(&evenkeel, "/hold");
    eventually("the place is taken", || server.count() == 1);
    let refused = evenkeel.get("/late");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(evenkeel.metric("evenkeel_queue_refused_total", &["reason=\"timeout\""]), 1.0);
    let reason = evenkeel.record(|record| record["target"] == "/late")["reason"].clone();
    assert_eq!(reason, "every server is at its max_connections, and there was no place within 50ms");
    gate.open();
    assert_eq!(held.join().unwrap().0, 200);
    assert_eq!(server.count(), 1, "nothing of it came to the server");
}

#[test]
fn a_request_queued_in_vain_for_its_own_server_is_refused_with_the_reason() {
    let gate = Gate::default();
    let servers = [holding(&gate), holding(&gate)];
    let keys = "queue = { wait = \"50ms\" }\nsticky = { header = \"x-session\" }";
    let evenkeel = Evenkeel::start(&pool_of(&servers.each_ref(), 1, keys));
    let mut held = evenkeel.client();
    held.send("GET /hold HTTP/1.1\r\nhost: test\r\nx-session: 1\r\n\r\n");
    eventually("its place is taken", || servers.iter().any(|server| server.count() == 1));
    let refused = evenkeel.client().get_with("/late", "x-session: 1\r\n");
    let expected = "the client's own server is at its max_connections, and there was no place within 50ms";
    assert!(refused.status == 503 && refused.text().contains(expected), "{}", refused.text());
    assert_eq!(evenkeel.record(|record| record["target"] == "/late")["reason"], expected);
    gate.open();
    assert_eq!(held.answer("GET").status, 200);
}

#[test]
fn a_request_that_finds_the_queue_full_is_refused_at_once() {
    let gate = Gate::default();
    let server = holding(&gate);
    let keys = "queue = { wait = \"15s\" }\nbreaker = { max_pending = 1 }";
    let evenkeel = Evenkeel::start(&pool_of(&[&server], 1, keys));
    let held = [ask(&evenkeel, "/hold"), ask(&evenkeel, "/hold")];
    eventually("one waits", || waiting(&evenkeel) == 1.0);
    let refused = evenkeel.get("/");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("15")));
    assert_eq!(evenkeel.metric("evenkeel_queue_refused_total", &["reason=\"full\""]), 1.0);
    gate.open();
    held.into_iter().for_each(|request| assert_eq!(request.join().unwrap().0, 200));
}

/// A client leaves by `leave` while it waits; it is forgotten before the place is given back if it `is_noticed`.
fn leaves(request: &str, leave: fn(&mut Wire), is_noticed: bool) {
    let gate = Gate::default();
    let server = holding(&gate);
    let evenkeel = Evenkeel::start(&pool_of(&[&server], 1, "queue = { wait = \"15s\" }"));
    let held = ask(&evenkeel, "/hold");
    eventually("the place is taken", || server.count() == 1);
    let mut client = Client::connect(evenkeel.address());
    client.send(request);
    eventually("it waits", || waiting(&evenkeel) == 1.0);
    leave(&mut client);
    drop(client);
    if is_noticed {
        eventually("it is forgotten", || waiting(&evenkeel) == 0.0);
    }
    gate.open();
    assert_eq!(held.join().unwrap().0, 200);
    eventually("it is forgotten", || waiting(&evenkeel) == 0.0);
    assert_eq!(evenkeel.metric("evenkeel_queue_refused_total", &["reason=\"gone\""]), 1.0);
    assert_eq!(evenkeel.get("/").status, 200);
    assert!(server.requests().iter().all(|request| request.target() != "/gone"));
    assert_eq!(evenkeel.record(|record| record["target"] == "/gone")["ended"], "client_aborted");
}

const GONE: &str = "GET /gone HTTP/1.1\r\nhost: test\r\n\r\n";

#[test]
fn a_queued_request_that_leaves_is_forgotten() {
    leaves(GONE, Wire::reset, true);
    leaves(GONE, Wire::close, true);
}

#[test]
fn a_pipelined_request_that_leaves_is_not_served() {
    leaves(&GONE.repeat(2), Wire::finish, false);
}

#[test]
fn a_request_waits_no_longer_than_its_own_deadline() {
    let gate = Gate::default();
    let server = holding(&gate);
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\npath = \"/hurried\"\npool = \"app\"\ntimeout = {{ request = \"50ms\" }}\n{}",
        pool_of(&[&server], 1, "queue = { wait = \"15s\" }")
    ));
    let held = ask(&evenkeel, "/hold");
    eventually("the place is taken", || server.count() == 1);
    assert_eq!(evenkeel.get("/hurried").status, 504);
    gate.open();
    assert_eq!(held.join().unwrap().0, 200);
}

#[test]
fn a_place_in_the_pool_is_waited_for_as_one_at_a_server_is() {
    let gate = Gate::default();
    let server = holding(&gate);
    let keys = "queue = { wait = \"15s\" }\nbreaker = { max_requests = 1 }";
    let evenkeel = Evenkeel::start(&pool(&[&server], keys));
    let held = ask(&evenkeel, "/hold");
    eventually("the place is taken", || server.count() == 1);
    let others = [ask(&evenkeel, "/"), ask(&evenkeel, "/")];
    eventually("both wait", || waiting(&evenkeel) == 2.0);
    gate.open();
    others.into_iter().chain([held]).for_each(|request| assert_eq!(request.join().unwrap().0, 200));
}

#[test]
fn a_queued_request_is_refused_and_not_sent_when_the_circuit_opens() {
    const TRIP: &str = "failures = \"50%\", requests_min = 1, open_for = \"1h\"";
    let at_servers = format!("queue = {{ wait = \"15s\" }}\nbreaker = {{ {TRIP} }}");
    let in_the_pool = format!("queue = {{ wait = \"15s\" }}\nbreaker = {{ max_requests = 1, {TRIP} }}");
    for (max, keys) in [(1, at_servers), (100, in_the_pool)] {
        let gate = Gate::default();
        let theirs = gate.clone();
        let server = Origin::start(move |_, wire| {
            theirs.wait();
            wire.send(answer(503, "", "sick"));
        });
        let evenkeel = Evenkeel::start(&pool_of(&[&server], max, &keys));
        let first = ask(&evenkeel, "/first");
        eventually("the place is taken", || server.count() == 1);
        let others: Vec<_> = ["/a", "/b", "/c", "/d"].map(|target| ask(&evenkeel, target)).into();
        eventually("they wait", || waiting(&evenkeel) == 4.0);
        gate.open();
        assert_eq!(first.join().unwrap(), (503, "sick".to_owned()));
        let others: Vec<_> = others.into_iter().map(|other| other.join().unwrap()).collect();
        let refused =
            others.iter().filter(|(status, text)| *status == 503 && text.contains("is open")).count();
        // One may have had the first one's place before that one's failure was known.
        assert!(refused >= 3 && server.count() + refused == 5, "{others:?}, {} were sent", server.count());
        assert_eq!(evenkeel.metric("evenkeel_breaker_refused_total", &["reason=\"open\""]), refused as f64);
        assert_eq!(waiting(&evenkeel), 0.0);
    }
}
