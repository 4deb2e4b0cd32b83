//! Which requests share a response: exactly those that agree in all that may make a difference.

use crate::support::cache::{fresh, is_hit, start};
use crate::support::{Evenkeel, Origin, pool};

/// A server whose responses say what it was asked.
fn telling() -> Origin {
    Origin::answering(|request| {
        let cookie = request.header("cookie").unwrap_or_default();
        let language = request.header("accept-language").unwrap_or_default();
        let host = request.header("host").unwrap_or_default();
        fresh("", &format!("{host} {} {cookie} {language}", request.target()))
    })
}

/// Asks once, and says whether the second request is answered with what the first one brought.
fn shares(evenkeel: &Evenkeel, first: (&str, &str), second: (&str, &str)) -> bool {
    evenkeel.client().get_with(first.0, first.1);
    is_hit(&evenkeel.client().get_with(second.0, second.1))
}

#[test]
fn all_of_the_query_counts_unless_the_route_selects() {
    let origin = telling();
    let evenkeel = start(&origin, "true");
    assert!(!shares(&evenkeel, ("/a?x=1", ""), ("/a?x=2", "")));
    assert!(!shares(&evenkeel, ("/b?x=1&y=2", ""), ("/b?y=2&x=1", "")));
    assert!(!shares(&evenkeel, ("/c", ""), ("/c?", "")));
    assert!(shares(&evenkeel, ("/d?x=1", ""), ("/d?x=1", "")));
    assert!(!shares(&evenkeel, ("/E", ""), ("/e", "")));
}

#[test]
fn only_selected_parameters_count() {
    let origin = telling();
    let evenkeel = start(&origin, "{ key = { query = [\"page\"] } }");
    assert!(shares(&evenkeel, ("/a?page=1&utm=x", ""), ("/a?utm=y&page=1", "")));
    assert!(!shares(&evenkeel, ("/b?page=1", ""), ("/b?page=2", "")));
    assert!(!shares(&evenkeel, ("/c?page=1", ""), ("/c", "")));
    assert!(!shares(&evenkeel, ("/d?page=1", ""), ("/d?page=1&page=2", "")));
    assert!(!shares(&evenkeel, ("/e?page=1", ""), ("/e?%70age=2", "")), "the name in another spelling");
    assert!(!shares(&evenkeel, ("/f?x=1;page=2", ""), ("/f?x=1;page=3", "")), "some servers split at `;`");
    assert!(!shares(&evenkeel, ("/g?page", ""), ("/g?page=", "")));
}

#[test]
fn selected_headers_and_cookies_count() {
    let origin = telling();
    let evenkeel = start(&origin, "{ key = { headers = [\"accept-language\"], cookies = [\"theme\"] } }");
    let (german, english) = ("accept-language: de\r\n", "accept-language: en\r\n");
    assert!(!shares(&evenkeel, ("/a", german), ("/a", english)));
    assert!(shares(&evenkeel, ("/b", german), ("/b", german)));
    assert!(!shares(&evenkeel, ("/c", "cookie: theme=dark\r\n"), ("/c", "cookie: theme=light\r\n")));
    assert!(shares(
        &evenkeel,
        ("/d", "cookie: theme=dark; s=1\r\n"),
        ("/d", "cookie: s=2\r\ncookie: theme=dark\r\n")
    ));
    assert!(!shares(&evenkeel, ("/e", "cookie: theme=dark\r\n"), ("/e", "")));
}

