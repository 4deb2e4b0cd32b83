//! Hedges in a pool with limits: each takes a place of its own, at its server and in the pool, and gives it back.

use super::max_connections::ask;
use crate::support::{Client, Evenkeel, Gate, Origin, answer, eventually, ms, ok};

/// The pool `app`, the servers after the first being backups; each takes one request at a time, if `max` says so.
fn start(servers: &[&Origin], max: &str, keys: &str) -> Evenkeel {
    start_with("", servers, max, keys)
}

/// The same, with these keys of the route.
fn start_with(route: &str, servers: &[&Origin], max: &str, keys: &str) -> Evenkeel {
    let server = |(at, server): (usize, &&Origin)| {
        let (address, name, backup) = (server.address(), &server.name, at > 0);
        format!("{{ address = \"{address}\", name = \"{name}\", backup = {backup}{max} }}, ")
    };
    let servers: String = servers.iter().enumerate().map(server).collect();
    Evenkeel::start(&format!(
        "[[route]]\npool = \"app\"\nhedge = {{ after = \"30ms\" }}\n{route}\n[pool.app]\nbackends = [{servers}]\n{keys}\n"
    ))
}

const ONE: &str = ", max_connections = 1";

/// Says nothing to `/slow` until the balancer gives up.
fn silent(name: &'static str) -> Origin {
    Origin::start(move |request, wire| {
        if request.target() == "/slow" {
            wire.hold();
            wire.close();
        } else {
            wire.send(ok(name));
        }
    })
    .called(name)
}

/// Takes longer than a hedge waits.
fn slow(name: &'static str) -> Origin {
    Origin::start(move |_, wire| {
        wire.patience(ms(300));
        // Nothing more comes: that is how long it takes.
        let _ = wire.some();
        wire.send(ok(name));
    })
    .called(name)
}

/// Begins its answer to `/slow` at once, and ends it when the gate opens.
fn streaming(name: &'static str, gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |request, wire| {
        let (head, body) = (format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", name.len()), name);
        wire.send(head);
        if request.target() == "/slow" {
            gate.wait();
        }
        wire.send(body);
    })
    .called(name)
}

fn in_flight(evenkeel: &Evenkeel) -> Vec<u64> {
    let status = evenkeel.status();
    let servers = status["pools"][0]["servers"].as_array().unwrap();
    servers.iter().map(|server| server["in_flight"].as_u64().unwrap()).collect()
}

fn in_pool(evenkeel: &Evenkeel) -> u64 {
    evenkeel.status()["pools"][0]["breaker"]["in_flight"].as_u64().unwrap()
}

fn nothing_is_left(evenkeel: &Evenkeel) {
    eventually("nothing is left in flight", || {
        in_flight(evenkeel).iter().sum::<u64>() == 0
            && in_pool(evenkeel) == 0
            && evenkeel.metric("evenkeel_backend_in_flight", &[]) == 0.0
            && evenkeel.metric("evenkeel_requests_in_flight", &[]) == 0.0
            && evenkeel.metric("evenkeel_queue_length", &[]) == 0.0
    });
}

fn hedges(evenkeel: &Evenkeel) -> f64 {
    evenkeel.metric("evenkeel_hedges_total", &[])
}

#[test]
fn each_has_a_place_and_the_loser_gives_its_own_to_who_waits() {
    let (answers, ends) = (Gate::default(), Gate::default());
    let b = streaming("b", &ends);
    // The race lasts until the test says otherwise.
    let (a, front) = (silent("a"), in_front_of(&b, &answers));
    let evenkeel = start(&[&a, &front], ONE, "queue = { wait = \"15s\" }");
    let raced = ask(&evenkeel, "/slow");
    eventually("both are asked", || in_flight(&evenkeel) == [1, 1]);
    let waiting = ask(&evenkeel, "/");
    eventually("the next one waits", || evenkeel.metric("evenkeel_queue_length", &[]) == 1.0);
    answers.open();
    assert_eq!(waiting.join().unwrap(), (200, "a".to_owned()), "the loser's place");
    eventually("the winner keeps its own", || in_flight(&evenkeel) == [0, 1]);
    ends.open();
    assert_eq!(raced.join().unwrap(), (200, "b".to_owned()));
    assert_eq!(hedges(&evenkeel), 1.0);
    nothing_is_left(&evenkeel);
}

