//! What `check` says of routes that never get a request, against the table that would send them one.

use super::*;

const HOSTS: [&str; 7] = ["a.b.c", "b.c", "x.b.c", "y.a.b.c", "c", "", "z"];
const PATHS: [&str; 4] = ["/", "/a", "/a/b", "*"];

fn some_route() -> impl Strategy<Value = Route> {
    let some = |words: &'static [&'static str]| prop::collection::vec(prop::sample::select(words), 0..3);
    let path = prop::sample::select(&["/*", "/*", "/*", "/a/*", "/a", "~/.*", "~/a.*", "~.*"][..]);
    let method = prop::sample::select(&["", "", "", "GET", "POST"][..]);
    (some(&["web", "secure"]), some(&["a.b.c", "b.c", "*.c", "*.b.c", "*.a.b.c"]), path, method).prop_map(
        |(listeners, hosts, path, method)| Route {
            listeners: listeners.into_iter().map(ListenerName::from).collect(),
            hosts: hosts.into_iter().map(host).collect(),
            path: match (path.strip_prefix('~'), path.strip_suffix("/*")) {
                (Some(pattern), _) => regex(pattern),
                (_, Some("")) => prefix("/"),
                (_, Some(before)) => prefix(before),
                _ => exact(path),
            },
            methods: Some(method).filter(|method| !method.is_empty()).into_iter().map(String::from).collect(),
            ..route("r")
        },
    )
}

/// The routes of which `check` says that they never get a request.
fn said_to_be_idle(config: &Config) -> Vec<String> {
    let parsed = evenkeel_config::parse("test.toml", &config.to_toml()).unwrap();
    let idle = parsed.warnings.iter().filter_map(|warning| {
        let (name, rest) = warning.message().strip_prefix("route `")?.split_once('`')?;
        (rest == " never gets a request").then(|| name.to_owned())
    });
    idle.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_said_never_to_get_a_request_gets_none(
        mut routes in prop::collection::vec(some_route(), 2..12),
    ) {
        routes.iter_mut().enumerate().for_each(|(i, route)| route.name = format!("r{i}").into());
        let idle = said_to_be_idle(&config(routes.clone()));
        let table = table(routes);
        for (listener, host, path) in (0..2).flat_map(|l| {
            HOSTS.iter().flat_map(move |host| PATHS.iter().map(move |path| (l, *host, *path)))
        }) {
            let won = table.find(listener, &get(host, path)).map(|route| table.route(route).name.to_string());
            prop_assert!(won.is_none_or(|won| !idle.contains(&won)), "{listener} {host} {path}: {idle:?}");
        }
    }
}

#[test]
fn only_what_takes_every_path_keeps_requests_from_a_regex() {
    let any = |name: &str, path| Route { path, ..route(name) };
    let below = any("regex", regex("/a.*"));
    assert_eq!(said_to_be_idle(&config(vec![below.clone(), any("all", prefix("/"))])), ["regex"]);
    assert!(said_to_be_idle(&config(vec![below, any("some", prefix("/a"))])).is_empty());
}
