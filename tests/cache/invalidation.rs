//! A request that changes something at the server takes what is kept of it away (RFC 9111, 4.4).

use crate::support::cache::{config, fresh, is_hit, start};
use crate::support::{Evenkeel, Gate, Origin, answer, eventually, pool};

/// Answers GET with something fresh, and all else with what the request's `x-answer` says: a status, and one further line.
fn obeying() -> Origin {
    Origin::answering(|request| {
        if request.method() == "GET" {
            return fresh("", request.target());
        }
        let wanted = request.header("x-answer").unwrap_or("200").to_owned();
        let (status, line) = wanted.split_once(' ').unwrap_or((&wanted, ""));
        let line = if line.is_empty() { String::new() } else { format!("{line}\r\n") };
        answer(status.parse().unwrap(), &line, "")
    })
}

fn change(evenkeel: &Evenkeel, method: &str, target: &str, wanted: &str) {
    let text = format!(
        "{method} {target} HTTP/1.1\r\nhost: test\r\nx-answer: {wanted}\r\ncontent-length: 0\r\n\r\n"
    );
    evenkeel.ask(text);
}

#[test]
fn unsafe_methods_that_succeed_invalidate() {
    let origin = obeying();
    let evenkeel = start(&origin, "true");
    for method in ["POST", "PUT", "DELETE", "PATCH", "REBOOT"] {
        for (wanted, kept) in
            [("200", false), ("204", false), ("303", false), ("400", true), ("404", true), ("500", true)]
        {
            evenkeel.get("/a");
            evenkeel.get("/b");
            change(&evenkeel, method, "/a", wanted);
            assert_eq!(is_hit(&evenkeel.get("/a")), kept, "{method} {wanted}");
            assert!(is_hit(&evenkeel.get("/b")), "{method} {wanted}: of another URL");
        }
    }
}

#[test]
fn safe_methods_do_not() {
    let origin = obeying();
    let evenkeel = start(&origin, "true");
    evenkeel.get("/a");
    for method in ["OPTIONS", "HEAD"] {
        change(&evenkeel, method, "/a", "200");
        assert!(is_hit(&evenkeel.get("/a")), "{method}");
    }
}

#[test]
fn all_variants_and_queries_of_a_url_are_apart() {
    let origin = obeying();
    let evenkeel = start(&origin, "true");
    evenkeel.get("/a?x=1");
    evenkeel.get("/a?x=2");
    change(&evenkeel, "POST", "/a?x=1", "200");
    assert!(!is_hit(&evenkeel.get("/a?x=1")));
    assert!(is_hit(&evenkeel.get("/a?x=2")));
}

#[test]
fn what_the_answer_names_is_invalidated_on_the_same_host_alone() {
    let origin = obeying();
    let evenkeel = start(&origin, "true");
    let other = "GET /b HTTP/1.1\r\nhost: other\r\n\r\n";
    for (line, kept) in [
        ("location: /b", false),
        ("content-location: /b", false),
        ("location: http://test/b", false),
        ("location: b", false),
        ("location: //test/b", false),
        ("location: http://evil.test/b", true),
        ("content-location: //evil.test/b", true),
        ("location: /c", true),
    ] {
        evenkeel.get("/b");
        evenkeel.ask(other);
        change(&evenkeel, "POST", "/a", &format!("201 {line}"));
        assert_eq!(is_hit(&evenkeel.get("/b")), kept, "{line}");
        assert!(is_hit(&evenkeel.ask(other)), "{line}: another host");
    }
}

#[test]
fn a_route_without_a_cache_invalidates_what_another_one_keeps() {
    let origin = obeying();
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\nname = \"read\"\nmethod = [\"GET\", \"HEAD\"]\npath = \"/*\"\npool = \"app\"\ncache = true\n\
         [[route]]\nname = \"write\"\npath = \"/*\"\npool = \"app\"\n{}",
        pool(&[&origin], "")
    ));
    evenkeel.get("/a");
    assert!(is_hit(&evenkeel.get("/a")));
    change(&evenkeel, "PUT", "/a", "204");
    assert!(!is_hit(&evenkeel.get("/a")));
}

#[test]
fn a_fetch_that_was_on_its_way_is_not_kept_past_a_change() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |request, wire| {
        if request.method() == "GET" {
            theirs.wait();
            wire.send(fresh("", "old"));
        } else {
            wire.send(answer(204, "", "").replace("content-length: 0\r\n", ""));
        }
    });
    let evenkeel = start(&origin, "true");
    let mut client = evenkeel.client();
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    eventually("the server is asked", || origin.count() == 1);
    change(&evenkeel, "PUT", "/", "");
    // One that comes after the change does not share what was asked for before it.
    let mut after = evenkeel.client();
    after.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    crate::support::cache::wait_for_requests(&evenkeel, 2);
    gate.open();
    assert_eq!(client.answer("GET").text(), "old");
    after.answer("GET");
    assert_eq!(origin.requests().iter().filter(|request| request.method() == "GET").count(), 2);
}

#[test]
fn a_changed_url_of_a_selected_query_is_found() {
    let origin = obeying();
    let evenkeel = Evenkeel::start(&config(&[&origin], "{ key = { query = [\"page\"] } }"));
    evenkeel.get("/a?page=1&utm=1");
    change(&evenkeel, "POST", "/a?page=1", "200");
    assert!(!is_hit(&evenkeel.get("/a?page=1&utm=1")));
}
