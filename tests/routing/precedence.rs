//! The most specific route wins, whatever the order in the file.

use crate::support::{Evenkeel, Response};

/// Routes, each named by what it answers, from the most to the least specific.
const ROUTES: [(&str, &str); 13] = [
    ("listener", "listener = \"special\"\npath = \"/listener\""),
    ("exact host, exact path", "host = \"a.shop.test\"\npath = \"/x/y\""),
    ("exact host, long prefix", "host = \"a.shop.test\"\npath = \"/x/*\""),
    ("exact host", "host = \"a.shop.test\""),
    ("long wildcard", "host = \"*.deep.shop.test\""),
    ("wildcard, exact path", "host = \"*.shop.test\"\npath = \"/x/y\""),
    ("wildcard", "host = \"*.shop.test\""),
    ("exact path", "path = \"/x/y\""),
    ("method", "path = \"/x/*\"\nmethod = \"POST\""),
    ("two headers", "path = \"/x/*\"\nheaders = { x-a = \"1\", x-b = \"1\" }"),
    ("one header", "path = \"/x/*\"\nheaders = { x-a = \"1\" }"),
    ("query", "path = \"/x/*\"\nquery = { q = \"1\" }"),
    ("prefix", "path = \"/x/*\""),
];

/// What is asked, and which route takes it.
const REQUESTS: [(&str, &str, &str, &str); 17] = [
    ("GET", "/x/y", "host: a.shop.test", "exact host, exact path"),
    ("GET", "/x/z", "host: a.shop.test", "exact host, long prefix"),
    ("GET", "/x", "host: a.shop.test", "exact host, long prefix"),
    ("GET", "/z", "host: a.shop.test", "exact host"),
    ("POST", "/x/z", "host: a.shop.test\r\nx-a: 1", "exact host, long prefix"),
    ("GET", "/x/y", "host: b.deep.shop.test", "long wildcard"),
    ("GET", "/x/y", "host: b.shop.test", "wildcard, exact path"),
    ("GET", "/z", "host: b.shop.test", "wildcard"),
    ("GET", "/z", "host: c.b.shop.test", "wildcard"),
    ("GET", "/x/y", "host: shop.test", "exact path"),
    ("POST", "/x/y", "host: shop.test", "exact path"),
    ("POST", "/x/z", "host: test\r\nx-a: 1\r\nx-b: 1", "method"),
    ("GET", "/x/z?q=1", "host: test\r\nx-a: 1\r\nx-b: 1", "two headers"),
    ("GET", "/x/z?q=1", "host: test\r\nx-a: 1", "one header"),
    ("GET", "/x/z?q=1", "host: test\r\nx-b: 1", "query"),
    ("GET", "/x/z", "host: test", "prefix"),
    ("GET", "/regex42", "host: test", "regex"),
];

fn toml(routes: &[(&str, &str)]) -> String {
    let mut text =
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\n[listener.special]\nbind = [\"127.0.0.1:0\"]\n".to_owned();
    for (name, keys) in routes {
        text += &format!("[[route]]\n{keys}\nrespond = {{ body = \"{name}\" }}\n");
    }
    text
}

fn ask(evenkeel: &Evenkeel, method: &str, target: &str, fields: &str) -> Response {
    evenkeel.ask(format!("{method} {target} HTTP/1.1\r\n{fields}\r\ncontent-length: 0\r\n\r\n"))
}

#[test]
fn the_most_specific_route_wins_in_either_order() {
    let mut routes = ROUTES.to_vec();
    routes.push(("regex", "path_regex = \"/regex[0-9]+\""));

    for _ in 0..2 {
        let evenkeel = Evenkeel::start(&toml(&routes));
        for (method, target, fields, expected) in REQUESTS {
            assert_eq!(ask(&evenkeel, method, target, fields).text(), expected, "{method} {target} {fields}");
        }
        assert_eq!(evenkeel.get("/anything/else").status, 404);
        routes.reverse();
    }
}

#[test]
fn a_prefix_wins_over_a_regex_and_an_exact_path_over_both() {
    let routes = [
        ("regex", "path_regex = \"/a/b.*\""),
        ("short", "path = \"/a/*\""),
        ("long", "path = \"/a/b/*\""),
        ("exact", "path = \"/a/b/c\""),
    ];
    let evenkeel = Evenkeel::start(&toml(&routes));
    for (target, expected) in [("/a/b/c", "exact"), ("/a/b/d", "long"), ("/a/b", "long"), ("/a/bx", "short")]
    {
        assert_eq!(evenkeel.get(target).text(), expected, "{target}");
    }
}

#[test]
fn among_equals_the_first_in_the_file_wins() {
    let routes = [
        ("first", "path = \"/x\"\nheaders = { x-a = \"1\" }"),
        ("second", "path = \"/x\"\nheaders = { x-b = \"1\" }"),
    ];
    let evenkeel = Evenkeel::start(&toml(&routes));
    let both = ask(&evenkeel, "GET", "/x", "host: test\r\nx-a: 1\r\nx-b: 1");
    assert_eq!(both.text(), "first");
    assert_eq!(ask(&evenkeel, "GET", "/x", "host: test\r\nx-b: 1").text(), "second");
}

#[test]
fn a_listener_that_is_named_wins_over_everything() {
    let routes = [
        ("any listener, most specific", "host = \"test\"\npath = \"/x\"\nmethod = \"GET\""),
        ("this listener", "listener = \"special\""),
    ];
    let evenkeel = Evenkeel::start(&toml(&routes));
    assert_eq!(evenkeel.get("/x").text(), "any listener, most specific");
    let mut special = crate::support::Client::connect(evenkeel.listener("special"));
    assert_eq!(special.get("/x").text(), "this listener");
}
