//! Who asks for an upgrade, and why, stands in the log and among the events, those of the new process too.

use serde_json::Value;

use super::setting::{Chain, ask};
use crate::support::{Origin, pool};

/// What the process that serves says of who and why in its newest event of a kind.
fn newest(chain: &Chain, kind: &str) -> Value {
    let events = chain.admin("GET", &format!("/events?kind={kind}&limit=1"), "");
    serde_json::from_slice::<Value>(&events.body.bytes).unwrap()["events"][0].take()
}

fn noted(chain: &Chain, what: &str) -> String {
    chain.stderr.wait_for("the upgrade in the log", |line| {
        line.contains("operator: upgrade asked for") && line.contains(what)
    })
}

#[test]
fn the_command_says_who_and_why() {
    let origin = Origin::named("a");
    let mut chain = Chain::start(&pool(&[&origin], ""));
    let before = chain.pid();
    let outcome = chain.cli(&["upgrade", "--json", "--why", "größer: \"2.0\""]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let answer: Value = serde_json::from_str(&outcome.stdout).unwrap();
    chain.note(answer["pid"].as_u64().unwrap() as u32);
    let uid = format!("uid {}", rustix::process::geteuid().as_raw());
    let line = noted(&chain, "größer");
    for part in ["INFO", &uid, "2.0"] {
        assert!(line.contains(part), "no {part} in {line}");
    }
    let event = newest(&chain, "upgrade");
    assert_eq!(event["what"], format!("this process has taken over from process {before}"));
    assert_eq!(event["why"], "größer: \"2.0\"");
    assert!(event["who"].as_str().unwrap().starts_with(&uid), "{event}");
}

#[test]
fn a_request_says_for_whom_and_why_also_if_it_fails() {
    let origin = Origin::named("a");
    let chain = Chain::start(&pool(&[&origin], ""));
    let ask =
        |fields: &str, body: &str| ask(&chain.socket(), fields, body)["HTTP/1.1 ".len()..][..3].to_owned();
    let fields = "x-evenkeel-who: deploy-bot\r\nx-evenkeel-why: release%2042\r\n";
    assert_eq!(ask(fields, "{\"binary\":\"/bin/false\"}"), "422");
    let line = noted(&chain, "release 42");
    assert!(
        line.contains("/bin/false") && line.contains("uid ") && line.contains(", for deploy-bot"),
        "{line}"
    );
    for kind in ["operator", "upgrade"] {
        let event = newest(&chain, kind);
        assert!(event["who"].as_str().unwrap().ends_with(", for deploy-bot"), "{event}");
        assert_eq!(event["why"], "release 42", "{event}");
    }
    assert_eq!(newest(&chain, "operator")["what"], "upgrade asked for, to \"/bin/false\"");
    assert!(newest(&chain, "upgrade")["what"].as_str().unwrap().starts_with("not upgraded"));
    assert_eq!(ask("", "{\"binary\":\"/bin/false\",\"why\":\"said in the body\"}"), "422");
    assert!(noted(&chain, "said in the body").contains("/bin/false"));
    assert_eq!(ask("", &format!("{{\"why\":\"{}\"}}", "a".repeat(501))), "400");
    assert_eq!(ask("x-evenkeel-why: %FF\r\n", "{}"), "400");
    assert_eq!(
        chain.stderr.count(|line| line.contains("operator: ")),
        2,
        "what is refused is not carried out"
    );
}
