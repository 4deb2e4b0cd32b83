//! What can be used and is probably not meant so: `check` and `run` say it, and use it all the same.

use serde_json::Value;

use crate::support::{Evenkeel, Folder, cli};

/// A regex that no request comes to, since a prefix comes before it.
const SUSPICIOUS: &str = "\
[admin]
bind = \"127.0.0.1:0\"

[listener.web]
bind = [\"127.0.0.1:0\"]

[[route]]
name = \"users\"
path_regex = '/users/\\d+'
respond = { body = \"users\" }

[[route]]
name = \"rest\"
respond = { body = \"rest\" }
";

const MESSAGE: &str = "route `users` never gets a request";

#[test]
fn check_warns_of_a_regex_behind_a_prefix_and_passes() {
    let folder = Folder::new();
    let file = folder.write("suspicious.toml", SUSPICIOUS);
    let outcome = cli(&["check", "-c", &file]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    for part in [MESSAGE, "suspicious.toml:7:1", "route `rest` takes every path", ": ok ("] {
        assert!(outcome.stderr.contains(part), "{part} is missing in:\n{}", outcome.stderr);
    }
}

#[test]
fn programs_get_the_warning_as_json() {
    let folder = Folder::new();
    let file = folder.write("suspicious.toml", SUSPICIOUS);
    let outcome = cli(&["check", "--json", "-c", &file]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let findings: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(findings.as_array().map(Vec::len), Some(1), "{findings}");
    assert_eq!(findings[0]["severity"], "warning");
    assert_eq!(findings[0]["message"], MESSAGE);
    assert_eq!(findings[0]["line"], 7);
}

#[test]
fn run_warns_and_does_what_the_file_says() {
    let evenkeel = Evenkeel::start(SUSPICIOUS);
    evenkeel.stderr.wait_for("the warning", |line| line.contains(MESSAGE));
    assert_eq!(evenkeel.get("/users/7").text(), "rest");
    let turned = SUSPICIOUS.replace("name = \"rest\"", "name = \"rest\"\npath_regex = '/.*'");
    assert_eq!(evenkeel.reload(&turned).status / 100, 2);
    assert_eq!(evenkeel.get("/users/7").text(), "users");
    assert_eq!(evenkeel.get("/other").text(), "rest");
}
