//! Servers from a file that something else writes: it is followed, and a broken one changes nothing.

use std::fs;

use crate::support::{Evenkeel, Folder, Origin, cli, eventually};

const CONFIG: &str = "[pool.app]\ndiscover = { file = \"servers.toml\" }\n";

fn list(servers: &[&Origin]) -> String {
    let server = |it: &&Origin| format!("  {{ address = \"{}\", name = \"{}\" }},\n", it.address(), it.name);
    format!("backends = [\n{}]\n", servers.iter().map(server).collect::<String>())
}

/// Writes as careful programs do: beside it, and then in its place.
fn replace(path: &str, text: &str) {
    let new = format!("{path}.new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

#[test]
fn servers_come_and_go_with_the_file() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let folder = Folder::new();
    let path = folder.write("servers.toml", &list(&[&a]));
    let evenkeel = Evenkeel::start_in(folder, CONFIG);
    eventually("a is found", || evenkeel.get("/").text() == "a");
    assert_eq!(evenkeel.server("app", "a")["origin"], "file");
    replace(&path, &list(&[&a, &b]));
    eventually("b is found", || evenkeel.get("/").text() == "b");
    fs::write(&path, list(&[&b])).unwrap();
    evenkeel.stderr.wait_for("a is gone", |line| line.contains("no longer discovered"));
    for _ in 0..6 {
        assert_eq!(evenkeel.get("/").text(), "b");
    }
}

#[test]
fn a_broken_file_keeps_the_servers_and_is_shown_with_its_fault() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let folder = Folder::new();
    let path = folder.write("servers.toml", &list(&[&a]));
    let evenkeel = Evenkeel::start_in(folder, CONFIG);
    eventually("a is found", || evenkeel.get("/").text() == "a");
    replace(&path, "backends = [\n  { address = \"10.0.0.1:80\", weigth = 3 },\n]\n");
    evenkeel.stderr.wait_for("the fault", |line| line.contains("servers.toml:2:") && line.contains("weigth"));
    evenkeel.stderr.wait_for("the hint", |line| line.contains("did you mean `weight`?"));
    eventually("status shows it in one line", || {
        let error = evenkeel.status()["pools"][0]["discovery"]["error"].clone();
        error
            .as_str()
            .is_some_and(|error| error.ends_with("unknown key `weigth` in `backends of [pool.NAME]`"))
    });
    assert_eq!(evenkeel.get("/").text(), "a");
    for broken in ["", "backends = []\n", "backends = ["] {
        replace(&path, broken);
        let before = evenkeel.metric("evenkeel_discovery_failures_total", &[]);
        eventually("it was read", || evenkeel.metric("evenkeel_discovery_failures_total", &[]) > before);
        assert_eq!(evenkeel.get("/").text(), "a", "{broken:?}");
    }
    fs::remove_file(&path).unwrap();
    evenkeel
        .stderr
        .wait_for("it is gone", |line| line.contains("cannot read") && line.contains("No such file"));
    assert_eq!(evenkeel.get("/").text(), "a");
    replace(&path, &list(&[&b]));
    eventually("b is found", || evenkeel.get("/").text() == "b");
    evenkeel.stderr.wait_for("it works", |line| line.contains("works again"));
}

#[test]
fn a_file_may_come_later() {
    let a = Origin::named("a");
    let folder = Folder::new();
    let path = folder.path("servers.toml");
    let evenkeel = Evenkeel::start_in(folder, CONFIG);
    evenkeel.stderr.wait_for("the alarm", |line| line.contains("has found no servers yet"));
    assert_eq!(evenkeel.get("/").status, 503);
    replace(&path, &list(&[&a]));
    eventually("a is found", || evenkeel.get("/").text() == "a");
}

#[test]
fn check_warns_of_a_file_that_is_missing_or_wrong() {
    let folder = Folder::new();
    let text = format!("[listener.web]\nbind = 8080\npool = \"app\"\n{CONFIG}");
    let file = folder.write("evenkeel.toml", &text);
    let missing = cli(&["check", "-c", &file]);
    assert_eq!(missing.code, Some(0));
    assert!(
        missing.stderr.contains("cannot read") && missing.stderr.contains("evenkeel.toml:5:"),
        "{}",
        missing.stderr
    );
    folder.write("servers.toml", "backends = [\n  \"10.0.0.1\",\n]\n");
    let wrong = cli(&["check", "-c", &file]);
    assert!(wrong.stderr.contains("servers.toml:2:3: "), "{}", wrong.stderr);
    folder.write("servers.toml", "backends = [\"10.0.0.1:80\"]\n");
    let right = cli(&["check", "-c", &file]);
    assert!(!right.stderr.contains("warning"), "{}", right.stderr);
}
