//! S23: input that makes an algorithm slow, or a table grow.

use std::time::{Duration, Instant};

use crate::support::{Client, Evenkeel, Folder, Origin, answer, cli, pool};

/// How long `count` requests take, at the best of three attempts: this machine has other things to do.
fn best_of_three(count: usize, mut ask: impl FnMut()) -> Duration {
    let attempts = (0..3).map(|_| {
        let begun = Instant::now();
        (0..count).for_each(|_| ask());
        begun.elapsed()
    });
    attempts.min().unwrap()
}

#[test]
fn s23_a_regex_takes_no_longer_for_paths_made_to_defeat_it() {
    let evenkeel = Evenkeel::start(
        "[[route]]\npath_regex = \"/(a+)+b\"\nrespond = {}\n\
         [[route]]\npath_regex = \"/(a|a)*c\"\nrespond = {}\n\
         [[route]]\npath_regex = \"/(.*)(.*)(.*)(.*)d\"\nrespond = {}\n",
    );
    let mut client = evenkeel.client();
    let evil = format!("/{}!", "a".repeat(4000));
    let harmless = format!("/{}!", "z".repeat(4000));
    let mut time = |path: &str| {
        best_of_three(20, || {
            assert_eq!(client.get(path).status, 404);
        })
    };
    let (usual, evil) = (time(&harmless), time(&evil));
    // One that goes back over its input would need longer than the universe is old.
    assert!(evil < 50 * usual + Duration::from_secs(1), "{evil:?} instead of {usual:?}");
}

#[test]
fn s23_a_regex_that_is_too_large_is_refused_by_check() {
    let folder = Folder::new();
    for regex in ["/(((a{1,1000}){1,1000}){1,1000})", "/\\\\pL{100000}", "/((a|b){500}){500}"] {
        let file = folder.write(
            "evenkeel.toml",
            &format!("[listener.web]\nbind = 0\n[[route]]\npath_regex = \"{regex}\"\nrespond = {{}}\n"),
        );
        let begun = Instant::now();
        let outcome = cli(&["check", "-c", &file]);
        assert_eq!(outcome.code, Some(1), "{regex}: {}", outcome.stdout);
        assert!(begun.elapsed() < crate::support::DEADLINE);
    }
}

#[test]
fn s23_nothing_that_a_client_names_becomes_a_time_series() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], ""));
    let series = || evenkeel.admin("GET", "/metrics", "").text().lines().count();
    let ask = |i: usize| {
        evenkeel.ask(format!(
            "M{i} /p{i}?q{i}=1 HTTP/1.1\r\nhost: h{i}.test\r\nx-h{i}: 1\r\ncookie: c{i}=1\r\n\
             user-agent: u{i}\r\nx-request-id: r{i}\r\n\r\n"
        ))
    };
    assert_eq!(ask(0).status, 200);
    let before = series();
    for i in 1..300 {
        assert_eq!(ask(i).status, 200);
    }
    // A request is counted when its answer is on its way: the first one's own series may be new.
    let now = series();
    assert!(now < before + 100, "{now} series instead of {before}");
}

#[test]
fn s23_sessions_that_clients_invent_are_bounded() {
    for keys in [
        "sticky = { header = \"x-session\" }",
        "sticky = { app_cookie = \"SID\" }",
        "sticky = { cookie = \"SRV\" }",
        "algorithm = \"consistent-hash\"\nhash_key = \"header:x-session\"",
        "algorithm = \"maglev\"\nhash_key = \"cookie:SID\"",
    ] {
        let origins = ["a", "b"].map(|name| {
            Origin::answering(move |request| {
                let session = request.header("x-session").unwrap_or_default();
                answer(200, &format!("set-cookie: SID={session}\r\n"), name)
            })
            .called(name)
        });
        let evenkeel = Evenkeel::start(&pool(&[&origins[0], &origins[1]], keys));
        let mut client = evenkeel.client();
        let mut flood = |from: usize, count: usize| {
            for i in from..from + count {
                let session = format!("{i}{}", "s".repeat(200));
                let fields = format!("x-session: {session}\r\ncookie: SID={session}; SRV={session}\r\n");
                assert_eq!(client.get_with("/", &fields).status, 200);
            }
        };
        flood(0, 300);
        let before = evenkeel.allocated();
        flood(300, 2_000);
        // A table without an end would hold 2,000 names of 200 bytes, several times over.
        let grown = evenkeel.allocated().saturating_sub(before);
        assert!(grown < 3 << 20, "{keys}: {grown} bytes more");
    }
}

#[test]
fn s23_many_equal_and_many_similar_fields_cost_alike() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&format!(
        "[limits]\nheaders = 1000\nrequest_head = \"256KiB\"\n{}",
        pool(&[&origin], "")
    ));
    let mut client = evenkeel.client();
    let mut time = |fields: String| {
        best_of_three(10, || {
            assert_eq!(client.get_with("/", &fields).status, 200);
        })
    };
    let usual = time((0..900).map(|i| format!("header-{i}: {i}\r\n")).collect());
    for evil in [
        "x: y\r\n".repeat(900),
        (0..900).map(|i| format!("x-forwarded-fo{}: {i}\r\n", char::from(b'a' + (i % 17) as u8))).collect(),
        "cookie: a=b\r\n".repeat(900),
        "x-forwarded-for: 1.2.3.4\r\n".repeat(900),
        format!("connection: {}\r\n{}", "a,".repeat(900), "a: b\r\n".repeat(890)),
    ] {
        let start: String = evil.chars().take(20).collect();
        let took = time(evil);
        assert!(took < 10 * usual + Duration::from_secs(1), "{start:?}: {took:?} instead of {usual:?}");
    }
}

#[test]
fn s23_many_clients_by_address_take_bounded_memory() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&pool(&[&origin], "algorithm = \"ip-hash\""));
    let from = |i: u32| {
        let [_, b, c, d] = (i + 2).to_be_bytes();
        assert_eq!(Client::from([127, b, c, d], evenkeel.address()).get("/").text(), "a");
    };
    (0..200).for_each(from);
    let before = evenkeel.allocated();
    (200..1500).for_each(from);
    let grown = evenkeel.allocated().saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes more");
}
