//! Commands over TCP to an admin API that demands its token: with the right one, a wrong one and none.

use serde_json::Value;

use crate::support::{Evenkeel, Folder, Origin, cli, pool};

/// A process, the arguments that name its admin API, and the files of a right token and a wrong one.
fn start(origin: &Origin) -> (Evenkeel, String, String, String) {
    let folder = Folder::new();
    let right = folder.write("token", "correct horse battery\n");
    let wrong = folder.write("wrong", "another horse battery\n");
    let admin = format!("[admin]\nbind = \"127.0.0.1:0\"\ntoken_file = \"{right}\"\n");
    let evenkeel = Evenkeel::start_in(folder, &format!("{admin}{}", pool(&[origin], "")));
    let address = evenkeel.admin_address().to_string();
    (evenkeel, address, right, wrong)
}

#[test]
fn a_command_with_the_right_token_is_carried_out() {
    let origin = Origin::named("a");
    let (evenkeel, address, right, _) = start(&origin);
    let run = |words: &[&str]| cli(&[words, &["--admin", &address, "--token-file", &right]].concat());
    let status = run(&["status"]);
    assert_eq!((status.code, status.stderr.as_str()), (Some(0), ""));
    assert!(status.stdout.contains("pool app (round-robin): 1 of 1 servers usable"), "{}", status.stdout);
    let drained = run(&["drain", "app", "a", "--why", "a new kernel"]);
    assert_eq!((drained.code, drained.stderr.as_str()), (Some(0), ""));
    let (server, end) = (format!("a ({}): draining (", origin.address()), ", 0 requests in flight: empty");
    assert!(drained.stdout.starts_with(&server) && drained.stdout.ends_with(end), "{}", drained.stdout);
    let status: Value = serde_json::from_str(&run(&["status", "--json"]).stdout).unwrap();
    assert_eq!(status["pid"], evenkeel.pid());
    assert_eq!(status["pools"][0]["servers"][0]["state"], "draining", "{status:#}");
    evenkeel.stderr.wait_for("the change in the log", |line| {
        line.contains("operator: ") && line.contains("token from 127.0.0.1") && line.contains("a new kernel")
    });
    assert_eq!(evenkeel.get("/").status, 503);
}

#[test]
fn a_command_with_a_wrong_token_or_none_changes_nothing_and_says_so() {
    let origin = Origin::named("a");
    let (evenkeel, address, right, wrong) = start(&origin);
    let empty = format!("{wrong}.empty");
    std::fs::write(&empty, "\n").unwrap();
    let absent = format!("{wrong}.absent");
    let (refuses, demands) = (
        format!("error: the admin API at {address} refuses the token in {wrong}"),
        format!(
            "error: the admin API at {address} demands its token: name the file that holds it with `--token-file FILE`"
        ),
    );
    for words in [&["status"][..], &["status", "--json"], &["drain", "app", "a"]] {
        for (token, expected) in [
            (&["--token-file", &*wrong][..], &*refuses),
            (&[], &*demands),
            (&["--token-file", &*empty], &*format!("error: {empty} is empty")),
            (&["--token-file", &*absent], &*format!("error: cannot read {absent}: No such file")),
        ] {
            let outcome = cli(&[words, &["--admin", &address], token].concat());
            assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{words:?} {token:?}");
            assert!(outcome.stderr.starts_with(expected), "{words:?} {token:?}: {}", outcome.stderr);
        }
    }
    let status = cli(&["status", "--json", "--admin", &address, "--token-file", &right]);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["pools"][0]["servers"][0]["state"], "up", "{status:#}");
    assert_eq!(evenkeel.stderr.count(|line| line.contains("operator: ")), 0);
    assert_eq!(evenkeel.get("/").text(), "a");
}
