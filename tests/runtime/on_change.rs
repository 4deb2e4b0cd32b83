//! `reload_on_change`: the process follows its configuration file by itself.

use crate::support::{Evenkeel, Origin, eventually, pool};

fn following(origin: &Origin, keys: &str) -> String {
    format!("[server]\nworkers = 1\nreload_on_change = true\n{}", pool(&[origin], keys))
}

fn reloads(evenkeel: &Evenkeel) -> usize {
    evenkeel.stderr.count(|line| line.contains("operator: reload") && line.contains("reload_on_change"))
}

#[test]
fn a_change_of_the_content_is_in_force_soon_and_once() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&following(&a, ""));
    // The same content in a new file is no change.
    evenkeel.rewrite(&following(&a, ""));
    assert_eq!(evenkeel.get("/").text(), "a");
    evenkeel.rewrite(&following(&b, ""));
    eventually("b is asked", || evenkeel.get("/").text() == "b");
    assert_eq!(reloads(&evenkeel), 1);
    // What was read by command is not read once more.
    assert_eq!(evenkeel.reload(&following(&a, "")).status, 200);
    assert_eq!(evenkeel.get("/").text(), "a");
    evenkeel.rewrite(&following(&b, ""));
    eventually("b is asked again", || evenkeel.get("/").text() == "b");
    assert_eq!(reloads(&evenkeel), 2);
}

#[test]
fn what_is_wrong_stands_in_the_log_and_the_old_configuration_stays() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = Evenkeel::start(&following(&a, ""));
    evenkeel.rewrite(&following(&b, "algorithm = \"none\""));
    evenkeel.stderr.wait_for("the refusal", |line| line.contains("configuration not reloaded"));
    assert_eq!(evenkeel.get("/").text(), "a");
    evenkeel.rewrite(&following(&b, ""));
    eventually("b is asked", || evenkeel.get("/").text() == "b");
    assert_eq!(reloads(&evenkeel), 2, "the broken file was read once");
}
