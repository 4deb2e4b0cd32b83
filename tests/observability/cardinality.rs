//! `/metrics` stays small: neither clients nor a large configuration, nor one reload after the other, make it grow.

use std::fmt::Write as _;

use crate::support::{Evenkeel, Origin, eventually, pool};

/// The names and labels of all samples, without values.
fn series(evenkeel: &Evenkeel) -> Vec<String> {
    let page = evenkeel.admin("GET", "/metrics", "").text();
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

#[test]
fn clients_make_no_series() {
    let origin = Origin::answering(|request| {
        let status = request.target().rsplit('-').next().and_then(|last| last.parse().ok()).unwrap_or(200);
        crate::support::answer(status, "x-cache: odd\r\n", "")
    })
    .called("a");
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\nname = \"all\"\npool = \"app\"\ncache = true\n\
         rate_limit = {{ per = \"header:x-key\", rate = \"100000/s\" }}\n{}",
        pool(&[&origin], "sticky = { header = \"x-session\" }")
    ));
    let ask = |client: usize| {
        let method = ["GET", "POST", "BREW", "M-SEARCH", "X"][client % 5];
        let status = [200, 404, 503, 299, 599][client / 5 % 5];
        let head = format!(
            "{method} /path-{client}-{status} HTTP/1.1\r\nhost: host-{client}.example\r\nx-key: {client}\r\n\
             x-session: {client}\r\nuser-agent: agent-{client}\r\nx-request-id: id-{client}\r\ncontent-length: 0\r\n\r\n"
        );
        evenkeel.ask(head);
    };
    let counted = || evenkeel.metric("evenkeel_requests_total", &[]);
    (0..50).for_each(ask);
    eventually("the first are counted", || counted() == 50.0);
    let before = series(&evenkeel);
    (50..300).for_each(ask);
    eventually("all are counted", || counted() == 300.0);
    let new: Vec<_> = series(&evenkeel).into_iter().filter(|one| !before.contains(one)).collect();
    assert!(new.len() < 5, "{new:#?}");
    for word in ["host-", "path-", "agent-", "id-", "BREW", "x-key"] {
        assert!(!new.iter().any(|one| one.contains(word)), "{word} in {new:#?}");
    }
}

const ROUTES: usize = 10_000;
/// Combinations of route, pool and server that have figures of their own.
const SERIES_MAX: usize = 2_000;
const PAGE_MAX: usize = 8_000_000;

#[test]
fn of_ten_thousand_routes_those_beyond_the_maximum_count_together() {
    let origins = [Origin::named("a"), Origin::named("b")];
    let mut text = pool(&[&origins[0], &origins[1]], "");
    for at in 0..ROUTES {
        let _ = writeln!(
            text,
            "[[route]]\nname = \"r{at}\"\npath = \"/{at}/*\"\npool = \"app\"\ncache = {{ ttl = \"1s\" }}\n"
        );
    }
    let evenkeel = Evenkeel::start(&text);
    let mut client = evenkeel.client();
    for at in 0..ROUTES {
        assert_eq!(client.get(&format!("/{at}/")).status, 200);
    }
    let counted = |labels: &[&str]| evenkeel.metric("evenkeel_requests_total", labels);
    eventually("all are counted", || counted(&[]) == ROUTES as f64);
    let page = evenkeel.admin("GET", "/metrics", "").text();
    assert!(page.len() < PAGE_MAX, "{} bytes", page.len());
    assert_eq!(counted(&["route=\"r0\""]), 1.0);
    assert_eq!(counted(&["route=\"r9999\""]), 0.0);
    assert_eq!(counted(&["route=\"other\""]), (ROUTES - SERIES_MAX) as f64);
    // Servers keep what is theirs.
    assert_eq!(counted(&["backend=\"a\""]), ROUTES as f64 / 2.0);
    assert_eq!(evenkeel.metric("evenkeel_metrics_folded", &["kind=\"route\""]), (ROUTES - SERIES_MAX) as f64);
    assert!(evenkeel.metric("evenkeel_cache_requests_total", &["route=\"other\""]) > 0.0);
}

#[test]
fn routes_that_a_reload_removes_leave_the_page() {
    let origin = Origin::named("a");
    let named =
        |name: &str| format!("[[route]]\nname = \"{name}\"\npool = \"app\"\n{}", pool(&[&origin], ""));
    let evenkeel = Evenkeel::start(&named("first"));
    for name in ["second", "third"] {
        assert_eq!(evenkeel.get("/").status, 200);
        eventually("it is counted", || evenkeel.metric("evenkeel_requests_total", &[]) == 1.0);
        assert_eq!(evenkeel.reload(&named(name)).status / 100, 2);
    }
    assert_eq!(evenkeel.get("/").status, 200);
    let page = || series(&evenkeel);
    eventually("the last is counted", || page().iter().any(|one| one.contains("route=\"third\"")));
    assert!(!page().iter().any(|one| one.contains("\"first\"") || one.contains("\"second\"")));
}
