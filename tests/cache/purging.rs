//! Purges: what is purged is fetched anew, all else stays, whichever way the purge was asked for.

use std::path::Path;
use std::process::Command;

use crate::support::{Evenkeel, Folder, Origin, answer, cli, eventually, pool};

/// An origin whose responses are fresh for long and have tags, and a cache before it.
fn cached() -> (Origin, Evenkeel) {
    let origin = Origin::answering(|request| {
        let tag = request.target().rsplit('/').next().unwrap_or_default().to_owned();
        let fields =
            format!("cache-control: max-age=600\r\netag: \"1\"\r\ncache-tag: all-of-them, tag-{tag}\r\n");
        match request.header("if-none-match") {
            Some("\"1\"") => answer(304, &fields, ""),
            _ => answer(200, &fields, "whole"),
        }
    })
    .called("a");
    let evenkeel =
        Evenkeel::start(&format!("[[route]]\npool = \"app\"\ncache = true\n{}", pool(&[&origin], "")));
    (origin, evenkeel)
}

/// How many requests reach the origin when each of these is asked for once.
fn fetched(origin: &Origin, evenkeel: &Evenkeel, targets: &[(&str, &str)]) -> usize {
    let before = origin.count();
    let mut client = evenkeel.client();
    for (host, target) in targets {
        let response = client.ask(format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n"));
        assert_eq!((response.status, response.text().as_str()), (200, "whole"), "{host}{target}");
    }
    origin.count() - before
}

const ALL: [(&str, &str); 5] = [
    ("shop.test", "/img/a"),
    ("shop.test", "/img/a?x=1"),
    ("shop.test", "/img/b"),
    ("shop.test", "/css/a"),
    ("blog.test", "/img/a"),
];

#[test]
fn each_scope_purges_what_it_names_and_nothing_else() {
    let (origin, evenkeel) = cached();
    let admin = evenkeel.admin_address().to_string();
    assert_eq!(fetched(&origin, &evenkeel, &ALL), 5);
    eventually("all are stored", || evenkeel.status()["cache"]["objects"] == 5);
    for (arguments, anew, said) in [
        (
            &["https://shop.test/img/a"][..],
            &ALL[..1],
            "purged url shop.test/img/a (hard): 1 response in memory",
        ),
        (
            &["http://SHOP.test:81/css/../img/a?x=1"],
            &ALL[1..2],
            "purged url shop.test/img/a?x=1 (hard): 1 response in memory",
        ),
        (
            &["--prefix", "https://shop.test/img/"],
            &ALL[..3],
            "purged prefix shop.test/img/ (hard): 3 responses in memory",
        ),
        (&["--host", "blog.test"], &ALL[4..], "purged host blog.test (hard): 1 response in memory"),
        (&["--tag", "tag-b"], &ALL[2..3], "purged tag tag-b (hard): 1 response in memory"),
        (&["--all"], &ALL[..], "purged everything (hard): 5 responses in memory"),
    ] {
        let arguments = [&["purge", "--admin", &admin], arguments].concat();
        let outcome = cli(&arguments);
        assert_eq!(
            (outcome.code, outcome.stdout.trim_end()),
            (Some(0), said),
            "{arguments:?}: {}",
            outcome.stderr
        );
        assert_eq!(fetched(&origin, &evenkeel, anew), anew.len(), "{arguments:?}");
        assert_eq!(fetched(&origin, &evenkeel, &ALL), 0, "{arguments:?} purged more");
    }
    eventually("what was purged is freed", || evenkeel.status()["cache"]["objects"] == 5);
    assert_eq!(evenkeel.metric("evenkeel_cache_purges_total", &["scope=\"url\"", "mode=\"hard\""]), 2.0);
    assert_eq!(evenkeel.metric("evenkeel_cache_purged_objects_total", &[]), 12.0);
}

#[test]
fn a_purge_of_what_is_not_cached_says_so() {
    let (origin, evenkeel) = cached();
    let admin = evenkeel.admin_address().to_string();
    fetched(&origin, &evenkeel, &ALL);
    eventually("all are stored", || evenkeel.status()["cache"]["objects"] == 5);
    for (arguments, said) in [
        (
            &["https://www.shop.test/img/a"][..],
            "purged url www.shop.test/img/a (hard): nothing of www.shop.test is cached",
        ),
        (
            &["https://shop.test/img/none"],
            "purged url shop.test/img/none (hard): nothing matched; 4 responses of shop.test cached",
        ),
        (&["--host", "127.0.0.1:81"], "purged host 127.0.0.1 (hard): nothing of 127.0.0.1 is cached"),
        (&["--tag", "none"], "purged tag none (hard): nothing cached matched"),
    ] {
        let outcome = cli(&[&["purge", "--admin", &admin], arguments].concat());
        assert_eq!((outcome.code, outcome.stdout.trim_end()), (Some(0), said), "{}", outcome.stderr);
    }
    assert_eq!(fetched(&origin, &evenkeel, &ALL), 0, "nothing was purged");
}

#[test]
fn what_is_purged_softly_is_revalidated() {
    let (origin, evenkeel) = cached();
    fetched(&origin, &evenkeel, &ALL);
    eventually("all are stored", || evenkeel.status()["cache"]["objects"] == 5);
    let answer = evenkeel.admin("POST", "/cache/purge", r#"{"tag": "tag-b", "soft": true}"#);
    let expected = r#"{"scope":"tag","purged":"tag-b","mode":"soft","sequence":1,"objects":1,"outcome":"1 response in memory"}"#;
    assert_eq!((answer.status, answer.text().as_str()), (200, expected));
    assert_eq!(fetched(&origin, &evenkeel, &ALL), 1);
    assert_eq!(origin.last().header("if-none-match"), Some("\"1\""));
    assert_eq!(fetched(&origin, &evenkeel, &ALL), 0, "it is fresh again");
    assert_eq!(evenkeel.record(|record| record["cache"] == "revalidated")["target"], "/img/b");
}

#[test]
fn what_is_purged_is_freed_though_no_request_asks_for_it() {
    let (origin, evenkeel) = cached();
    fetched(&origin, &evenkeel, &ALL);
    eventually("all are stored", || evenkeel.status()["cache"]["objects"] == 5);
    evenkeel.admin("POST", "/cache/purge", r#"{"tag": "all-of-them"}"#);
    eventually("all are freed", || evenkeel.status()["cache"]["objects"] == 0);
    let cache = &evenkeel.status()["cache"];
    assert_eq!((&cache["memory_bytes"], &cache["purged_objects"]), (&0.into(), &5.into()), "{cache}");
}

#[test]
fn a_purge_finds_the_process_and_its_token_by_the_file_it_runs_with() {
    let folder = Folder::new();
    let token = folder.write("token", "correct horse battery\n");
    let wrong = folder.write("wrong", "another horse battery\n");
    let socket = folder.path("admin.sock");
    let file = folder.path("evenkeel.toml");
    let origin = Origin::named("a");
    let admin = format!("[admin]\nbind = \"unix:{socket}\"\ntoken_file = \"token\"\n");
    let evenkeel = Evenkeel::start_in(folder, &format!("{admin}{}", pool(&[&origin], "")));
    let purge = |arguments: &[&str]| cli(&[&["purge", "--all"], arguments].concat());
    let done = purge(&["-c", &file, "--json"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let answer: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&answer["scope"], &answer["sequence"]), (&"all".into(), &1.into()));
    let beside = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args(["purge", "--all"])
        .current_dir(Path::new(&file).parent().unwrap())
        .output()
        .unwrap();
    assert!(beside.status.success(), "evenkeel.toml is found where it stands: {beside:?}");
    let admin = format!("unix:{socket}");
    assert_eq!(purge(&["--admin", &admin, "--token-file", &token]).code, Some(0));
    let refused = purge(&["--admin", &admin]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("demands its token") && refused.stderr.contains("--token-file"),
        "{}",
        refused.stderr
    );
    let refused = purge(&["--admin", &admin, "--token-file", &wrong]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains(&format!("refuses the token in {wrong}")), "{}", refused.stderr);
    drop(evenkeel);
}

#[test]
fn a_purge_that_cannot_be_done_says_why() {
    let (origin, evenkeel) = cached();
    let admin = evenkeel.admin_address().to_string();
    let listener = evenkeel.address().to_string();
    let folder = Folder::new();
    let off = folder
        .write("off.toml", "[admin]\nbind = \"off\"\n[listener.web]\nbind = 80\n[[route]]\nrespond = {}\n");
    let wrong = folder.write("wrong.toml", "[admin]\nbnd = 1\n");
    for (arguments, code, part) in [
        (&["/a", "--admin", &admin][..], 2, "`/a` is not an absolute URL"),
        (&["--prefix", "https://a/b?c", "--admin", &admin], 2, "a prefix ends within the path"),
        (&["--all", "--admin", &listener], 1, "is not the admin API of Evenkeel"),
        (&["--all", "--admin", "127.0.0.1:1"], 1, "no process takes connections at 127.0.0.1:1"),
        (&["--all", "--admin", "unix:/nonexistent/a.sock"], 1, "no process takes connections at unix:"),
        (&["--all", "--admin", "nonsense"], 1, "`--admin nonsense`"),
        (&["--all", "-c", &off], 1, "turns the admin address off"),
        (&["--all", "-c", &wrong], 1, "unknown key `bnd`"),
        (&["--all", "-c", "/nonexistent.toml"], 1, "/nonexistent.toml"),
        (&["--all", "--admin", &admin, "--token-file", "/nonexistent"], 1, "cannot read /nonexistent"),
        (&["--admin", &admin], 2, "required"),
        (&["https://a/", "--all", "--admin", &admin], 2, "cannot be used with"),
    ] {
        let outcome = cli(&[&["purge"], arguments].concat());
        assert_eq!(outcome.code, Some(code), "{arguments:?}: {}{}", outcome.stdout, outcome.stderr);
        assert!(outcome.stderr.contains(part), "{arguments:?}: {}", outcome.stderr);
        assert_eq!(outcome.stdout, "", "{arguments:?}");
    }
    assert_eq!(fetched(&origin, &evenkeel, &ALL), 5);
}
