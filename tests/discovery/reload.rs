//! Reloads beside discovery: what was found stays while the pool discovers the same.

use crate::support::dns::Mood;
use crate::support::{Dns, Evenkeel, Neighbours, Origin, eventually, pool};

fn config(dns: &Dns, at: &Neighbours, name: &str, more: &str) -> String {
    format!("{}{more}[pool.app]\ndiscover = {{ dns = \"{name}:{}\" }}\n", dns.resolver(""), at.port())
}

const ROUTE: &str = "[[route]]\npath = \"/own\"\nrespond = { body = \"own\" }\n";

#[test]
fn an_unchanged_discovery_keeps_what_it_found() {
    let (dns, at) = (Dns::start(), Neighbours::new());
    let _a = at.origin("a", 2);
    dns.addresses("api.test", &[Neighbours::ip(2)]);
    let evenkeel = Evenkeel::start(&config(&dns, &at, "api.test", ""));
    let mut client = evenkeel.client();
    eventually("a is found", || client.get("/").text() == "a");
    dns.is(Mood::Silent);
    assert_eq!(evenkeel.reload(&config(&dns, &at, "api.test", ROUTE)).status, 200);
    assert_eq!(client.get("/own").text(), "own");
    for _ in 0..5 {
        assert_eq!(client.get("/").text(), "a");
    }
    assert_eq!(evenkeel.stderr.count(|line| line.contains("server discovered")), 1);
    assert_eq!(evenkeel.metric("evenkeel_discovery_servers", &["pool=\"app\""]), 1.0);
}

#[test]
fn another_name_replaces_the_servers_with_its_first_answer() {
    let (dns, at) = (Dns::start(), Neighbours::new());
    let (_a, _b) = (at.origin("a", 2), at.origin("b", 3));
    dns.addresses("api.test", &[Neighbours::ip(2)]);
    let evenkeel = Evenkeel::start(&config(&dns, &at, "api.test", ""));
    eventually("a is found", || evenkeel.get("/").text() == "a");
    assert_eq!(evenkeel.reload(&config(&dns, &at, "other.test", "")).status, 200);
    evenkeel.stderr.wait_for("the alarm", |line| line.contains("other.test: the name does not exist"));
    assert_eq!(evenkeel.get("/").text(), "a", "a wrong name takes nothing away");
    dns.addresses("other.test", &[Neighbours::ip(3)]);
    eventually("b is found", || evenkeel.get("/").text() == "b");
    assert_eq!(evenkeel.get("/").text(), "b");
}

#[test]
fn without_discovery_its_servers_go_and_its_figures_too() {
    let (dns, at) = (Dns::start(), Neighbours::new());
    let _a = at.origin("a", 2);
    dns.addresses("api.test", &[Neighbours::ip(2)]);
    let evenkeel = Evenkeel::start(&config(&dns, &at, "api.test", ""));
    eventually("a is found", || evenkeel.get("/").text() == "a");
    let b = Origin::named("b");
    assert_eq!(evenkeel.reload(&pool(&[&b], "")).status, 200);
    for _ in 0..4 {
        assert_eq!(evenkeel.get("/").text(), "b");
    }
    let status = evenkeel.status();
    assert_eq!(status["pools"][0]["discovery"], serde_json::Value::Null);
    assert!(!evenkeel.admin("GET", "/metrics", "").text().contains("evenkeel_discovery_up{"));
}

#[test]
fn another_resolver_is_asked_at_once() {
    let (dead, dns, at) = (Dns::start(), Dns::start(), Neighbours::new());
    let _a = at.origin("a", 2);
    dead.is(Mood::Silent);
    dns.addresses("api.test", &[Neighbours::ip(2)]);
    let of = |dns: &Dns| {
        let pool = format!("[pool.app]\ndiscover = {{ dns = \"api.test:{}\" }}\n", at.port());
        format!("{}{pool}", dns.resolver("timeout = \"60s\"\nttl_max = \"1h\""))
    };
    let evenkeel = Evenkeel::start(&of(&dead));
    eventually("the dead one was asked", || !dead.asked("api.test").is_empty());
    assert_eq!(evenkeel.reload(&of(&dns)).status, 200);
    eventually("a is found", || evenkeel.get("/").text() == "a");
}
