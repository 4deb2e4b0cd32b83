//! What a process says of its state: `status`, `top` and `/live` show one list of problems.

use serde_json::Value;

use crate::support::live::Watcher;
use crate::support::{Evenkeel, Origin, answer, eventually, ok, pool};

/// What a command prints.
fn said(evenkeel: &Evenkeel, arguments: &[&str]) -> String {
    let outcome = evenkeel.cli(arguments);
    assert_eq!(outcome.code, Some(0), "{arguments:?}: {}", outcome.stderr);
    outcome.stdout
}

/// Kind and severity of each.
fn problems(of: &Value) -> Vec<(&str, &str)> {
    let problems = of["problems"].as_array().expect("a list of problems");
    problems.iter().map(|it| (it["kind"].as_str().unwrap(), it["severity"].as_str().unwrap())).collect()
}

#[test]
fn a_refused_reload_and_errors_are_in_the_one_list_that_all_show() {
    let origin =
        Origin::answering(|request| if request.target() == "/bad" { answer(500, "", "") } else { ok("") });
    let good = pool(&[&origin], "");
    let evenkeel = Evenkeel::start(&good);
    assert!(said(&evenkeel, &["status"]).contains("\nno problem\n"));
    let mut client = evenkeel.client();
    (0..20).for_each(|number| assert!(client.get(if number == 0 { "/bad" } else { "/" }).status > 0));
    assert_eq!(evenkeel.reload("nonsense").status, 422);
    eventually("errors are a problem", || said(&evenkeel, &["status"]).contains(": 1 of 20 in the last"));
    let text = said(&evenkeel, &["status"]);
    for line in [
        "\nproblems\n  critical  5.0 % of the requests of pool app fail: 1 of 20 in the last 10 s, for ",
        "\n  warning   the configuration was not reloaded, the old one stays: ",
    ] {
        assert!(text.contains(line), "no {line} in\n{text}");
    }
    let tick = Watcher::open(evenkeel.admin_address()).find("tick", |_| true);
    for shown in [&evenkeel.status(), &tick] {
        assert_eq!(problems(shown), [("errors", "critical"), ("reload", "warning")]);
    }
    assert_eq!(tick["status"]["problems"], Value::Null, "they are sent once");
    // What was mended is none from that moment on.
    assert_eq!(evenkeel.reload(&good).status, 200);
    assert!(!said(&evenkeel, &["status"]).contains("the configuration was not reloaded"));
}

#[test]
fn a_drained_or_disabled_server_is_no_problem_and_stays_visible() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool(&[&a, &b], ""));
    for (state, word) in [("drain", "draining"), ("disable", "disabled")] {
        evenkeel.set_server("app", "a", &format!("{{\"state\": \"{state}\"}}"));
        let text = said(&evenkeel, &["status"]);
        assert!(text.contains("\nno problem\n") && text.contains(word), "{text}");
    }
    evenkeel.set_server("app", "b", "{\"state\": \"drain\"}");
    let text = said(&evenkeel, &["status"]);
    assert!(text.contains("problems\n  critical  pool app has no usable server, for 0 s\n"), "{text}");
}

#[test]
fn a_server_of_weight_0_that_is_down_is_no_problem_unless_clients_are_sticky_to_it() {
    let (a, gone) = (Origin::named("a"), Origin::refusing("gone"));
    let health = "health = { kind = \"tcp\", interval = \"50ms\", timeout = \"1s\", fall = 1 }";
    let evenkeel = Evenkeel::start(&pool(&[&a, &gone], health));
    evenkeel.wait_for_state("gone", "down");
    let shown = || said(&evenkeel, &["status"]);
    assert!(shown().contains("server gone of pool app is down"), "{}", shown());
    evenkeel.set_server("app", "gone", "{\"weight\": 0}");
    assert!(shown().contains("\nno problem\n"), "{}", shown());
    let sticky = pool(&[&a, &gone], &format!("{health}\nsticky = {{ header = \"x-session\" }}"));
    assert_eq!(evenkeel.reload(&sticky).status, 200);
    eventually("it is a problem", || shown().contains("server gone of pool app is down"));
}
