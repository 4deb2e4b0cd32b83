//! Fields that are not kept with a response reach the client that asked for it, and no other.

use crate::support::{Evenkeel, Origin, answer, eventually, pool};

#[track_caller]
fn check(rules: &str, directives: &str) {
    let fields = format!(
        "cache-control: max-age=600{directives}\r\nset-cookie: a=b\r\nset-cookie: c=d\r\nx-other: 1\r\n"
    );
    let origin = Origin::answering(move |_| answer(200, &fields, "hello"));
    let servers = pool(&[&origin], "");
    let config = format!("[[route]]\npath = \"/*\"\npool = \"app\"\ncache = {rules}\n{servers}");
    let evenkeel = Evenkeel::start(&config);

    let first = evenkeel.get("/");
    assert_eq!((first.headers("set-cookie"), first.text().as_str()), (vec!["a=b", "c=d"], "hello"));
    eventually("the response is kept", || {
        let next = evenkeel.get("/");
        let is_hit = next.header("cache-status").is_some_and(|said| said.starts_with("Evenkeel; hit"));
        assert_eq!((is_hit, next.headers("set-cookie").is_empty()), (is_hit, is_hit));
        assert_eq!((next.header("x-other"), next.text().as_str()), (Some("1"), "hello"));
        is_hit
    });
}

#[test]
fn cookies_that_the_route_ignores() {
    check("{ ignore_cookies = true }", "");
}

#[test]
fn fields_that_the_server_names() {
    check("true", ", no-cache=\"set-cookie\"");
    check("true", ", private=\"set-cookie\"");
}
