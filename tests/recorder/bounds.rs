//! What the flight recorder may not do: hold secrets, or grow.

use std::thread;

use super::kept::{id_of, list, listed, record, why};
use crate::support::{Client, Evenkeel, Origin, eventually, pool};

#[test]
fn no_secret_is_kept() {
    let dead = Origin::refusing("dead");
    let evenkeel = Evenkeel::start(&format!("[recorder]\nredact = [\"X-Customer\"]\n{}", pool(&[&dead], "")));
    let response = evenkeel.ask(
        "GET /a?access_token=S3CRET1&page=2&X-Amz-Signature=S3CRET2 HTTP/1.1\r\nhost: test\r\n\
         authorization: Bearer S3CRET3\r\ncookie: a=S3CRET4; b=S3CRET5\r\nx-api-key: S3CRET6\r\n\
         proxy-authorization: Basic S3CRET7\r\nreferer: https://me:S3CRET8@from.test/?sig=S3CRET9\r\n\
         x-customer: S3CRET10\r\nx-kept: visible\r\n\r\n",
    );
    let id = id_of(&response);
    let (story, record) = (why(&evenkeel, &id), record(&evenkeel, &id));
    let heads = list(&evenkeel, "heads=true&failed=true").to_string();
    for text in [&story, &record.to_string(), &heads] {
        assert!(!text.contains("S3CRET"), "{text}");
        assert!(text.contains("(redacted)") && text.contains("visible") && text.contains("page=2"), "{text}");
    }
}

#[test]
fn heads_have_what_a_replay_needs() {
    let dead = Origin::refusing("dead");
    let evenkeel = Evenkeel::start(&pool(&[&dead], ""));
    evenkeel.ask("PUT /a?b=1 HTTP/1.1\r\nhost: Shop.test:81\r\nx-canary: 1\r\ncontent-length: 0\r\n\r\n");
    let head = listed(&evenkeel, "heads=true&failed=true", 1).remove(0);
    for (key, expected) in [
        ("method", "PUT"),
        ("host", "Shop.test:81"),
        ("target", "/a?b=1"),
        ("listener", "web"),
        ("scheme", "http"),
        ("client", "127.0.0.1"),
    ] {
        assert_eq!(head[key], expected, "{head}");
    }
    let headers = head["headers"].as_array().unwrap();
    assert!(headers.iter().any(|field| field[0] == "x-canary" && field[1] == "1"), "{head}");
}

#[test]
fn lists_are_filtered() {
    let (dead, alive) = (Origin::refusing("dead"), Origin::named("alive"));
    let evenkeel = Evenkeel::start(&format!(
        "[recorder]\nsample = \"0/s\"\n[listener.web]\nbind = [\"127.0.0.1:0\"]\n\
         [[route]]\nname = \"d\"\npath = \"/dead/*\"\npool = \"dead\"\n\
         [pool.dead]\nbackends = [{{ address = \"{}\", name = \"dead\" }}]\n{}",
        dead.address(),
        pool(&[&alive], "")
    ));
    (0..3).for_each(|_| drop(evenkeel.get("/dead/x")));
    (0..2).for_each(|_| drop(evenkeel.get("/nowhere")));
    for (query, count) in [
        ("", 5),
        ("limit=2", 2),
        ("failed=true", 5),
        ("failed=false", 0),
        ("status=502", 3),
        ("status=5xx", 3),
        ("status=4xx", 2),
        ("route=d", 3),
        ("pool=dead&server=dead", 3),
        ("pool=app", 0),
        ("min_ms=60000", 0),
        ("q=NOWHERE", 2),
        ("q=no%20route", 2),
    ] {
        listed(&evenkeel, query, count);
    }
    let newest = list(&evenkeel, "limit=1")["requests"][0]["target"].clone();
    assert_eq!(newest, "/nowhere");
    for query in
        ["limit=0", "limit=1001", "status=x", "status=9xx", "min_ms=-1", "failed=maybe", "nonsense=1"]
    {
        let response = evenkeel.admin("GET", &format!("/requests?{query}"), "");
        assert_eq!(response.status, 400, "{query}: {}", response.text());
    }
}

#[test]
fn of_requests_with_one_id_the_newest_is_shown_and_how_many_there_are() {
    let dead = Origin::refusing("dead");
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\ntrusted_proxies = [\"127.0.0.0/8\"]\npool = \"app\"\n{}",
        pool(&[&dead], "")
    ));
    let id = "a/../b?c#d%";
    for target in ["/one", "/two"] {
        evenkeel.ask(format!("GET {target} HTTP/1.1\r\nhost: test\r\nx-request-id: {id}\r\n\r\n"));
    }
    listed(&evenkeel, "failed=true", 2);
    let story = evenkeel.cli(&["why", id]).stdout;
    assert!(story.contains("/two ") && story.contains("2 requests had this id"), "{story}");
}

#[test]
fn records_are_read_behind_the_traffic() {
    let dead = Origin::refusing("dead");
    let evenkeel = Evenkeel::start(&pool(&[&dead], ""));
    evenkeel.get("/");
    listed(&evenkeel, "failed=true", 1);
    let nice = evenkeel.nice_of("admin-read");
    assert!(!nice.is_empty() && nice.iter().all(|nice| *nice == 10), "{nice:?}");
}

#[test]
fn a_hundred_thousand_failures_take_no_more_memory_than_they_may() {
    let dead = Origin::refusing("dead");
    let evenkeel = Evenkeel::start(&format!(
        "[log]\naccess = \"off\"\n[recorder]\nmemory = \"1MiB\"\n{}",
        pool(&[&dead], "")
    ));
    let flood = |count: usize| {
        let address = evenkeel.address();
        let clients: Vec<_> = (0..8)
            .map(|_| {
                thread::spawn(move || {
                    let mut client = Client::connect(address);
                    (0..count / 8).for_each(|_| assert_eq!(client.get("/flood").status, 502));
                })
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().unwrap());
    };
    flood(20_000);
    let before = evenkeel.allocated();
    flood(80_000);
    let after = evenkeel.allocated();
    assert!(after < before + (4 << 20), "from {before} to {after} bytes");
    let counted = || evenkeel.metric("evenkeel_requests_total", &["class=\"5xx\""]);
    eventually("all are counted", || counted() == 100_000.0);
    let bytes = evenkeel.metric("evenkeel_recorder_bytes", &[]);
    assert!((100_000.0..=1_048_576.0).contains(&bytes), "{bytes}");
    // A request is counted before its record is made.
    let kept = || evenkeel.metric("evenkeel_recorder_kept_total", &["why=\"failed\""]);
    let dropped = || evenkeel.metric("evenkeel_recorder_dropped_total", &["reason=\"rate\""]);
    eventually("each has a record or was dropped", || kept() + dropped() == 100_000.0);
    eventually("the newest is there", || list(&evenkeel, "limit=1")["requests"][0]["status"] == 502);
}
