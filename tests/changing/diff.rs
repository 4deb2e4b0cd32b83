//! `evenkeel diff` shows what commands have changed, and what the file says that is not in force.

use serde_json::Value;

use crate::support::{Evenkeel, Origin, pool};

#[test]
fn runtime_and_file_are_both_shown() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    let outcome = evenkeel.cli(&["diff", "--exit-code"]);
    assert_eq!(outcome.code, Some(0), "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains("says what is in force (generation 1)"), "{}", outcome.stdout);
    evenkeel.set_server("app", "a", "{\"weight\": 5, \"state\": \"drain\"}");
    evenkeel.rewrite(&pool(&[&a, &b], ""));
    let outcome = evenkeel.cli(&["diff", "--exit-code"]);
    assert_eq!(outcome.code, Some(1));
    for line in [
        "  pool app: weight of server a: 1 -> 5 by a command\n",
        "  pool app: server a is draining by a command\n",
        "against what is in force (generation 1): 1 change\n",
    ] {
        assert!(outcome.stdout.contains(line), "no {line} in\n{}", outcome.stdout);
    }
    let outcome = evenkeel.cli(&["diff", "--json"]);
    let shown: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(shown["runtime"].as_array().unwrap().len(), 2);
    assert_eq!(shown["file"][0]["kind"], "server");
    assert_eq!(shown["source"], evenkeel.config());
    evenkeel.rewrite("nonsense");
    let outcome = evenkeel.cli(&["diff"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("a reload would fail"), "{}", outcome.stderr);
}

#[test]
fn the_api_says_what_the_file_says_by_now() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    let found = || serde_json::from_str::<Value>(&evenkeel.admin("GET", "/config", "").text()).unwrap();
    assert_eq!(found()["file"], serde_json::json!({ "changes": [] }));
    evenkeel.set_server("app", "a", "{\"weight\": 5}");
    assert_eq!(found()["file"], serde_json::json!({ "changes": [] }), "a command does not change the file");
    evenkeel.rewrite(&pool(&[&a, &b], ""));
    let changes = found()["file"]["changes"].clone();
    let said = evenkeel.cli(&["diff"]).stdout;
    assert_eq!(changes.as_array().map(Vec::len), Some(1), "{changes}");
    assert!(said.contains(changes[0].as_str().unwrap()), "{changes} is not in\n{said}");
    evenkeel.rewrite("[listener.web]\nbnd = 80\n[pool.app]\nbakends = []\n");
    let file = found()["file"].clone();
    assert_eq!(file["changes"], serde_json::json!([]));
    let fault = file["fault"].as_str().unwrap();
    assert!(
        fault.starts_with("line ") && fault.contains("no `bind`") && fault.contains("more fault"),
        "{fault}"
    );
    std::fs::remove_file(evenkeel.config()).unwrap();
    let file = found()["file"].clone();
    assert!(file["fault"].as_str().unwrap().contains("cannot read"), "{file}");
}

#[test]
fn a_process_without_a_file_has_only_runtime_changes() {
    let a = Origin::named("a");
    let server = a.address().to_string();
    let folder = crate::support::Folder::new();
    let evenkeel = Evenkeel::run(folder, &["run", "--listen", "127.0.0.1:0", "--backend", &server]);
    let found: Value = serde_json::from_str(&evenkeel.admin("GET", "/config", "").text()).unwrap();
    assert_eq!(found.get("file"), None);
    let outcome = evenkeel.cli(&["diff"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("there is no configuration file"), "{}", outcome.stdout);
}

#[test]
fn what_waits_for_a_restart_stays_a_difference_after_the_reload() {
    let a = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    let new = format!("[server]\nworkers = 3\n{}", pool(&[&a], "algorithm = \"random\""));
    assert_eq!(evenkeel.reload(&new).status, 200);
    for command in [&["diff", "--exit-code"][..], &["plan", "evenkeel.toml"]] {
        let text = evenkeel.cli(command).stdout;
        for line in [
            ": 1 change\n  server.workers: ",
            "takes effect at a restart or upgrade: a reload leaves the old value in force\n    server.workers",
        ] {
            assert!(text.contains(line), "no {line} in\n{text}");
        }
    }
    assert_eq!(evenkeel.cli(&["diff", "--exit-code"]).code, Some(1));
    // A second reload leaves it as it was, too, and says so.
    let again = evenkeel.cli(&["reload"]);
    assert!(
        again.stderr.contains("changing [server.workers] requires a restart or an upgrade"),
        "{}",
        again.stderr
    );
    assert_eq!(evenkeel.reload(&pool(&[&a], "algorithm = \"random\"")).status, 200);
    assert_eq!(evenkeel.cli(&["diff", "--exit-code"]).code, Some(0));
}