#[test]
fn a_full_server_gets_none() {
    let gate = Gate::default();
    let (a, b) = (slow("a"), Origin::held("b", &gate));
    let evenkeel = start(&[&a, &b], ONE, "breaker = { max_retries = 1 }");
    evenkeel.set_server("app", "a", "{\"state\": \"drain\"}");
    let held = ask(&evenkeel, "/");
    eventually("it is full", || b.count() == 1);
    evenkeel.set_server("app", "a", "{\"state\": \"ready\"}");
    evenkeel.wait_for_state("a", "up");
    assert_eq!(evenkeel.get("/").text(), "a");
    assert_eq!((b.count(), hedges(&evenkeel)), (1, 0.0));
    gate.open();
    assert_eq!(held.join().unwrap().0, 200);
    nothing_is_left(&evenkeel);
}

#[test]
fn a_full_server_is_passed_over() {
    let gate = Gate::default();
    let (a, b, c) = (silent("a"), Origin::held("b", &gate), Origin::named("c"));
    let evenkeel = start(&[&a, &b, &c], ONE, "");
    for server in ["a", "c"] {
        evenkeel.set_server("app", server, "{\"state\": \"drain\"}");
    }
    let held = ask(&evenkeel, "/");
    eventually("it is full", || b.count() == 1);
    for server in ["a", "c"] {
        evenkeel.set_server("app", server, "{\"state\": \"ready\"}");
        evenkeel.wait_for_state(server, "up");
    }
    for _ in 0..6 {
        assert_eq!(evenkeel.get("/slow").text(), "c");
    }
    assert_eq!((a.count(), b.count(), hedges(&evenkeel)), (6, 1, 6.0));
    gate.open();
    assert_eq!(held.join().unwrap().0, 200);
    nothing_is_left(&evenkeel);
}

#[test]
fn a_full_pool_has_none() {
    for key in ["max_connections", "max_requests"] {
        let (a, b) = (slow("a"), Origin::named("b"));
        let evenkeel = start(&[&a, &b], "", &format!("breaker = {{ {key} = 1 }}"));
        assert_eq!(evenkeel.get("/").text(), "a", "{key}");
        assert_eq!((b.count(), hedges(&evenkeel)), (0, 0.0), "{key}");
        nothing_is_left(&evenkeel);
    }
}

#[test]
fn the_winner_holds_one_place_in_the_pool() {
    let ends = Gate::default();
    let (a, b) = (silent("a"), streaming("b", &ends));
    let evenkeel = start(&[&a, &b], "", "breaker = { max_requests = 2 }");
    let mut client = evenkeel.client();
    client.send("GET /slow HTTP/1.1\r\nhost: test\r\n\r\n");
    assert!(client.head().unwrap().start.contains("200"));
    assert_eq!((in_pool(&evenkeel), in_flight(&evenkeel)), (1, vec![0, 1]));
    ends.open();
    assert_eq!(client.exactly(1).unwrap(), b"b");
    assert_eq!(hedges(&evenkeel), 1.0);
    nothing_is_left(&evenkeel);
}

#[test]
fn none_is_made_beyond_max_retries() {
    let (a, b) = (slow("a"), Origin::named("b"));
    let evenkeel = start(&[&a, &b], "", "breaker = { max_retries = 0 }");
    assert_eq!(evenkeel.get("/").text(), "a");
    assert_eq!((b.count(), hedges(&evenkeel)), (0, 0.0));
    assert_eq!(evenkeel.metric("evenkeel_breaker_refused_total", &["reason=\"max_retries\""]), 1.0);
    nothing_is_left(&evenkeel);
}

