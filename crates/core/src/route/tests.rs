//! Route precedence: cases that read as data, and every case against a plain sort and scan.

use evenkeel_types::PoolName;
use ipnet::IpNet;
use proptest::prelude::*;

use super::*;

/// A route that matches everything.
pub(super) fn route(name: &str) -> Route {
    let everywhere = fallback_route(&ListenerName::from(name), Action::Pool(PoolName::from("p")));
    Route { name: RouteName::from(name), listeners: Vec::new(), ..everywhere }
}

#[derive(Debug, Clone)]
struct Request {
    method: &'static str,
    host: &'static str,
    path: &'static str,
    query: Option<&'static str>,
    client: IpAddr,
    headers: Vec<(&'static str, &'static str)>,
}

impl Facts for Request {
    fn method(&self) -> &str {
        self.method
    }
    fn host(&self) -> &str {
        self.host
    }
    fn path(&self) -> &str {
        self.path
    }
    fn query(&self) -> Option<&str> {
        self.query
    }
    fn client(&self) -> IpAddr {
        self.client
    }
    fn has_header(&self, name: &str, value: &str) -> bool {
        self.headers.contains(&(name, value))
    }
}

fn get(host: &'static str, path: &'static str) -> Request {
    Request { method: "GET", host, path, query: None, client: [10, 0, 0, 1].into(), headers: Vec::new() }
}

/// Two listeners: `web`, which has a pool of its own, and `secure`, which has none.
fn config(routes: Vec<Route>) -> Config {
    const AROUND: &str = "[listener.web]\nbind = 80\npool = \"own\"\n[listener.secure]\nbind = 443\n\
                          [pool.own]\nbackends = [1]\n[pool.p]\nbackends = [2]\n";
    Config { routes, ..evenkeel_config::parse("test.toml", AROUND).unwrap().config }
}

fn table(routes: Vec<Route>) -> RouteTable {
    RouteTable::new(&config(routes))
}

const SECURE: usize = 1;

fn exact(path: &str) -> PathMatch {
    PathMatch::Exact(path.into())
}

fn prefix(path: &str) -> PathMatch {
    PathMatch::Prefix(path.into())
}

fn regex(pattern: &str) -> PathMatch {
    PathMatch::Regex(regex::Regex::new(&format!("^(?:{pattern})$")).unwrap())
}

