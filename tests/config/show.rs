//! `show` prints the effective configuration, which is itself a configuration.

use crate::support::{Folder, cli};

const FILE: &str = "\
[listener.web]
bind = [\"127.0.0.1:8080\"]
pool = \"app\"

[pool.app]
backends = [5001, { address = \"127.0.0.1:5002\", name = \"big\", weight = 3 }]
health = { path = \"/health\" }
";

#[test]
fn defaults_are_filled_in() {
    let folder = Folder::new();
    let file = folder.write("evenkeel.toml", FILE);
    let outcome = cli(&["show", "-c", &file]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    for part in ["127.0.0.1:9900", "round-robin", "127.0.0.1:5001", "big", "/health", "32KiB", "100000"] {
        assert!(outcome.stdout.replace('_', "").contains(part), "{part} is missing in:\n{}", outcome.stdout);
    }
    for key in [
        "grace",
        "connections",
        "interval",
        "fall",
        "rise",
        "start_period",
        "keepalive",
        "connect",
        "response",
    ] {
        assert!(outcome.stdout.contains(key), "{key} is missing in:\n{}", outcome.stdout);
    }
}

#[test]
fn what_it_prints_means_the_same() {
    let folder = Folder::new();
    let file = folder.write("evenkeel.toml", FILE);
    let first = cli(&["show", "-c", &file]).stdout;
    let again = folder.write("again.toml", &first);
    assert_eq!(cli(&["check", "-c", &again]).code, Some(0));
    assert_eq!(cli(&["show", "-c", &again]).stdout, first);
}
