//! Open and closed loops: the rate, the number of requests, and what a stall of the server does to latencies.

use std::collections::HashSet;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::run::{number, run, url};
use crate::support::{Gate, Origin, cli, eventually, ms, ok};

#[test]
fn an_open_loop_starts_as_many_requests_as_the_rate_says() {
    let origin = Origin::named("a");
    let run = run(&[&url(&origin, "/x"), "-R", "100", "-d", "2s", "-c", "4", "-t", "2"]);
    assert_ne!(run.code, 1, "{}", run.json);
    assert_eq!(number(&run.json, "/totals/requests") + number(&run.json, "/never_started"), 200.0);
    assert_eq!(number(&run.json, "/duration_s"), 2.0);
    assert_eq!(run.json["options"]["loop"], "open");
    assert_eq!(run.json["latency_from"], "intended start");
    assert!(origin.requests().iter().all(|request| request.method() == "GET" && request.target() == "/x"));
}

#[test]
fn a_closed_loop_sends_the_next_request_when_the_response_is_there() {
    let origin = Origin::named("a");
    let run = run(&[&url(&origin, "/"), "-n", "60", "-c", "3", "-t", "1"]);
    assert_eq!(run.code, 0, "{}", run.json);
    assert_eq!(number(&run.json, "/totals/requests"), 60.0);
    assert_eq!(number(&run.json, "/connections_opened"), 3.0);
    assert_eq!(run.json["options"]["loop"], "closed");
    assert_eq!(run.json["latency_from"], "start");
    assert_eq!((origin.count(), origin.connections()), (60, 3));
}

#[test]
fn a_stall_shows_in_the_percentiles_of_an_open_loop() {
    // One connection: while the server stalls for 300 ms, 60 of the 400 requests have their intended starts.
    let count = AtomicUsize::new(0);
    let origin = Origin::start(move |_, wire| {
        if count.fetch_add(1, Ordering::SeqCst) == 100 {
            thread::sleep(ms(300));
        }
        wire.send(ok("a"));
    });
    let run = run(&[&url(&origin, "/"), "-R", "200", "-d", "2s", "-c", "1", "-t", "1"]);
    assert_ne!(run.code, 1, "{}", run.json);
    let p90 = number(&run.json, "/totals/latency_ms/p90");
    assert!(p90 >= 90.0, "p90 is {p90} ms: {}", run.json);
    assert!(number(&run.json, "/totals/latency_ms/max") >= 299.0);
    assert!(number(&run.json, "/waited_for_connection") >= 59.0, "{}", run.json);
    let from_send = number(&run.json, "/latency_from_send_ms/p90");
    assert!(from_send < p90, "{from_send} ms from send, {p90} ms from the intended start");
}

#[test]
fn a_ramp_has_the_mean_of_its_rates() {
    let origin = Origin::named("a");
    let run = run(&[&url(&origin, "/"), "--ramp", "20..180", "-d", "2s", "-c", "4", "-t", "1"]);
    assert_ne!(run.code, 1, "{}", run.json);
    assert_eq!(number(&run.json, "/totals/requests") + number(&run.json, "/never_started"), 200.0);
    assert_eq!(number(&run.json, "/options/rate/to"), 180.0);
}

#[test]
fn the_warm_up_is_sent_and_not_counted() {
    let origin = Origin::named("a");
    let run = run(&[&url(&origin, "/"), "-R", "50", "--warmup", "1s", "-d", "1s", "-c", "4", "-t", "1"]);
    let counted = number(&run.json, "/totals/requests");
    assert_eq!(counted + number(&run.json, "/never_started"), 50.0);
    assert_eq!(origin.count(), 50 + counted as usize);
    assert_eq!(number(&run.json, "/duration_s"), 1.0);
}

#[test]
fn without_keep_alive_each_request_has_a_connection() {
    let origin = Origin::named("a");
    let run = run(&[&url(&origin, "/"), "-n", "12", "-c", "2", "-t", "1", "--disable-keepalive"]);
    assert_eq!(number(&run.json, "/connections_opened"), 12.0);
    let connections: HashSet<usize> = origin.requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections.len(), 12);
}

#[test]
fn an_interrupted_run_prints_what_there_is() {
    let gate = Gate::default();
    let held = gate.clone();
    let count = AtomicUsize::new(0);
    let origin = Origin::start(move |_, wire| {
        // The last one is still under way at the interrupt.
        if count.fetch_add(1, Ordering::SeqCst) == 20 {
            held.wait();
        }
        wire.send(ok("a"));
    });
    thread::scope(|scope| {
        let running = scope.spawn(|| run(&[&url(&origin, "/"), "-d", "1h", "-c", "1", "-t", "1"]));
        eventually("the last request is there", || origin.count() == 21);
        let pattern = format!("bench .*{}", url(&origin, "/"));
        let found = Command::new("pgrep").args(["-f", &pattern]).output().unwrap();
        let pid = String::from_utf8(found.stdout).unwrap();
        let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let run = running.join().unwrap();
        assert_eq!(run.code, 0, "{}", run.json);
        assert_eq!(run.json["interrupted"], true);
        assert_eq!(number(&run.json, "/totals/requests"), 20.0);
    });
    gate.open();
}

#[test]
fn a_terminal_shows_how_it_goes() {
    let origin = Origin::named("a");
    let binary = env!("CARGO_BIN_EXE_evenkeel");
    let command = format!("{binary} bench {} -R 50 -d 1500ms -c 2 -t 1 --late-max 10s", url(&origin, "/"));
    let shown =
        Command::new("script").args(["-q", "-c", &command, "/dev/null"]).stdin(Stdio::null()).output();
    let shown = String::from_utf8_lossy(&shown.unwrap().stdout).into_owned();
    let line =
        shown.split('\r').find(|line| line.contains(" requests, ")).unwrap_or_else(|| panic!("{shown}"));
    assert!(line.contains(" of 2 s: ") && line.contains("/s, 0 errors"), "{line}");
}

#[test]
fn a_server_that_does_not_keep_up_is_named_as_that() {
    let origin = Origin::start(|_, wire| {
        thread::sleep(ms(50));
        wire.send(ok("a"));
    });
    let target = url(&origin, "/");
    let outcome =
        cli(&["bench", &target, "-R", "200", "-d", "1s", "-c", "1", "-t", "1", "--late-max", "10s"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("NOTE: the rate was not held: "), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("never started, because no connection was free"), "{}", outcome.stdout);
}
