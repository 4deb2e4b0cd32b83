//! Where a server sends its clients is right for them too when the route took a prefix off the path.

use crate::support::{Evenkeel, Origin, answer, pool};

fn start(rewrite: &str) -> (Origin, Evenkeel) {
    let origin = Origin::answering(|request| {
        let location = request.header("x-location").unwrap();
        let status = request.header("x-status").unwrap_or("302").parse().unwrap();
        answer(status, &format!("location: {location}\r\n"), "")
    });
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\n[[route]]\npath = \"/api/*\"\npool = \"app\"\n{rewrite}\n{}",
        pool(&[&origin], "")
    ));
    (origin, evenkeel)
}

fn location(evenkeel: &Evenkeel, theirs: &str, fields: &str) -> String {
    let response = evenkeel.client().get_with("/api/x", &format!("x-location: {theirs}\r\n{fields}"));
    response.header("location").unwrap().to_owned()
}

#[test]
fn a_location_gets_the_prefix_back_that_was_taken_off() {
    let (_origin, evenkeel) = start("rewrite = { strip_prefix = \"/api\" }");
    for (theirs, ours) in [
        ("/users?x=/y#z", "/api/users?x=/y#z"),
        ("/", "/api/"),
        ("/apix", "/api/apix"),
        ("http://test/users", "http://test/api/users"),
        ("http://TEST/users", "http://TEST/api/users"),
        // A server that knows of the prefix, from X-Forwarded-Prefix.
        ("/api/users", "/api/users"),
        ("/api", "/api"),
        ("http://test/api/users", "http://test/api/users"),
        // These mean what they say.
        ("users", "users"),
        ("?page=2", "?page=2"),
        ("//elsewhere.test/users", "//elsewhere.test/users"),
        ("https://elsewhere.test/users", "https://elsewhere.test/users"),
        ("mailto:a@test", "mailto:a@test"),
    ] {
        assert_eq!(location(&evenkeel, theirs, ""), ours, "{theirs}");
    }
    for status in [201, 301, 303, 307, 308] {
        assert_eq!(
            location(&evenkeel, "/users", &format!("x-status: {status}\r\n")),
            "/api/users",
            "{status}"
        );
    }
}

#[test]
fn a_location_stays_as_it_is_where_no_prefix_was_taken_off() {
    for rewrite in ["", "rewrite = { path = \"/new/*\" }"] {
        let (_origin, evenkeel) = start(rewrite);
        assert_eq!(location(&evenkeel, "/users", ""), "/users", "{rewrite}");
    }
}
