//! `check` finds all mistakes at once and shows each in its place.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Folder, cli};

const MISTAKES: &str = "\
[listener.web]
bind = [\"127.0.0.1:0\"]
pool = \"ap\"

[pool.app]
backnds = [\"127.0.0.1:5001\"]
algorithm = \"round-robbin\"

[[route]]
path = \"no-slash\"
pool = \"app\"

[pool.slow]
backends = [\"127.0.0.1:5002\"]
timeout = { connect = \"5 parsecs\" }
";

#[test]
fn all_mistakes_are_reported_at_once_with_line_caret_and_suggestion() {
    let folder = Folder::new();
    let file = folder.write("mistakes.toml", MISTAKES);
    let outcome = cli(&["check", "-c", &file]);
    assert_eq!(outcome.code, Some(1));
    let text = format!("{}{}", outcome.stdout, outcome.stderr);
    for part in [
        "backnds",
        "`backends`",
        "round-robbin",
        "did you mean \"round-robin\"?",
        "no-slash",
        "5 parsecs",
        "mistakes.toml",
    ] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    for line in ["mistakes.toml:6", "mistakes.toml:7", "mistakes.toml:10", "mistakes.toml:15"] {
        assert!(text.contains(line), "{line} is missing in:\n{text}");
    }
    assert!(text.contains('^') || text.contains('─'), "no caret in:\n{text}");
    assert!(!text.contains('\x1b'), "no colours unless stderr is a terminal:\n{text}");
}

#[test]
fn wrong_toml_is_reported_with_its_line() {
    let folder = Folder::new();
    let file = folder.write("broken.toml", "[listener.web]\nbind = [\"127.0.0.1:0\"\n[pool.app]\n");
    let outcome = cli(&["check", "-c", &file]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("broken.toml:"), "{}", outcome.stderr);
}

#[test]
fn a_right_file_passes() {
    let folder = Folder::new();
    let file = folder.write(
        "right.toml",
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\n[pool.app]\nbackends = [5001]\n",
    );
    let outcome = cli(&["check", "-c", &file]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

#[test]
fn programs_get_json() {
    let folder = Folder::new();
    let file = folder.write("mistakes.toml", MISTAKES);
    let outcome = cli(&["check", "--json", "-c", &file]);
    assert_eq!(outcome.code, Some(1));
    let value: Value =
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|e| panic!("{e}:\n{}", outcome.stdout));
    assert!(value.to_string().contains("backnds"), "{value}");
}

#[test]
fn a_wrong_file_starts_nothing() {
    let folder = Folder::new();
    let file = folder.write("mistakes.toml", MISTAKES);
    let outcome = cli(&["run", "-c", &file]);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stderr.contains("backnds") && !outcome.stderr.contains("listening on"),
        "{}",
        outcome.stderr
    );
}

/// Where the examples lie.
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");

#[test]
fn every_example_passes() {
    let mut count = 0;
    for entry in fs::read_dir(EXAMPLES).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let outcome = cli(&["check", "-c", path.to_str().unwrap()]);
            assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
            assert!(outcome.stderr.contains(": ok ("), "{}", outcome.stderr);
            count += 1;
        }
    }
    assert!(count >= 8, "only {count} examples");
}

#[test]
fn directories_of_files_are_looked_at() {
    let folder = Folder::new();
    folder.write("plain", "no directory");
    fs::create_dir(folder.path("site")).unwrap();
    for (files, expected) in [
        ("\"site\"", None),
        ("{ root = \"site\" }", None),
        ("\"plain\"", Some("plain is no directory")),
        ("{ root = \"none\" }", Some("none: No such file or directory")),
    ] {
        let text = format!("[listener.web]\nbind = 80\n[[route]]\nfiles = {files}\n");
        let file = folder.write("evenkeel.toml", &text);
        let outcome = cli(&["check", "-c", &file]);
        assert_eq!(outcome.code, Some(i32::from(expected.is_some())), "{files}: {}", outcome.stderr);
        if let Some(expected) = expected {
            assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
            assert!(
                outcome.stderr.contains("evenkeel.toml:4:"),
                "shown where it is named: {}",
                outcome.stderr
            );
        }
    }
    let outcome = cli(&["run", "--listen", "127.0.0.1:0", "--files", &folder.path("plain")]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("plain is no directory"), "{}", outcome.stderr);
    let outcome = cli(&["run", "--files", ".", "--backend", "5001"]);
    assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
}

#[test]
fn certificates_and_keys_are_read() {
    let folder = Folder::new();
    for name in ["shop.pem", "blog.key", "ca.pem"] {
        fs::copy(Path::new(EXAMPLES).join("certs").join(name), folder.path(name)).unwrap();
    }
    let text = "[listener.secure]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n\
                tls.certificates = [{ cert = \"shop.pem\", key = \"blog.key\" }]\n\
                [pool.app]\nbackends = [5001]\ntls.ca = \"missing.pem\"\n";
    let file = folder.write("tls.toml", text);
    let outcome = cli(&["check", "-c", &file]);
    assert_eq!(outcome.code, Some(1));
    for part in ["tls.toml:4:48", "is not the key of the certificate in", "tls.toml:7:10", "cannot be read"] {
        assert!(outcome.stderr.contains(part), "{part} is missing in:\n{}", outcome.stderr);
    }
    let json: Value = serde_json::from_str(&cli(&["check", "--json", "-c", &file]).stdout).unwrap();
    let lines: Vec<_> = json.as_array().unwrap().iter().map(|fault| &fault["line"]).collect();
    assert_eq!(lines, [4, 7]);

    let file = folder.write("right.toml", &text.replace("blog.key", "shop.key").replace("missing", "ca"));
    fs::copy(Path::new(EXAMPLES).join("certs/shop.key"), folder.path("shop.key")).unwrap();
    let outcome = cli(&["check", "-c", &file]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

#[test]
fn secrets_lie_beside_the_file_and_are_read_by_check_as_by_run() {
    let folder = Folder::new();
    let toml = "[server]\nsecret_file = \"cookies\"\n[admin]\nbind = \"127.0.0.1:0\"\ntoken_file = \"token\"\n\
                [pool.app]\nbackends = [5001]\n[listener.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n";
    let file = folder.write("evenkeel.toml", toml);
    folder.write("token", " \n");
    let outcome = cli(&["check", "-c", &file]);
    assert_eq!(outcome.code, Some(1));
    for part in
        ["evenkeel.toml:2:", "cannot read", &folder.path("cookies"), "evenkeel.toml:5:", "token is empty"]
    {
        assert!(outcome.stderr.contains(part), "{part} is missing in:\n{}", outcome.stderr);
    }
    assert_eq!(cli(&["run", "-c", &file]).stderr, outcome.stderr);
    folder.write("cookies", "secret");
    for (token, fault) in [
        ("a token with two\nlines, each a long one", "token holds 2 lines, and a token is one"),
        ("x", "token holds a token of 1 character, and 16 are the least"),
        ("fifteen letters", "token holds a token of 15 characters, and 16 are the least"),
    ] {
        folder.write("token", token);
        let outcome = cli(&["check", "-c", &file]);
        assert_eq!(outcome.code, Some(1), "{token}");
        assert!(outcome.stderr.contains(fault), "{}", outcome.stderr);
        assert_eq!(cli(&["run", "-c", &file]).stderr, outcome.stderr);
    }
    folder.write("token", "sixteen letters!");
    let outcome = cli(&["check", "-c", &file]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

#[test]
fn a_pem_file_that_was_cut_off_is_named_with_what_is_missing() {
    let folder = Folder::new();
    let toml = "[listener.web]\nbind = \"127.0.0.1:0\"\n[[route]]\nrespond = {}\n\
                [listener.web.tls]\ncertificates = { cert = \"shop.pem\", key = \"shop.key\" }\n";
    let file = folder.write("evenkeel.toml", toml);
    let whole = fs::read_to_string(Path::new(EXAMPLES).join("certs/shop.pem")).unwrap();
    folder.write("shop.pem", &whole[..whole.len() / 2]);
    fs::copy(Path::new(EXAMPLES).join("certs/shop.key"), folder.path("shop.key")).unwrap();
    let outcome = cli(&["check", "-c", &file]);
    assert_eq!(outcome.code, Some(1));
    for part in [
        "shop.pem: is cut off: a line `-----END CERTIFICATE-----` is missing",
        "copy the file anew",
        "evenkeel.toml:6:",
    ] {
        assert!(outcome.stderr.contains(part), "{part} is missing in:\n{}", outcome.stderr);
    }
}

#[test]
fn an_access_log_that_cannot_be_written_is_named() {
    let folder = Folder::new();
    let toml = "[log]\naccess = \"nowhere/access.log\"\n[admin]\nbind = \"off\"\n[listener.web]\n\
                bind = \"127.0.0.1:0\"\n[[route]]\nrespond = {}\n";
    let outcome = cli(&["run", "-c", &folder.write("evenkeel.toml", toml)]);
    assert_eq!(outcome.code, Some(1));
    let fault = format!("error: cannot write the access log {}: ", folder.path("nowhere/access.log"));
    assert!(outcome.stderr.contains(&fault), "{}", outcome.stderr);
}

#[test]
fn every_command_begins_its_errors_alike() {
    for (arguments, code) in [
        (&["run", "-c", "/nowhere.toml"][..], 1),
        (&["check", "-c", "/nowhere.toml"], 1),
        (&["show", "-c", "/nowhere.toml"], 1),
        (&["explain", "-c", "/nowhere.toml", "GET", "/"], 1),
        (&["run", "--listen", "8080", "--backend", "nowhere"], 2),
        (&["run", "--backends", "1"], 2),
    ] {
        let outcome = cli(arguments);
        assert_eq!(outcome.code, Some(code), "{arguments:?}: {}", outcome.stderr);
        assert!(outcome.stderr.starts_with("error: "), "{arguments:?}: {}", outcome.stderr);
    }
}
