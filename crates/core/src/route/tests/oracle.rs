//! The same precedence written the slow way: sort all routes that match, take the first.

use std::cmp::Ordering;

use super::*;

/// What a pattern is worth: greater is more specific.
fn host_worth(route: &Route, request: &Request) -> Option<(u8, usize)> {
    if route.hosts.is_empty() {
        return Some((0, 0));
    }
    let worth = |pattern: &HostMatch| match pattern {
        HostMatch::Exact(name) => (name == request.host).then_some((2, 0)),
        HostMatch::Wildcard(suffix) => {
            let matches = request.host.ends_with(suffix.as_str()) && request.host != suffix;
            matches.then_some((1, suffix.len()))
        }
    };
    route.hosts.iter().filter_map(worth).max()
}

fn path_worth(route: &Route, request: &Request) -> Option<(u8, usize)> {
    let path = request.path;
    match &route.path {
        PathMatch::Exact(exact) => (exact == path).then_some((2, 0)),
        PathMatch::Prefix(prefix) => {
            let below = prefix == "/" || prefix == path || path.starts_with(&format!("{prefix}/"));
            below.then_some((1, prefix.len()))
        }
        PathMatch::Regex(regex) => regex.is_match(path).then_some((0, 0)),
    }
}

fn conditions_hold(route: &Route, request: &Request) -> bool {
    let query: Vec<&str> = request.query.map(|query| query.split('&').collect()).unwrap_or_default();
    (route.methods.is_empty() || route.methods.iter().any(|m| m == request.method))
        && route.headers.iter().all(|(n, v)| request.headers.contains(&(n.as_str(), v.as_str())))
        && route.query.iter().all(|(n, v)| query.contains(&format!("{n}={v}").as_str()))
        && (route.clients.is_empty() || route.clients.iter().any(|net| net.contains(&request.client)))
}

fn oracle(routes: &[Route], listener: &str, request: &Request) -> Option<usize> {
    let rank = |(_, route): &(usize, &Route)| {
        (
            !route.listeners.is_empty(),
            host_worth(route, request),
            path_worth(route, request),
            !route.methods.is_empty(),
            route.headers.len(),
            route.query.len(),
        )
    };
    let mut fitting: Vec<(usize, &Route)> = routes
        .iter()
        .enumerate()
        .filter(|(_, route)| {
            route.listeners.is_empty() || route.listeners.iter().any(|l| l.as_str() == listener)
        })
        .filter(|(_, route)| host_worth(route, request).is_some() && path_worth(route, request).is_some())
        .filter(|(_, route)| conditions_hold(route, request))
        .collect();
    fitting.sort_by(|a, b| match rank(b).cmp(&rank(a)) {
        Ordering::Equal => a.0.cmp(&b.0),
        unequal => unequal,
    });
    fitting.first().map(|(i, _)| *i)
}

fn some_hosts() -> impl Strategy<Value = Vec<HostMatch>> {
    const PATTERNS: &[&str] = &["a.b.c", "b.c", "x.b.c", "*.c", "*.b.c", "*.a.b.c"];
    prop::collection::vec(prop::sample::select(PATTERNS).prop_map(host), 0..3)
}

fn some_path() -> impl Strategy<Value = PathMatch> {
    prop_oneof![
        prop::sample::select(&["/", "/a", "/a/b", "/a/b/", "/ab"][..]).prop_map(exact),
        prop::sample::select(&["/", "/", "/a", "/a/b", "/ab", "/b"][..]).prop_map(prefix),
        prop::sample::select(&["/a.*", "/", "/.+/b/?"][..]).prop_map(regex),
    ]
}

fn some_pairs() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::vec(prop::sample::select(&[("x", "1"), ("y", "1"), ("x", "2")][..]), 0..3)
        .prop_map(|list| pairs(&list))
}

fn some_route() -> impl Strategy<Value = Route> {
    let listeners = prop::collection::vec(prop::sample::select(&["web", "secure"][..]), 0..2);
    let methods = prop::collection::vec(prop::sample::select(&["GET", "POST"][..]), 0..2);
    let clients =
        prop::collection::vec(prop::sample::select(&["10.0.0.0/8", "10.0.0.1/32", "::1/128"][..]), 0..2);
    (listeners, some_hosts(), some_path(), methods, some_pairs(), some_pairs(), clients).prop_map(
        |(listeners, hosts, path, methods, headers, query, clients)| Route {
            listeners: listeners.into_iter().map(ListenerName::from).collect(),
            hosts,
            path,
            methods: methods.into_iter().map(String::from).collect(),
            headers,
            query,
            clients: clients.into_iter().map(|net| net.parse().unwrap()).collect(),
            ..route("r")
        },
    )
}

fn some_request() -> impl Strategy<Value = Request> {
    (
        prop::sample::select(&["GET", "POST", "PUT"][..]),
        prop::sample::select(&["a.b.c", "b.c", "x.b.c", "y.a.b.c", "c", "", "z"][..]),
        prop::sample::select(&["/", "/a", "/a/b", "/a/b/", "/a/b/c", "/ab", "/abc", "/b/b"][..]),
        prop::sample::select(&[None, Some("x=1"), Some("x=2&y=1"), Some("y=1&x=1")][..]),
        prop::sample::select(&["10.0.0.1", "10.9.9.9", "::1", "192.0.2.1"][..]),
        prop::collection::vec(prop::sample::select(&[("x", "1"), ("y", "1"), ("x", "2")][..]), 0..3),
    )
        .prop_map(|(method, host, path, query, client, headers)| {
            let client = client.parse().unwrap();
            Request { method, host, path, query, client, headers }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn the_index_agrees_with_sorting_and_scanning(
        routes in prop::collection::vec(some_route(), 0..24),
        request in some_request(),
        listener in 0..2usize,
    ) {
        let table = table(routes.clone());
        let expected = oracle(&routes, ["web", "secure"][listener], &request)
            .or((listener == 0).then_some(routes.len()));
        prop_assert_eq!(table.find(listener, &request), expected);

        let trace = table.trace(listener, &request);
        prop_assert_eq!(trace.winner, expected);
        prop_assert_eq!(trace.considered.len(), table.len());
        let won: Vec<usize> =
            trace.considered.iter().filter(|c| c.verdict == Verdict::Won).map(|c| c.route).collect();
        prop_assert_eq!(won, Vec::from_iter(expected));
        // What matches but lost is what a table without the winner would choose from.
        for lost in trace.considered.iter().filter(|c| c.verdict == Verdict::LessSpecific && c.route < routes.len()) {
            let alone = &routes[lost.route..=lost.route];
            prop_assert_eq!(oracle(alone, ["web", "secure"][listener], &request), Some(0));
        }
    }
}