#[test]
fn hosts_in_upper_and_lower_case_are_one_and_ports_count() {
    let origin = telling();
    let evenkeel = start(&origin, "true");
    let ask = |host: &str| evenkeel.ask(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n"));
    assert!(!is_hit(&ask("One.test")));
    assert!(is_hit(&ask("one.TEST")));
    assert!(!is_hit(&ask("two.test")));
    assert!(!is_hit(&ask("one.test:8080")));
    let absolute = "GET http://one.test/ HTTP/1.1\r\nhost: one.test\r\n\r\n";
    assert!(is_hit(&evenkeel.ask(absolute)));
}

#[test]
fn routes_of_one_path_never_share() {
    let (one, two) = (Origin::answering(|_| fresh("", "one")), Origin::answering(|_| fresh("", "two")));
    for condition in
        ["headers = { x-beta = \"yes\" }", "query = { beta = \"yes\" }", "client = [\"127.0.0.2/32\"]"]
    {
        let evenkeel = Evenkeel::start(&format!(
            "[[route]]\nname = \"special\"\npath = \"/*\"\npool = \"two\"\ncache = {{ key = {{ query = [] }} }}\n{condition}\n\
             [[route]]\nname = \"plain\"\npath = \"/*\"\npool = \"app\"\ncache = {{ key = {{ query = [] }} }}\n\
             {}[pool.two]\nbackends = [\"{}\"]\n",
            pool(&[&one], ""),
            two.address()
        ));
        for _ in 0..2 {
            assert_eq!(evenkeel.get("/").text(), "one", "{condition}");
            let mut client = crate::support::Client::from([127, 0, 0, 2], evenkeel.address());
            let special = client.get_with("/?beta=yes", "x-beta: yes\r\n");
            assert_eq!(special.text(), "two", "{condition}");
        }
    }
}

#[test]
fn routes_of_one_pool_that_change_the_request_never_share() {
    let origin = Origin::answering(|request| fresh("", request.header("x-tenant").unwrap_or("none")));
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\nname = \"special\"\npath = \"/*\"\npool = \"app\"\ncache = true\nheaders = {{ x-beta = \"yes\" }}\n\
         request_headers = {{ set = {{ x-tenant = \"beta\" }} }}\n\
         [[route]]\nname = \"plain\"\npath = \"/*\"\npool = \"app\"\ncache = true\n{}",
        pool(&[&origin], "")
    ));
    for _ in 0..2 {
        assert_eq!(evenkeel.get("/").text(), "none");
        assert_eq!(evenkeel.client().get_with("/", "x-beta: yes\r\n").text(), "beta");
    }
}

#[test]
fn paths_that_a_rewrite_makes_one_share_nothing() {
    let origin = telling();
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\nname = \"one\"\npath = \"/one/*\"\npool = \"app\"\ncache = true\nrewrite = {{ strip_prefix = \"/one\" }}\n\
         [[route]]\nname = \"two\"\npath = \"/two/*\"\npool = \"app\"\ncache = true\nrewrite = {{ strip_prefix = \"/two\" }}\n{}",
        pool(&[&origin], "")
    ));
    assert!(!shares(&evenkeel, ("/one/x", ""), ("/two/x", "")));
    assert!(shares(&evenkeel, ("/one/x", ""), ("/one/x", "")));
}

#[test]
fn pools_of_a_split_never_share() {
    let (one, two) = (Origin::answering(|_| fresh("", "one")), Origin::answering(|_| fresh("", "two")));
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\nname = \"main\"\npath = \"/*\"\nsplit = [{{ pool = \"app\", weight = 50 }}, {{ pool = \"two\", weight = 50 }}]\ncache = true\n\
         {}[pool.two]\nbackends = [\"{}\"]\n",
        pool(&[&one], ""),
        two.address()
    ));
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..60 {
        *seen.entry(evenkeel.get("/").text()).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_eq!((one.count(), two.count()), (1, 1));
}

#[test]
fn the_scheme_counts() {
    let origin =
        Origin::answering(|request| fresh("", request.header("x-forwarded-proto").unwrap_or_default()));
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\nname = \"main\"\npath = \"/*\"\npool = \"app\"\ncache = true\n\
         [listener.web]\nbind = [\"127.0.0.1:0\"]\ntrusted_proxies = [\"127.0.0.1\"]\n{}",
        pool(&[&origin], "")
    ));
    for _ in 0..2 {
        for scheme in ["http", "https"] {
            let response = evenkeel.client().get_with("/", &format!("x-forwarded-proto: {scheme}\r\n"));
            assert_eq!(response.text(), scheme);
        }
    }
    assert_eq!(origin.count(), 2);
}
