//! Each change by an operator stands in the log once: who, what, from what to what, and why.

use crate::support::{Evenkeel, Folder, Origin, pool};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn noted(evenkeel: &Evenkeel, what: &str) -> String {
    evenkeel
        .stderr
        .wait_for("a line about the change", |line| line.contains("operator: ") && line.contains(what))
}

#[test]
fn a_command_says_who_and_why() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let outcome = evenkeel.cli(&["weight", "app", "a", "5", "--why", "größere Maschine: \"16\u{a0}Kerne\""]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let line = noted(&evenkeel, "weight from 1 to 5");
    let uid = rustix::process::geteuid().as_raw();
    for part in ["INFO", "pool=app", "server=a", &format!("uid {uid}"), "größere Maschine"] {
        assert!(line.contains(part), "no {part} in {line}");
    }
    evenkeel.cli(&["log-level", "error"]);
    assert!(noted(&evenkeel, "log level: from info to error").contains("uid "));
    evenkeel.cli(&["weight", "app", "a", "6"]);
    assert!(noted(&evenkeel, "weight from 5 to 6").contains("uid "), "changes are logged at every level");
}

#[test]
fn a_purge_and_a_confirmation_have_a_reason() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let done = |arguments: &[&str]| {
        let outcome = evenkeel.cli(arguments);
        assert_eq!(outcome.code, Some(0), "{arguments:?}: {}", outcome.stderr);
    };
    done(&["purge", "--all", "--why", "wrong prices"]);
    assert!(noted(&evenkeel, "purge (hard)").contains("why=\"wrong prices\""));
    done(&["reload", "--confirm", "60", "--why", "new pool"]);
    assert!(noted(&evenkeel, "reload asked for").contains("why=\"new pool\""));
    done(&["confirm", "--why", "all is well"]);
    assert!(noted(&evenkeel, "configuration confirmed").contains("why=\"all is well\""));
}

#[test]
fn a_program_says_who_by_its_token_and_for_whom() {
    let origin = Origin::named("a");
    let folder = Folder::new();
    let token = folder.write("token", TOKEN);
    let admin = format!("[admin]\nbind = \"127.0.0.1:0\"\ntoken_file = \"{token}\"\n");
    let evenkeel = Evenkeel::start_in(folder, &(admin + &pool(&[&origin], "")));
    let put = |fields: &str, body: &str| {
        let fields = format!("authorization: Bearer {TOKEN}\r\n{fields}");
        evenkeel.admin_with("PUT", "/pools/app/servers/a", &fields, body).status
    };
    let fields = "x-evenkeel-who: deploy-bot\r\nx-evenkeel-why: release%2042%20%E2%9C%93\r\n";
    assert_eq!(put(fields, "{\"weight\":2}"), 200);
    let line = noted(&evenkeel, "weight from 1 to 2");
    assert!(line.contains("token from 127.0.0.1, for deploy-bot"), "{line}");
    assert!(line.contains("release 42 ✓"), "{line}");
    // What would forge a line, or steer a terminal, is escaped.
    assert_eq!(put("x-evenkeel-why: a%0AINFO%20forged%1B%5B31m\r\n", "{\"weight\":3}"), 200);
    let line = noted(&evenkeel, "weight from 2 to 3");
    assert!(line.contains("a\\nINFO forged\\u{1b}[31m"), "{line}");
    assert_eq!(evenkeel.stderr.count(|line| line.starts_with("INFO forged")), 0);
    assert_eq!(put("", "{\"weight\":4,\"why\":\"said in the body\"}"), 200);
    assert!(noted(&evenkeel, "weight from 3 to 4").contains("said in the body"));
    assert_eq!(put(&format!("x-evenkeel-why: {}\r\n", "a".repeat(501)), "{\"weight\":5}"), 400);
    assert_eq!(put("x-evenkeel-why: %FF\r\n", "{\"weight\":5}"), 400);
    assert_eq!(put(&format!("x-evenkeel-who: {}\r\n", "a".repeat(101)), "{\"weight\":5}"), 400);
    assert_eq!(put("", &format!("{{\"weight\":5,\"why\":\"{}\"}}", "a".repeat(501))), 400);
    assert_eq!(evenkeel.stderr.count(|line| line.contains("operator: ")), 3);
}

#[test]
fn a_reload_and_a_purge_are_noted_too() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    evenkeel.cli(&["reload", "--why", "new certificates"]);
    assert!(noted(&evenkeel, "reload").contains("new certificates"));
    evenkeel.cli(&["purge", "--all"]);
    assert!(noted(&evenkeel, "purge (hard) of everything").contains("uid "));
    evenkeel.cli(&["purge", "http://Shop.test/api/x#\nINFO forged"]);
    let line = noted(&evenkeel, "purge (hard) of url");
    assert!(line.contains("operator: purge (hard) of url http://Shop.test/api/x#\\nINFO forged"), "{line}");
    let events = evenkeel.admin("GET", "/events", "").text();
    assert!(events.contains("purge (hard) of url http://Shop.test/api/x"), "{events}");
    evenkeel.cli(&["purge", "--soft", "--prefix", &format!("http://shop.test/{}", "a".repeat(1_000))]);
    let line = noted(&evenkeel, "purge (soft) of prefix http://shop.test/aaa");
    assert!(line.contains("aaa\u{2026}") && line.len() < 500, "{line}");
    evenkeel.signal(rustix::process::Signal::HUP);
    evenkeel
        .stderr
        .wait_for("the signal in the log", |line| line.contains("operator: ") && line.contains("SIGHUP"));
}

#[test]
fn an_address_forges_no_line() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let add = |address: &str| {
        evenkeel.admin("POST", "/pools/app/servers", &format!("{{\"address\": \"{address}\"}}"))
    };
    for address in ["unix:/a\\nINFO forged", "unix:/a\\u001b[31mforged", "unix:/a\\u0085forged"] {
        let refused = add(address);
        assert_eq!(refused.status, 400);
        assert!(refused.text().contains("without control characters"), "{}", refused.text());
    }
    // What turns the direction of text is possible in a path, but escaped in the log.
    assert_eq!(add("unix:/a\\u202eb").status, 201);
    let line = noted(&evenkeel, "added at unix:/a");
    assert!(line.contains("added at unix:/a\\u{202e}b with") && !line.contains('\u{202e}'), "{line:?}");
    assert!(line.contains("server=unix:/a\\u{202e}b"), "{line:?}");
    assert_eq!(evenkeel.stderr.count(|line| line.starts_with("INFO forged")), 0);
}
