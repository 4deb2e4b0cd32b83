//! Which route takes a connection: by listener, server name and client.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use evenkeel_config::{Config, parse};

use super::*;
use crate::route::{RouteTable, Verdict};

const FILE: &str = r#"
[listener.mail]
bind = 993
protocol = "tcp"
pool = "other"

[listener.db]
bind = 5432
protocol = "tcp"

[listener.web]
bind = 443
pool = "other"
tls.certificates = [{ cert = "a.pem", key = "a.key" }]
tls.passthrough = [{ sni = ["raw.example.com", "*.raw.example.com"], pool = "raw" }]

[[route]]
name = "wild"
listener = "mail"
sni = "*.example.com"
pool = "wild"

[[route]]
name = "exact"
listener = "mail"
sni = "imap.example.com"
pool = "exact"

[[route]]
name = "longer"
listener = "mail"
sni = "*.eu.example.com"
pool = "longer"

[[route]]
name = "inside"
listener = "mail"
sni = "imap.example.com"
client = "10.0.0.0/8"
pool = "inside"

[[route]]
name = "db"
listener = "db"
client = "10.0.0.0/8"
pool = "other"

[[route]]
name = "http"
pool = "other"

[pool]
other.backends = [1]
raw.backends = [1]
wild.backends = [1]
exact.backends = [1]
longer.backends = [1]
inside.backends = [1]
"#;

fn config() -> Config {
    parse("test", FILE).unwrap_or_else(|faults| panic!("{faults}")).config
}

fn facts(client: &str, sni: &'static str) -> StreamFacts<'static> {
    StreamFacts { client: client.parse().unwrap(), sni: Some(sni).filter(|name| !name.is_empty()) }
}

fn name(table: &RouteTable, listener: usize, facts: &StreamFacts<'_>) -> Option<String> {
    let found = table.find(listener, facts);
    assert_eq!(found, table.trace(listener, facts).winner);
    found.map(|route| table.route(route).name.to_string())
}

#[test]
fn the_most_specific_name_wins_and_then_the_client() {
    let config = config();
    let (mail, table) = (0, RouteTable::new(&config));
    assert_eq!(config.listeners[mail].name.as_str(), "mail");
    for (client, sni, expected) in [
        ("192.0.2.1", "imap.example.com", "exact"),
        ("10.0.0.1", "imap.example.com", "inside"),
        ("192.0.2.1", "a.example.com", "wild"),
        ("192.0.2.1", "a.eu.example.com", "longer"),
        ("192.0.2.1", "example.com", "listener:mail"),
        ("192.0.2.1", "", "listener:mail"),
    ] {
        assert_eq!(name(&table, mail, &facts(client, sni)).as_deref(), Some(expected), "{client} {sni}");
    }
}

#[test]
fn a_route_without_a_listener_is_not_for_connections() {
    let (db, table) = (1, RouteTable::new(&config()));
    assert_eq!(name(&table, db, &facts("10.0.0.1", "")).as_deref(), Some("db"));
    let outside = facts("192.0.2.1", "");
    assert_eq!(name(&table, db, &outside), None);
    let trace = table.trace(db, &outside);
    let of = |route: &str| {
        trace.considered.iter().find(|it| table.route(it.route).name.as_str() == route).unwrap()
    };
    assert_eq!(of("http").reason, "only for requests of HTTP");
    assert_eq!(of("db").verdict, Verdict::Refused);
    assert!(table.reads_hello(0) && !table.reads_hello(1) && table.reads_hello(2));
}

#[test]
fn names_pass_through_beside_http() {
    let config = Arc::new(config());
    let (web, table) = (2, RouteTable::new(&config));
    let passed = |sni| table.find_passthrough(web, &facts("192.0.2.1", sni));
    let route = passed("raw.example.com").unwrap();
    assert!(table.is_passthrough(route) && passed("a.raw.example.com") == Some(route));
    assert_eq!(table.route(route).name.as_str(), "passthrough:web");
    assert_eq!((passed("shop.example.com"), passed("")), (None, None));
    // Requests are not for it.
    let found = table.find(web, &facts("192.0.2.1", "raw.example.com")).unwrap();
    assert_eq!(table.route(found).name.as_str(), "http");
}
