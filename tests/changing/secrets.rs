//! Secrets of the configuration are not shown by the API or by commands; a change of one is, and `save` keeps it in the file.

use std::fs;

use crate::support::{Evenkeel, Origin};

fn text(app: &Origin, secret: &str) -> String {
    format!(
        "[server]\nworkers = 1\n[admin]\nbind = \"127.0.0.1:0\"\n[listener.web]\nbind = \"127.0.0.1:0\"\n\
         [[route]]\nname = \"api\"\npool = \"app\"\n\
         request_headers = {{ set = {{ authorization = \"Bearer {secret}\" }} }}\n\
         [pool.app]\nbackends = [{{ address = \"{}\", name = \"a\" }}]\n\
         health = {{ headers = {{ authorization = \"Basic {secret}\" }} }}\n",
        app.address()
    )
}

#[test]
fn secrets_are_redacted_wherever_the_configuration_is_shown() {
    let app = Origin::named("a");
    let evenkeel = Evenkeel::start(&text(&app, "hunter2"));
    let shown = |what: &str| {
        let (diff, plan) = (evenkeel.cli(&["diff"]), evenkeel.cli(&["plan", "evenkeel.toml"]));
        let json = evenkeel.cli(&["plan", "evenkeel.toml", "--json"]);
        let page = evenkeel.admin("GET", "/config", "").text();
        for (name, text) in [
            ("diff", &diff.stdout),
            ("plan", &plan.stdout),
            ("plan --json", &json.stdout),
            ("/config", &page),
        ] {
            assert!(!text.contains("hunter"), "{what}: {name} shows a secret:\n{text}");
        }
        (diff.stdout, plan.stdout, page)
    };
    let (diff, plan, page) = shown("before a change");
    assert!(diff.contains("says what is in force"), "{diff}");
    assert!(plan.contains("no change"), "{plan}");
    assert_eq!(page.matches("(redacted)-").count(), 2, "{page}");
    evenkeel.rewrite(&text(&app, "hunter3"));
    let (diff, plan, page) = shown("after a change");
    for text in [&diff, &plan, &page] {
        for change in [
            "route api: request_headers.set.authorization: (redacted)-",
            "pool app: health.headers.authorization: (redacted)-",
        ] {
            assert!(text.contains(change), "no {change} in\n{text}");
        }
    }
}

#[test]
fn a_save_keeps_the_secrets_of_the_file() {
    let app = Origin::named("a");
    let before = text(&app, "hunter2");
    let evenkeel = Evenkeel::start(&before);
    evenkeel.set_server("app", "a", "{\"weight\": 5}");
    let outcome = evenkeel.cli(&["save"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let after = fs::read_to_string(evenkeel.config()).unwrap();
    assert_eq!(after, before.replace("name = \"a\" }", "name = \"a\", weight = 5 }"));
    assert!(!outcome.stdout.contains("hunter"), "{}", outcome.stdout);
}
