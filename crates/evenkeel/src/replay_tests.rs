//! What a change of routes does to requests that were seen: the story of a wrong route, and what is unknown.

use evenkeel_core::plan::{Group, Shift};
use serde_json::json;

use super::*;

fn read(text: &str) -> Config {
    evenkeel_config::parse("test.toml", text).unwrap_or_else(|faults| panic!("{faults}\nin\n{text}")).config
}

fn get(target: &str, headers: &[(&str, &str)]) -> Sample {
    Sample {
        id: format!("id-of-{target}"),
        listener: "web".into(),
        scheme: "http".into(),
        method: "GET".into(),
        host: "shop.example.com".into(),
        target: target.into(),
        headers: headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        client: "192.0.2.1".parse().unwrap(),
    }
}

const LISTENER: &str = "[listener.web]\nbind = 80\n";
const POOLS: &str = "[pool.green]\nbackends = [1]\n[pool.blue]\nbackends = [2]\n";

fn config(routes: &str) -> Config {
    read(&format!("{LISTENER}{routes}{POOLS}"))
}

fn compare(before: &str, after: &str, samples: &[Sample]) -> Comparison {
    replay(&config(before), &config(after), samples).unwrap()
}

fn only(comparison: &Comparison) -> Group {
    let groups = comparison.groups();
    assert_eq!(groups.len(), 1, "{groups:?}");
    groups[0].clone()
}

fn route(path: &str, rest: &str) -> String {
    format!("[[route]]\npath = \"{path}\"\n{rest}\n")
}

#[test]
fn a_mistyped_prefix_is_seen() {
    let before = route("/api/*", "pool = \"green\"");
    let after = route("/apii/*", "pool = \"green\"");
    let samples = [get("/api/cart", &[]), get("/api/cart?x=1", &[]), get("/apii/x", &[]), get("/", &[])];
    let seen = compare(&before, &after, &samples);
    assert_eq!((seen.requests, seen.unchanged, seen.lost()), (4, 1, 2));
    let group = seen.groups()[0];
    assert_eq!(group.shift, Shift::NoRoute);
    assert_eq!(group.from, "pool green by route /api/*");
    assert_eq!(group.to, "404 (no route for this request)");
    assert_eq!(group.examples[0].request, "GET shop.example.com/api/cart");
    assert_eq!(seen.shifted(Shift::Served), 1);
}

#[test]
fn a_more_specific_route_that_shadows_is_seen() {
    let before = route("/api/*", "pool = \"green\"");
    let after = before.clone() + &route("/api/v1/*", "pool = \"blue\"");
    let seen = compare(&before, &after, &[get("/api/v1/cart", &[]), get("/api/v2/cart", &[])]);
    let group = only(&seen);
    assert_eq!((group.shift, group.count), (Shift::Elsewhere, 1));
    assert_eq!((&*group.from, &*group.to), ("pool green by route /api/*", "pool blue by route /api/v1/*"));
    assert_eq!(seen.lost(), 0);
}

#[test]
fn a_split_is_compared_by_its_weights() {
    let split = |blue: u32, green: u32| {
        let shares =
            format!("[{{ pool = \"blue\", weight = {blue} }}, {{ pool = \"green\", weight = {green} }}]");
        route("/*", &format!("split = {shares}"))
    };
    let samples = [get("/", &[])];
    assert_eq!(compare(&split(10, 90), &split(1, 9), &samples).unchanged, 1);
    assert_eq!(compare(&split(0, 9), &route("/*", "pool = \"green\""), &samples).unchanged, 1);
    let group = only(&compare(&split(10, 90), &split(50, 50), &samples));
    assert_eq!(group.from, "split between blue 1, green 9 by route /*");
    assert_eq!(group.to, "split between blue 1, green 1 by route /*");
}

#[test]
fn another_path_for_the_server_is_seen() {
    let before = route("/api/*", "pool = \"green\"\nrewrite = { strip_prefix = \"/api\" }");
    let after = route("/api/*", "pool = \"green\"");
    let group = only(&compare(&before, &after, &[get("/api/cart", &[])]));
    assert_eq!(group.shift, Shift::OtherTarget);
    assert_eq!(group.examples[0].targets, Some(("/cart".into(), "/api/cart".into())));
}

