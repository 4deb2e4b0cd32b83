//! Exit codes: 0 done, 1 the configuration or the request is wrong, 2 the command line is wrong.

use std::net::TcpListener;
use std::process::Command;

use crate::support::{Evenkeel, Folder, cli};

const GOOD: &str =
    "[admin]\nbind = \"off\"\n[listener.web]\nbind = [\"127.0.0.1:0\"]\n[[route]]\nrespond = {}\n";

#[test]
fn each_outcome_has_its_code() {
    let folder = Folder::new();
    let good = folder.write("good.toml", GOOD);
    let bad = folder.write("bad.toml", "[listener.web]\nbnd = [\"127.0.0.1:0\"]\n");
    let cases: [(i32, &[&str]); 24] = [
        (0, &["--version"]),
        (0, &["--help"]),
        (0, &["check", "-c", &good]),
        (0, &["show", "-c", &good]),
        (0, &["schema"]),
        (1, &["check", "-c", &bad]),
        (1, &["show", "-c", &bad]),
        (1, &["run", "-c", &bad]),
        (1, &["check", "-c", "/nonexistent/evenkeel.toml"]),
        (1, &["run", "-c", "/nonexistent/evenkeel.toml"]),
        (2, &["run"]),
        (2, &["run", "--listen", "99999", "--backend", "3000"]),
        (2, &["run", "--backend", "foo"]),
        (2, &["run", "--backend", "3000", "--admin", "0.0.0.0:9900"]),
        (2, &["run", "-c", &good, "--admin", "9901"]),
        (2, &["log-level", "foo"]),
        (2, &["purge", "foo"]),
        (2, &["purge", "--prefix", "foo"]),
        (2, &["explain", "-c", &good, "GET", "/", "-H", "bad"]),
        (2, &["drain", "app", "a", "--timeout", "5x"]),
        (2, &["upgrade", "--timeout", "0"]),
        (2, &["run", "--no-such-option"]),
        (2, &["no-such-command"]),
        (2, &["explain", "-c", &good]),
    ];
    for (code, arguments) in cases {
        let outcome = cli(arguments);
        assert_eq!(outcome.code, Some(code), "{arguments:?}: {}{}", outcome.stdout, outcome.stderr);
        if code != 0 {
            assert!(!outcome.stderr.is_empty() || !outcome.stdout.is_empty(), "{arguments:?} says nothing");
        }
    }
}

#[test]
fn an_option_that_is_given_twice_is_an_error_that_says_what_is_wanted() {
    for (arguments, expected) in [
        (
            &["run", "-c", "a.toml", "-c", "b.toml"][..],
            "error: `--config <FILE>` is given more than once: name one file. Files are not combined",
        ),
        (
            &["check", "--config", "a", "-c", "b"],
            "error: `--config <FILE>` is given more than once: name one file",
        ),
        (
            &["status", "--admin", "1", "--admin", "2"],
            "error: `--admin <ADDRESS>` is given more than once: give it once",
        ),
        (&["status", "--json", "--json"], "error: `--json` is given more than once: give it once"),
        (&["run", "-c", "a", "--backend", "1"], "error: the argument '--config <FILE>' cannot be used with"),
    ] {
        let outcome = cli(arguments);
        assert_eq!(outcome.code, Some(2), "{arguments:?}");
        assert!(outcome.stderr.starts_with(expected), "{arguments:?}: {}", outcome.stderr);
    }
}

#[test]
fn a_port_in_use_is_a_clear_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = Folder::new();
    let file = folder.write("evenkeel.toml", &GOOD.replace("127.0.0.1:0", &address));
    let outcome = cli(&["run", "-c", &file]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert!(outcome.stderr.contains(&address) && outcome.stderr.contains("already"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
}

#[test]
fn a_port_of_the_admin_api_in_use_is_an_error_only_when_it_was_asked_for() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = Folder::new();
    let file = folder.write("evenkeel.toml", &GOOD.replace("\"off\"", &format!("\"{address}\"")));
    let outcome = cli(&["run", "-c", &file]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert!(outcome.stderr.contains(&address), "{}", outcome.stderr);
}

#[test]
fn wrong_addresses_on_the_command_line_are_explained() {
    for arguments in [["--listen", "nowhere:80"], ["--listen", "127.0.0.1:99999"]] {
        let outcome = cli(&["run", arguments[0], arguments[1], "--backend", "127.0.0.1:1"]);
        assert!(outcome.code == Some(2), "{:?}", outcome.code);
        assert!(outcome.stderr.contains("99999") || outcome.stderr.contains("nowhere"), "{}", outcome.stderr);
    }
}

/// A process that is ended after a while, if it does not end by itself.
fn run_with_log(level: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["60", env!("CARGO_BIN_EXE_evenkeel"), "run", "-c"]).env("EVENKEEL_LOG", level);
    command
}

#[test]
fn a_log_level_that_is_none_ends_the_start() {
    let folder = Folder::new();
    let file = folder.write("evenkeel.toml", GOOD);
    for level in ["warning", "foo", "evenkeel=debug"] {
        let outcome = run_with_log(level).arg(&file).output().unwrap();
        assert_eq!(outcome.status.code(), Some(1), "{level}");
        let expected = format!("error: EVENKEEL_LOG={level} is none of error, warn, info, debug, trace\n");
        assert_eq!(String::from_utf8(outcome.stderr).unwrap(), expected);
    }
}

#[test]
fn an_empty_log_level_is_none_at_all() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    command.args(["run", "-c"]).env("EVENKEEL_LOG", "");
    let evenkeel = Evenkeel::start_by(command, Folder::new(), "[[route]]\nrespond = {}\n");
    assert_eq!(evenkeel.admin("GET", "/log-level", "").text(), "{\"level\":\"info\"}");
}
