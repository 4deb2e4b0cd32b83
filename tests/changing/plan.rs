//! `evenkeel plan` says what a new configuration would change, before it is in force.

use serde_json::Value;

use crate::support::{Evenkeel, Folder, Origin, cli, pool};

const OLD: &str = "\
[server]
workers = 1
[listener.web]
bind = [\"127.0.0.1:8001\", \"127.0.0.1:8002\"]
[[route]]
path = \"/api/*\"
pool = \"green\"
[pool.green]
backends = [\"10.0.0.1:3000\", { address = \"10.0.0.2:3000\", name = \"big\", weight = 3 }]
[pool.blue]
backends = [\"10.0.1.1:3000\"]
";

const NEW: &str = "\
[server]
workers = 2
[listener.web]
bind = [\"127.0.0.1:8001\", \"127.0.0.1:8003\"]
[[route]]
path = \"/api/*\"
pool = \"blue\"
[pool.green]
backends = [{ address = \"10.0.0.2:3000\", name = \"big\", weight = 5 }, \"10.0.0.3:3000\"]
[pool.blue]
backends = [\"10.0.1.1:3000\"]
";

#[test]
fn two_files_are_compared_in_words() {
    let folder = Folder::new();
    let (old, new) = (folder.write("old.toml", OLD), folder.write("new.toml", NEW));
    let outcome = cli(&["plan", &new, "-c", &old]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("the files alone are compared"), "{}", outcome.stderr);
    for line in [
        "  server.workers: 1 -> 2\n",
        "  listener web: address 127.0.0.1:8002 is closed\n",
        "  listener web: address 127.0.0.1:8003 is opened\n",
        "  route /api/*: now leads to pool blue instead of pool green\n",
        "  pool green: server 10.0.0.1:3000 is removed\n",
        "  pool green: server big: weight: 3 -> 5\n",
        "  pool green: server 10.0.0.3:3000 is added\n",
        "requires a restart: a reload leaves the old value in force\n    server.workers\n",
    ] {
        assert!(outcome.stdout.contains(line), "no {line} in\n{}", outcome.stdout);
    }
    let outcome = cli(&["plan", &new, "-c", &old, "--json"]);
    let plan: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(plan["changes"].as_array().unwrap().len(), 7);
    assert_eq!(plan["changes"][0]["key"], "server.workers");
    assert_eq!(plan["changes"][0]["effect"], "restart");
    assert_eq!(plan["traffic"], Value::Null);
    let outcome = cli(&["plan", &old, "-c", &old]);
    assert!(outcome.stdout.ends_with(": no change"), "{}", outcome.stdout);
}

#[test]
fn a_new_file_that_is_wrong_is_refused() {
    let folder = Folder::new();
    let (old, new) =
        (folder.write("old.toml", OLD), folder.write("new.toml", "[pool.green]\nbackend = [1]\n"));
    let outcome = cli(&["plan", &new, "-c", &old]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""));
    assert!(outcome.stderr.contains("backends"), "{}", outcome.stderr);
}

#[test]
fn a_running_process_is_compared_with_a_file() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    evenkeel.rewrite(&pool(&[&a, &b], ""));
    evenkeel.set_server("app", "a", "{\"weight\": 7}");
    let outcome = evenkeel.cli(&["plan", "evenkeel.toml"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let added = format!("pool app: server b ({}) is added", b.address());
    for line in [
        "evenkeel.toml against the running process: 1 change\n",
        &added,
        "weight of server a: 1 -> 7 by a command",
    ] {
        assert!(outcome.stdout.contains(line), "no {line} in\n{}", outcome.stdout);
    }
    assert_eq!(evenkeel.status()["generation"], 1, "nothing was reloaded");
}