fn host(pattern: &str) -> HostMatch {
    match pattern.strip_prefix('*') {
        Some(suffix) => HostMatch::Wildcard(suffix.into()),
        None => HostMatch::Exact(pattern.into()),
    }
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// The routes, each more specific than the next, are tried in this order wherever they stand in the file.
fn check_order(routes: &[Route], request: &Request) {
    for turn in 0..routes.len() {
        for first in 0..routes.len() {
            let mut file: Vec<Route> = routes[first..].to_vec();
            file.rotate_left(turn % (routes.len() - first));
            let table = table(file);
            let found = table.find(SECURE, request).map(|found| table.route(found).name.as_str());
            assert_eq!(found, Some(routes[first].name.as_str()), "rotated by {turn}");
        }
    }
}

#[test]
fn what_is_near_is_bounded_and_names_no_secret() {
    let with = |name: &str, header: (&str, &str)| Route {
        headers: vec![(header.0.into(), header.1.into())],
        ..route(name)
    };
    let many = (0..20).map(|i| with(&format!("r{i}"), ("x-api-key", "s3cret")));
    let table = table(many.chain([route("all")]).collect());
    let near = table.near(SECURE, &get("a.b", "/x"), 5, |name| name.contains("key"));
    assert_eq!(near.len(), 5);
    assert!(near.iter().all(|near| near.verdict == Verdict::Refused && !near.reason.contains("s3cret")));
    let all = table.near(SECURE, &get("a.b", "/x"), 100, |_| false);
    assert_eq!((all.len(), all[20].verdict), (21, Verdict::Won));
    assert!(all[0].reason.contains("s3cret"), "{}", all[0].reason);
}

#[test]
fn hosts_from_exact_to_wildcard_to_none() {
    let with = |pattern: &str| Route { hosts: vec![host(pattern)], ..route(pattern) };
    check_order(
        &[
            with("a.b.example.com"),
            with("*.b.example.com"),
            with("*.example.com"),
            with("*.com"),
            route("any"),
        ],
        &get("a.b.example.com", "/"),
    );
}

#[test]
fn paths_from_exact_to_longer_prefix_to_regex() {
    let with = |name: &str, path| Route { path, ..route(name) };
    check_order(
        &[
            with("exact", exact("/api/v1/cart")),
            with("three", prefix("/api/v1/cart")),
            with("two", prefix("/api/v1")),
            with("one", prefix("/api")),
            with("regex", regex("/api/.*")),
        ],
        &get("a", "/api/v1/cart"),
    );
}

#[test]
fn then_method_then_headers_then_query() {
    let request =
        Request { query: Some("a=1&b=2"), headers: vec![("x-a", "1"), ("x-b", "2")], ..get("h", "/") };
    check_order(
        &[
            Route { methods: vec!["GET".into()], ..route("method") },
            Route { headers: pairs(&[("x-a", "1"), ("x-b", "2")]), ..route("two headers") },
            Route {
                headers: pairs(&[("x-a", "1")]),
                query: pairs(&[("a", "1")]),
                ..route("header and query")
            },
            Route { headers: pairs(&[("x-b", "2")]), ..route("header") },
            Route { query: pairs(&[("a", "1"), ("b", "2")]), ..route("two queries") },
            Route { query: pairs(&[("b", "2")]), ..route("query") },
            route("none"),
        ],
        &request,
    );
}

#[test]
fn listener_over_host_over_path() {
    check_order(
        &[
            Route { listeners: vec![ListenerName::from("secure")], ..route("listener") },
            Route { hosts: vec![host("a.b")], ..route("host") },
            Route { path: exact("/x"), ..route("path") },
            Route { methods: vec!["GET".into()], ..route("method") },
        ],
        &get("a.b", "/x"),
    );
}

#[test]
fn equal_routes_are_tried_in_the_order_of_the_file() {
    let table = table(vec![route("first"), route("second")]);
    assert_eq!(table.find(0, &get("a", "/")), Some(0));
}

fn found(table: &RouteTable, listener: usize, request: &Request) -> Option<String> {
    table.find(listener, request).map(|found| table.route(found).name.to_string())
}

#[test]
fn a_listeners_own_pool_comes_last_and_for_it_alone() {
    let table = table(vec![Route { path: prefix("/api"), ..route("api") }]);
    assert_eq!(found(&table, 0, &get("a", "/api/x")).as_deref(), Some("api"));
    assert_eq!(found(&table, 0, &get("a", "/other")).as_deref(), Some("listener:web"));
    assert_eq!(found(&table, SECURE, &get("a", "/other")), None);
    assert!(matches!(&table.route(1).action, Action::Pool(pool) if pool.as_str() == "own"));
}

#[test]
fn prefixes_match_whole_segments_and_wildcards_whole_labels() {
    let table = table(vec![
        Route { path: prefix("/api"), hosts: vec![host("*.example.com")], ..route("both") },
        Route { path: prefix("/"), hosts: vec![host("star.test")], ..route("all") },
    ]);
    let check =
        |host, path, expected| assert_eq!(found(&table, SECURE, &get(host, path)).as_deref(), expected);
    check("a.example.com", "/api", Some("both"));
    check("a.b.example.com", "/api/", Some("both"));
    check("a.example.com", "/apix", None);
    check("a.example.com", "/ap", None);
    check("example.com", "/api", None);
    check("aexample.com", "/api", None);
    check(".example.com", "/api", None);
    check("", "/api", None);
    check("star.test", "*", Some("all"));
}

#[test]
fn a_failed_condition_leaves_the_request_to_the_next_route() {
    let net: IpNet = "10.0.0.0/8".parse().unwrap();
    let table = table(vec![
        Route { hosts: vec![host("a.b")], methods: vec!["POST".into()], ..route("post") },
        Route { path: exact("/x"), clients: vec![net], ..route("inside") },
        Route { path: prefix("/x"), headers: pairs(&[("x-canary", "1")]), ..route("canary") },
        route("rest"),
    ]);
    let check =
        |request: Request, expected| assert_eq!(found(&table, SECURE, &request).as_deref(), Some(expected));
    check(Request { method: "POST", ..get("a.b", "/x") }, "post");
    check(get("a.b", "/x"), "inside");
    check(Request { client: "::ffff:10.1.2.3".parse().unwrap(), ..get("a.b", "/x") }, "inside");
    let outside = Request { client: [192, 0, 2, 1].into(), ..get("a.b", "/x") };
    check(Request { headers: vec![("x-canary", "1")], ..outside.clone() }, "canary");
    check(outside, "rest");
    check(Request { method: "post", ..get("a.b", "/y") }, "rest");
}

#[test]
fn patterns_match_in_normal_form() {
    let table = table(vec![
        Route { path: exact("/caf\u{e9}"), ..route("accent") },
        Route { hosts: vec![host("[2001:db8:0::1]")], ..route("v6") },
        Route { hosts: vec![host("Dotted.example.")], ..route("dot") },
    ]);
    let path = normalise("/caf%c3%a9").unwrap();
    assert_eq!(path, "/caf%C3%A9");
    assert_eq!(found(&table, SECURE, &get("a", "/caf%C3%A9")).as_deref(), Some("accent"));
    assert_eq!(found(&table, SECURE, &get("[2001:db8::1]", "/")).as_deref(), Some("v6"));
    assert_eq!(found(&table, SECURE, &get("dotted.example", "/")).as_deref(), Some("dot"));
}

#[test]
fn a_trace_says_why_of_every_route() {
    let table = table(vec![
        Route { listeners: vec![ListenerName::from("web")], ..route("elsewhere") },
        Route { hosts: vec![host("*.c"), host("x.y")], ..route("host") },
        Route { path: prefix("/api"), ..route("path") },
        route("rest"),
        Route { methods: vec!["PUT".into(), "POST".into()], ..route("method") },
        Route { headers: pairs(&[("x-canary", "1")]), ..route("header") },
        Route { query: pairs(&[("beta", "true")]), ..route("query") },
        Route { path: exact("/x"), clients: vec!["10.0.0.0/24".parse().unwrap()], ..route("won") },
    ]);
    let trace = table.trace(SECURE, &get("a.b", "/x"));
    assert_eq!(trace.winner, Some(7));
    let told: Vec<String> = trace
        .considered
        .iter()
        .map(|c| format!("{}: {:?}: {}", table.route(c.route).name, c.verdict, c.reason))
        .collect();
    assert_eq!(
        told,
        [
            "won: Won: the most specific match: any host, exact path",
            "method: Refused: the method is GET, not PUT or POST",
            "header: Refused: no header `x-canary: 1`",
            "query: Refused: no query parameter `beta=true`",
            "rest: LessSpecific: matches, but `won` is more specific",
            "path: Refused: the path `/x` is not `/api` or below it",
            "host: Refused: the host is `a.b`, not `*.c` or `x.y`",
            "elsewhere: Refused: only for listener `web`",
            "listener:web: Refused: only for listener `web`",
        ]
    );
}

mod oracle;
mod reachable;
