//! Which URLs an unsafe request invalidates.

use super::*;

const AT: (&str, &str, Option<&str>) = ("shop.example.com", "/a/b", Some("q=1"));

fn after(method: &str, status: u16, answer: &[(&str, &str)]) -> Vec<Scope> {
    invalidated(method, status, AT, answer)
}

fn url(path: &str, query: Option<&str>) -> Scope {
    Scope::url("shop.example.com", path, query)
}

#[test]
fn success_invalidates_what_was_asked_for() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"] {
        assert_eq!(after(method, 200, &[]), [url("/a/b", Some("q=1"))], "{method}");
        assert_eq!(after(method, 303, &[]).len(), 1, "{method}");
        assert_eq!((after(method, 404, &[]), after(method, 500, &[])), (Vec::new(), Vec::new()), "{method}");
    }
    for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
        assert_eq!(after(method, 200, &[("location", "/x")]), [], "{method}");
    }
}

#[test]
fn references_are_resolved() {
    let check = |reference: &str, expected: Option<Scope>| {
        let mut all = vec![url("/a/b", Some("q=1"))];
        all.extend(expected.filter(|scope| !all.contains(scope)));
        assert_eq!(after("POST", 201, &[("location", reference)]), all, "{reference}");
    };
    check("/x", Some(url("/x", None)));
    check("c", Some(url("/a/c", None)));
    check("../c/./d?z#f", Some(url("/c/d", Some("z"))));
    check("?z", Some(url("/a/b", Some("z"))));
    check("#f", None);
    check("", None);
    check("http://shop.example.com/x", Some(url("/x", None)));
    check("HTTPS://SHOP.example.com:8443/x?y", Some(url("/x", Some("y"))));
    check("https://shop.example.com", Some(url("/", None)));
    check("//shop.example.com/x", Some(url("/x", None)));
    // Another host is not ours to purge.
    for other in ["http://other.example.com/a", "//other.example.com/a", "https://shop.example.com.evil/a"] {
        check(other, None);
    }
    let both = after("PUT", 200, &[("content-location", "/x"), ("location", "/x")]);
    assert_eq!(both, [url("/a/b", Some("q=1")), url("/x", None)]);
}

#[test]
fn no_reference_makes_it_panic() {
    let mut rng = fastrand::Rng::with_seed(3);
    let parts = [
        "/",
        ":",
        "?",
        "#",
        "..",
        ".",
        "http",
        "//",
        "%",
        "%2e",
        "a",
        "shop.example.com",
        "\u{fc}",
        "[",
        "]",
    ];
    for _ in 0..50_000 {
        let text: String = (0..rng.usize(..8)).map(|_| parts[rng.usize(..parts.len())]).collect();
        after("POST", 200, &[("location", &text)]);
        Scope::host(&text);
    }
}