#[test]
fn the_circuit_breaker_counts_the_winner_and_not_the_loser() {
    let (a, b) = (silent("a"), Origin::bytes(answer(503, "", "sick")).called("b"));
    let keys = "server_breaker = { failures = \"50%\", requests_min = 3, open_for = \"1h\" }";
    let evenkeel = start(&[&a, &b], ONE, keys);
    for _ in 0..3 {
        assert_eq!(evenkeel.get("/slow").status, 503);
    }
    assert_eq!(evenkeel.server("app", "b")["breaker"], "open");
    assert_eq!(evenkeel.server("app", "a")["breaker"], "closed");
    nothing_is_left(&evenkeel);
    assert_eq!(evenkeel.get("/").text(), "a");
}

/// Passes `/slow` on to this server when the gate opens.
fn in_front_of(server: &Origin, gate: &Gate) -> Origin {
    let (address, gate) = (server.address(), gate.clone());
    Origin::start(move |request, wire| {
        gate.wait();
        let mut server = Client::connect(address);
        server.send(format!("GET {} HTTP/1.1\r\nhost: test\r\n\r\n", request.target()));
        while let Ok(bytes) = server.some() {
            wire.send(bytes);
        }
    })
    .called(&server.name)
}

#[test]
fn an_error_that_is_kept_aside_and_thrown_away_counts_for_its_server() {
    let (answers, ends) = (Gate::default(), Gate::default());
    let server = streaming("a", &ends);
    let (a, sent) = (in_front_of(&server, &answers), Gate::default());
    let theirs = sent.clone();
    let b = Origin::start(move |_, wire| {
        wire.send(answer(503, "", "sick"));
        theirs.open();
    })
    .called("b");
    let keys = "server_breaker = { failures = \"50%\", requests_min = 1, open_for = \"1h\" }";
    let evenkeel = start_with("retry = { on = [\"503\"] }", &[&a, &b], ONE, keys);
    let raced = ask(&evenkeel, "/slow");
    sent.wait();
    // Behind the error in the worker's queue.
    assert_eq!(evenkeel.ask("GET / HTTP/1.1\r\n\r\n").status, 400);
    answers.open();
    eventually("the error is thrown away", || in_flight(&evenkeel) == [1, 0] && in_pool(&evenkeel) == 1);
    assert_eq!(evenkeel.server("app", "b")["breaker"], "open");
    assert_eq!(evenkeel.server("app", "a")["breaker"], "closed");
    ends.open();
    assert_eq!(raced.join().unwrap(), (200, "a".to_owned()));
    assert_eq!(evenkeel.metric("evenkeel_hedges_total", &["outcome=\"lost\""]), 1.0);
    nothing_is_left(&evenkeel);
}

#[test]
fn one_that_is_left_alone_holds_one_place_in_the_pool() {
    let (fails, answers) = (Gate::default(), Gate::default());
    let theirs = fails.clone();
    let a = Origin::start(move |_, wire| {
        theirs.wait();
        wire.close();
    })
    .called("a");
    let b = Origin::held("b", &answers);
    let evenkeel = start(&[&a, &b], ONE, "breaker = { max_requests = 2 }");
    let raced = ask(&evenkeel, "/slow");
    eventually("both are asked", || (in_flight(&evenkeel), in_pool(&evenkeel)) == (vec![1, 1], 2));
    fails.open();
    eventually("one goes on", || (in_flight(&evenkeel), in_pool(&evenkeel)) == (vec![0, 1], 1));
    answers.open();
    assert_eq!(raced.join().unwrap(), (200, "b".to_owned()));
    nothing_is_left(&evenkeel);
}

#[test]
fn a_client_that_leaves_during_a_race_leaves_nothing_behind() {
    let (a, b) = (silent("a"), silent("b"));
    let evenkeel = start(&[&a, &b], ONE, "breaker = { max_requests = 2, max_retries = 1 }");
    for round in 1..=2 {
        let mut client = Client::connect(evenkeel.address());
        client.send("GET /slow HTTP/1.1\r\nhost: test\r\n\r\n");
        eventually("both are asked", || (a.count(), b.count()) == (round, round));
        client.reset();
        drop(client);
        nothing_is_left(&evenkeel);
    }
    assert_eq!(hedges(&evenkeel), 2.0);
    assert_eq!(evenkeel.get("/").text(), "a");
}
