//! `reload_on_change`: the process follows its configuration file by itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use rustix::process::Signal;

use crate::support::{Evenkeel, Folder, Origin, Slow, eventually, pool};

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

fn waits(evenkeel: &Evenkeel) -> usize {
    evenkeel
        .stderr
        .count(|line| line.contains("the configuration file has changed; the process reloads it when"))
}

#[test]
fn a_change_during_a_trial_is_reloaded_when_that_is_decided() {
    let [a, b, c] = ["a", "b", "c"].map(Origin::named);
    let evenkeel = Evenkeel::start(&pool(&[&a], ""));
    evenkeel.rewrite(&following(&b, ""));
    assert_eq!(evenkeel.cli(&["reload", "--confirm", "5m"]).code, Some(0));
    evenkeel.rewrite(&following(&c, ""));
    eventually("the log says that it waits", || waits(&evenkeel) == 1);
    assert_eq!(evenkeel.get("/").text(), "b");
    assert_eq!(evenkeel.cli(&["confirm"]).code, Some(0));
    eventually("c is asked", || evenkeel.get("/").text() == "c");
    assert_eq!((reloads(&evenkeel), waits(&evenkeel)), (1, 1));
    assert_eq!(evenkeel.stderr.count(|line| line.contains("configuration not reloaded")), 0);
}

#[test]
fn a_change_during_an_upgrade_that_fails_is_reloaded_afterwards() {
    let [a, b] = ["a", "b"].map(Origin::named);
    let evenkeel = Evenkeel::start(&following(&a, ""));
    let folder = evenkeel.folder();
    let text = format!("#!/bin/sh\nwhile [ ! -e {} ]; do sleep 0.05; done; exit 1\n", folder.path("end"));
    let binary = folder.write("hangs", &text);
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    thread::scope(|scope| {
        let upgrade = scope.spawn(|| evenkeel.cli(&["upgrade", "--binary", &binary]));
        evenkeel.stderr.wait_for("the upgrade", |line| line.contains("the new process is started"));
        evenkeel.rewrite(&following(&b, ""));
        eventually("the log says that it waits", || waits(&evenkeel) == 1);
        // A reload by a signal has no answer but the log.
        evenkeel.signal(Signal::HUP);
        evenkeel.stderr.wait_for("the refusal", |line| {
            line.contains("configuration not reloaded")
                && line.contains("an upgrade of the binary is under way")
        });
        assert_eq!(evenkeel.get("/").text(), "a");
        folder.write("end", "");
        assert_eq!(upgrade.join().unwrap().code, Some(1));
    });
    eventually("b is asked", || evenkeel.get("/").text() == "b");
    assert_eq!((reloads(&evenkeel), waits(&evenkeel)), (1, 1));
}

#[test]
fn a_change_while_the_process_starts_is_reloaded() {
    let [a, b] = ["a", "b"].map(Origin::named);
    let folder = Folder::new();
    let slow = Slow::new(&folder);
    let first =
        following(&a, "").replace("[server]\n", &format!("[server]\nsecret_file = \"{}\"\n", slow.path));
    let file = folder.path("evenkeel.toml");
    let next = format!(
        "[admin]\nbind = \"127.0.0.1:0\"\n[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\n{}",
        following(&b, "")
    );
    thread::scope(|scope| {
        scope.spawn(move || {
            // The process has read the file by now, and waits for the secret.
            let held = slow.hold();
            fs::write(file, next).unwrap();
            slow.release(held);
        });
        let evenkeel = Evenkeel::start_in(folder, &first);
        eventually("b is asked", || evenkeel.get("/").text() == "b");
    });
}
