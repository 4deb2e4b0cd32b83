//! Errors by kind, and what is wrong with the command line.

use super::run::{number, run, url};
use crate::support::{Folder, Gate, Origin, Port, answer, cli};

/// How many errors of a kind there are, of how many requests.
fn errors(arguments: &[&str], kind: &str) -> (i32, f64, f64) {
    let run = run(arguments);
    let of_kind = number(&run.json, &format!("/totals/errors_by_kind/{kind}"));
    assert_eq!(number(&run.json, "/totals/errors"), of_kind, "{}", run.json);
    (run.code, of_kind, number(&run.json, "/totals/requests"))
}

#[test]
fn a_refused_connection_is_an_error_of_its_kind_and_without_any_response_the_run_fails() {
    let port = Port::reserve();
    let target = format!("http://{}/", port.address());
    assert_eq!(errors(&[&target, "-n", "4", "-c", "2", "-t", "1"], "connect"), (1, 4.0, 4.0));
    let outcome = cli(&["bench", &target, "-n", "4", "-c", "2"]);
    assert!(outcome.stdout.contains("connect 4"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("first connect Connection refused"), "{}", outcome.stdout);
    assert!(outcome.stderr.contains("no request got a response"), "{}", outcome.stderr);
}

#[test]
fn a_response_that_does_not_come_is_a_timeout() {
    let gate = Gate::default();
    let held = gate.clone();
    let origin = Origin::start(move |request, wire| {
        if request.target() == "/held" {
            held.wait();
        }
        wire.send(crate::support::ok("a"));
    });
    let run = errors(&[&url(&origin, "/held"), "-n", "2", "-c", "2", "--timeout", "200ms"], "timeout");
    assert_eq!(run, (1, 2.0, 2.0));
    gate.open();
}

#[test]
fn a_connection_that_ends_before_the_response_does_is_a_reset() {
    let half = Origin::bytes_then_close("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
    assert_eq!(errors(&[&url(&half, "/"), "-n", "4", "-c", "2"], "reset"), (1, 4.0, 4.0));
    let cut = Origin::start(|_, wire| wire.reset());
    assert_eq!(errors(&[&url(&cut, "/"), "-n", "4", "-c", "2"], "reset"), (1, 4.0, 4.0));
}

#[test]
fn a_malformed_response_is_an_error_of_the_protocol() {
    let origin = Origin::bytes_then_close("SSH-2.0-x\r\n\r\n");
    assert_eq!(errors(&[&url(&origin, "/"), "-n", "4", "-c", "2"], "protocol"), (1, 4.0, 4.0));
}

#[test]
fn statuses_count_as_errors_by_class_and_keep_the_connection() {
    let origin = Origin::answering(|request| match request.target() {
        "/404" => answer(404, "", "no"),
        _ => answer(503, "", "no"),
    });
    assert_eq!(errors(&[&url(&origin, "/404"), "-n", "4", "-c", "1"], "status_4xx"), (0, 4.0, 4.0));
    assert_eq!(errors(&[&url(&origin, "/"), "-n", "4", "-c", "1"], "status_5xx"), (0, 4.0, 4.0));
    assert_eq!(origin.connections(), 2);
    let outcome = cli(&["bench", &url(&origin, "/"), "-n", "4", "-c", "1"]);
    assert!(outcome.stdout.contains("errors       4, 100.000 %: status 503 4"), "{}", outcome.stdout);
}

#[test]
fn an_idle_connection_that_the_server_closes_is_no_error() {
    let origin = Origin::bytes_then_close("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na");
    let run = run(&[&url(&origin, "/"), "-R", "20", "-n", "10", "-c", "1", "-t", "1"]);
    assert_eq!(number(&run.json, "/totals/errors"), 0.0, "{}", run.json);
    assert_eq!(number(&run.json, "/totals/requests"), 10.0, "{}", run.json);
    assert_eq!(origin.connections(), 10);
}

#[test]
fn a_wrong_command_line_ends_with_2_and_says_what_is_wrong() {
    let cases: [(&[&str], &str); 17] = [
        (&["ftp://a/"], "has the scheme `ftp`"),
        (&["http://a/", "-R", "0"], "write a rate from"),
        (&["http://a/", "-R", "x"], "write requests a second"),
        (&["http://a/", "--ramp", "5"], "write two rates"),
        (&["http://a/", "--ramp", "0..0"], "one of the rates"),
        (&["http://a/", "--ramp", "1..2", "-R", "5"], "cannot be used with"),
        (&["http://a/", "--ramp", "1..2", "-n", "5"], "needs a --duration"),
        (&["http://a/", "--late-max", "5s"], "for open loops"),
        (&["http://a/", "--insecure"], "https:// alone"),
        (&["http://a/x", "--scenario", "x.toml"], "leave `/x` out of the URL"),
        (&["http://a/", "-d", "5x"], "write a time"),
        (&["http://a/", "-c", "0"], "0 is not in"),
        (&["http://a/", "-c", "2", "-t", "4"], "4 threads cannot share 2 connections"),
        (&["http://a/", "-H", "bad"], "Name: value"),
        (&["http://a/", "-p", "4"], "--http2"),
        (&["http://a/", "--scenario", "x.toml", "-m", "POST"], "cannot be used with"),
        (&["http://a/", "--split-by", "a b"], "invalid"),
    ];
    for (arguments, expected) in cases {
        let outcome = cli(&[&["bench"], arguments].concat());
        assert_eq!(outcome.code, Some(2), "{arguments:?}: {}{}", outcome.stdout, outcome.stderr);
        assert!(outcome.stderr.contains(expected), "{arguments:?}: {}", outcome.stderr);
    }
}

#[test]
fn what_the_run_needs_and_is_not_there_ends_with_1() {
    for (arguments, expected) in [
        (&["http://no-such-host.invalid/"][..], "cannot resolve `no-such-host.invalid`"),
        (&["http://127.0.0.1:1/", "--target-pid", "4000000"], "cannot read the CPU time of process 4000000"),
        (&["https://127.0.0.1:1/", "--ca", "/no/such"], "cannot read /no/such"),
        (&["http://127.0.0.1:1/", "-D", "/no/such"], "cannot read /no/such"),
        (&["http://127.0.0.1:1/", "--scenario", "/no/such"], "cannot read /no/such"),
    ] {
        let outcome = cli(&[&["bench"], arguments].concat());
        assert_eq!(outcome.code, Some(1), "{arguments:?}: {}{}", outcome.stdout, outcome.stderr);
        assert!(outcome.stderr.contains(expected), "{arguments:?}: {}", outcome.stderr);
    }
}

#[test]
fn a_file_that_cannot_be_written_is_found_before_the_run() {
    let (origin, folder) = (Origin::named("a"), Folder::new());
    for option in ["--json", "--plot"] {
        let outcome = cli(&["bench", &url(&origin, "/"), "-n", "1", option, &folder.path("no/such")]);
        assert_eq!(outcome.code, Some(1));
        assert!(outcome.stderr.contains("cannot write"), "{}", outcome.stderr);
    }
    assert_eq!(origin.count(), 0);
}