#[test]
fn limits_on_heads_and_bodies_are_replayed() {
    let before = route("/*", "pool = \"green\"");
    let after = route("/*", "pool = \"green\"\nlimits = { headers = 2, request_body = 10 }");
    let samples = [
        get("/", &[("a", "1"), ("b", "2"), ("c", "3")]),
        get("/", &[("content-length", "11")]),
        get("/", &[("content-length", "10")]),
    ];
    let seen = compare(&before, &after, &samples);
    let ends: Vec<&str> = seen.groups().iter().map(|group| group.to.as_str()).collect();
    assert_eq!(ends.len(), 2, "{ends:?}");
    assert!(ends.contains(&"431 (head too large for this route) by route /*"), "{ends:?}");
    assert!(ends.contains(&"413 (body too large) by route /*"), "{ends:?}");
    assert_eq!((seen.lost(), seen.unchanged), (2, 1));
}

#[test]
fn a_listener_that_goes_takes_its_requests_with_it_unless_its_address_stays() {
    let one = "[listener.web]\nbind = [\"127.0.0.1:80\", \"127.0.0.1:81\"]\npool = \"green\"\n";
    let renamed = "[listener.site]\nbind = \"127.0.0.1:81\"\npool = \"green\"\n";
    let other = "[listener.site]\nbind = \"127.0.0.1:82\"\npool = \"green\"\n";
    let of = |listener: &str| read(&format!("{listener}[pool.green]\nbackends = [1]\n"));
    let samples = [get("/", &[])];
    let group = only(&replay(&of(one), &of(other), &samples).unwrap());
    assert_eq!((group.shift, &*group.to), (Shift::Unreachable, "there is no listener web"));
    let seen = replay(&of(one), &of(renamed), &samples).unwrap();
    assert_eq!(seen.shifted(Shift::OtherRoute), 1, "{:?}", seen.groups());
}

#[test]
fn a_listener_that_moves_loses_its_requests_unless_an_address_still_covers_the_old_one() {
    let of = |bind: &str| read(&format!("[listener.web]\nbind = {bind}\npool = \"green\"\n{POOLS}"));
    let (before, samples) = (of("\"127.0.0.1:80\""), [get("/", &[])]);
    let group = only(&replay(&before, &of("\"127.0.0.1:82\""), &samples).unwrap());
    assert_eq!((group.shift, &*group.to), (Shift::Unreachable, "nothing listens on 127.0.0.1:80 any more"));
    for stays in ["\"0.0.0.0:80\"", "[\"127.0.0.1:82\", \"127.0.0.1:80\"]"] {
        assert_eq!(replay(&before, &of(stays), &samples).unwrap().unchanged, 1, "{stays}");
    }
}

#[test]
fn a_redacted_field_is_mentioned_only_where_it_decides() {
    let by_token =
        |pool: &str| route("/a", &format!("headers = {{ authorization = \"x\" }}\npool = \"{pool}\""));
    let rest = route("/*", "pool = \"green\"");
    let (before, after) = (by_token("green") + &rest, by_token("blue") + &rest);
    let samples = [get("/a", &[("Authorization", REDACTED)]), get("/b", &[("Authorization", REDACTED)])];
    let seen = compare(&before, &after, &samples);
    let group = only(&seen);
    assert_eq!(
        (group.shift, group.count, &*group.to),
        (Shift::Unknown, 1, "a route depends on authorization")
    );
    assert_eq!(seen.unchanged, 1);
    assert_eq!(compare(&before, &before, &samples).unchanged, 2);
}

#[test]
fn a_redacted_query_parameter_is_mentioned_only_where_it_decides() {
    let by_token = route("/a", "query = { token = \"x\" }\npool = \"blue\"");
    let rest = route("/*", "pool = \"green\"");
    let samples = [get("/a?token=(redacted)&b=1", &[]), get("/a?other=(redacted)", &[])];
    let seen = compare(&rest, &(by_token + &rest), &samples);
    let group = only(&seen);
    assert_eq!((group.shift, &*group.to), (Shift::Unknown, "a route depends on the query parameter token"));
    assert_eq!(seen.unchanged, 1);
}

#[test]
fn what_a_process_shows_is_understood() {
    let answer = json!({ "requests": [
        { "id": "a", "listener": "web", "scheme": "http", "method": "GET", "host": "h", "target": "/x?y",
          "headers": [["x-a", "1"], ["authorization", "(redacted)"]], "client": "192.0.2.1" },
        { "id": "b" },
        { "id": "c", "listener": "web", "method": "GET", "host": "h", "target": "/ x", "headers": [], "client": "::1" },
    ] });
    let (samples, others) = samples(&answer);
    assert_eq!((samples.len(), others), (1, 2));
    assert_eq!(
        samples[0].head(&[]),
        "GET /x?y HTTP/1.1\r\nhost: h\r\nx-a: 1\r\nauthorization: (redacted)\r\n\r\n"
    );
    assert_eq!(samples[0].redacted().collect::<Vec<_>>(), ["authorization"]);
}
