//! `evenkeel reload` waits for what comes of it, and says what is wrong where it is wrong.

use crate::support::{Evenkeel, Origin, pool};

#[test]
fn a_reload_is_waited_for() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    assert_eq!(evenkeel.get("/").text(), "a");
    evenkeel.rewrite(&pool(&[&b], ""));
    let outcome = evenkeel.cli(&["reload"]);
    assert_eq!((outcome.code, outcome.stdout.trim_end()), (Some(0), "reloaded: generation 2 is in force"));
    assert_eq!(evenkeel.get("/").text(), "b");
}

#[test]
fn a_reload_that_is_refused_shows_the_fault_with_its_caret() {
    let a = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    evenkeel.rewrite(&pool(&[&a], "algorithm = \"round-robbin\""));
    let outcome = evenkeel.cli(&["reload"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""));
    for part in ["evenkeel.toml", "error: `round-robbin` is no `algorithm`", "───┬───", "did you mean"]
    {
        assert!(outcome.stderr.contains(part), "no {part} in\n{}", outcome.stderr);
    }
    assert_eq!(outcome.stderr.matches("error: ").count(), 1, "{}", outcome.stderr);
    assert!(outcome.stderr.ends_with("\nnothing changed: generation 1 stays in force"), "{}", outcome.stderr);
    let logged = evenkeel.stderr.wait_for("the log", |line| line.contains("not reloaded"));
    assert!(logged.contains("the old one stays: `round-robbin` is no"), "{logged}");
    assert!(!outcome.stderr.contains('\u{1b}'), "{:?}", outcome.stderr);
    assert_eq!(evenkeel.get("/").text(), "a");
    // The file is broken, and the process is found all the same.
    assert_eq!(evenkeel.cli(&["status", "-c", &evenkeel.config()]).code, Some(0));
}

#[test]
fn what_a_reload_warns_of_is_shown() {
    let a = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    evenkeel.rewrite(&format!("[server]\nworkers = 2\n{}", pool(&[&a], "")));
    let outcome = evenkeel.cli(&["reload"]);
    assert_eq!(outcome.code, Some(0));
    assert!(
        outcome.stderr.contains("changing [server.workers] requires a restart or an upgrade"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn the_log_level_can_be_changed_while_the_process_runs() {
    let a = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    let level = || evenkeel.admin("GET", "/log-level", "").text();
    assert_eq!(level(), "{\"level\":\"info\"}");
    let outcome = evenkeel.cli(&["log-level", "error"]);
    assert_eq!((outcome.code, outcome.stdout.trim_end()), (Some(0), "the log holds error and above"));
    let reload = || assert_eq!(evenkeel.cli(&["reload"]).code, Some(0));
    let is_about_it = |line: &str| line.contains("configuration reloaded");
    reload();
    evenkeel.cli(&["log-level", "info"]);
    evenkeel.stderr.wait_for("the change of the level", |line| line.contains("from error to info"));
    assert!(
        !evenkeel.stderr.lines().iter().any(|line| is_about_it(line)),
        "nothing below an error is logged"
    );
    reload();
    evenkeel.stderr.wait_for("a message of the level info", is_about_it);
    let outcome = evenkeel.cli(&["log-level", "loud"]);
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.stderr.contains("error, warn, info, debug, trace]"), "{}", outcome.stderr);
    let outcome = evenkeel.admin("PUT", "/log-level", "{\"level\":\"loud\"}").text();
    assert!(outcome.contains("one of error, warn, info, debug, trace"), "{outcome}");
}
