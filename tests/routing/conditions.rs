//! Each condition of a route by itself: what it takes and what it does not.

use crate::support::{Client, Evenkeel};

/// One route with these keys; true when it takes the request.
fn taken(evenkeel: &Evenkeel, method: &str, target: &str, fields: &str) -> bool {
    let response =
        evenkeel.ask(format!("{method} {target} HTTP/1.1\r\n{fields}\r\ncontent-length: 0\r\n\r\n"));
    match response.status {
        200 => true,
        404 => false,
        other => panic!("{method} {target} {fields}: {other}"),
    }
}

fn check(keys: &str, cases: &[(&str, &str, &str, bool)]) {
    let evenkeel = Evenkeel::start(&format!("[[route]]\n{keys}\nrespond = {{}}\n"));
    for (method, target, fields, expected) in cases {
        assert_eq!(taken(&evenkeel, method, target, fields), *expected, "{keys}: {method} {target} {fields}");
    }
}

#[test]
fn hosts() {
    check(
        "host = [\"shop.test\", \"*.cdn.test\"]",
        &[
            ("GET", "/", "host: shop.test", true),
            ("GET", "/", "host: SHOP.TEST", true),
            ("GET", "/", "host: shop.test:8080", true),
            ("GET", "/", "host: a.cdn.test", true),
            ("GET", "/", "host: a.b.cdn.test", true),
            ("GET", "/", "host: cdn.test", false),
            ("GET", "/", "host: xcdn.test", false),
            ("GET", "/", "host: a.shop.test", false),
            ("GET", "/", "host: shop.test.evil", false),
        ],
    );
}

#[test]
fn exact_and_prefix_paths() {
    let host = "host: test";
    check(
        "path = \"/a\"",
        &[
            ("GET", "/a", host, true),
            ("GET", "/a?q", host, true),
            ("GET", "/a/", host, false),
            ("GET", "/a/b", host, false),
            ("GET", "/A", host, false),
        ],
    );
    check(
        "path = \"/a/*\"",
        &[
            ("GET", "/a", host, true),
            ("GET", "/a/", host, true),
            ("GET", "/a/b/c", host, true),
            ("GET", "/ab", host, false),
            ("GET", "/", host, false),
        ],
    );
}

#[test]
fn regex_paths_match_the_whole_path() {
    let host = "host: test";
    check(
        "path_regex = \"/item/[0-9]+\"",
        &[
            ("GET", "/item/42", host, true),
            ("GET", "/item/42?q=/x", host, true),
            ("GET", "/item/42/x", host, false),
            ("GET", "/x/item/42", host, false),
            ("GET", "/item/", host, false),
        ],
    );
}

#[test]
fn methods_are_case_sensitive() {
    check(
        "method = [\"GET\", \"PURGE\"]",
        &[
            ("GET", "/", "host: test", true),
            ("PURGE", "/", "host: test", true),
            ("POST", "/", "host: test", false),
            ("get", "/", "host: test", false),
        ],
    );
}

#[test]
fn headers_all_match() {
    check(
        "headers = { x-canary = \"1\", X-Env = \"prod\" }",
        &[
            ("GET", "/", "host: test\r\nx-canary: 1\r\nx-env: prod", true),
            ("GET", "/", "host: test\r\nX-CANARY: 1\r\nX-ENV:   prod  ", true),
            ("GET", "/", "host: test\r\nx-canary: 1", false),
            ("GET", "/", "host: test\r\nx-canary: 2\r\nx-env: prod", false),
            ("GET", "/", "host: test\r\nx-canary: 1\r\nx-env: PROD", false),
        ],
    );
}

#[test]
fn queries_all_match_after_decoding() {
    check(
        "query = { beta = \"true\", q = \"a b\" }",
        &[
            ("GET", "/?beta=true&q=a%20b", "host: test", true),
            ("GET", "/?x&q=a%20b&y=1&beta=true", "host: test", true),
            ("GET", "/?b%65ta=tru%65&q=a%20b", "host: test", true),
            ("GET", "/?beta=true", "host: test", false),
            ("GET", "/?beta=True&q=a%20b", "host: test", false),
            ("GET", "/", "host: test", false),
        ],
    );
}

#[test]
fn clients_by_network() {
    let evenkeel = Evenkeel::start("[[route]]\nclient = [\"127.0.0.8/29\", \"127.0.0.77\"]\nrespond = {}\n");
    for (last, expected) in [(8, 200), (15, 200), (77, 200), (16, 404), (7, 404), (78, 404)] {
        let mut client = Client::from([127, 0, 0, last], evenkeel.address());
        assert_eq!(client.get("/").status, expected, "127.0.0.{last}");
    }
}

#[test]
fn a_condition_that_fails_falls_through_to_the_next_route() {
    let evenkeel = Evenkeel::start(
        "[[route]]\nhost = \"test\"\npath = \"/x\"\nmethod = \"POST\"\nrespond = { body = \"post\" }\n\
         [[route]]\nhost = \"test\"\nrespond = { body = \"host\" }\n\
         [[route]]\npath = \"/x\"\nrespond = { body = \"path\" }\n",
    );
    assert_eq!(evenkeel.get("/x").text(), "host");
    assert_eq!(evenkeel.ask("GET /x HTTP/1.1\r\nhost: other\r\n\r\n").text(), "path");
    assert_eq!(evenkeel.ask("GET /y HTTP/1.1\r\nhost: other\r\n\r\n").status, 404);
}
