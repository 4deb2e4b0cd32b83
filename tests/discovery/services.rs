//! SRV records: hosts with ports, weights and priorities.

use crate::support::{Dns, Evenkeel, Neighbours, Origin, eventually};

const NAME: &str = "_http._tcp.api.test";

fn config(dns: &Dns, keys: &str) -> String {
    format!("{}[pool.app]\ndiscover = {{ srv = \"{NAME}\" }}\n{keys}\n", dns.resolver(""))
}

/// Each origin is at port, weight and priority of its own on one host.
fn publish(dns: &Dns, origins: &[(&Origin, u16, u16)]) {
    dns.addresses("host.test", &[Neighbours::ip(1)]);
    let services: Vec<_> = origins
        .iter()
        .map(|(origin, priority, weight)| (*priority, *weight, origin.address().port(), "host.test"))
        .collect();
    dns.services(NAME, &services);
}

fn shares(evenkeel: &Evenkeel, count: usize) -> [usize; 3] {
    let names: Vec<String> = (0..count).map(|_| evenkeel.get("/").text()).collect();
    ["a", "b", "c"].map(|name| names.iter().filter(|it| *it == name).count())
}

#[test]
fn weights_are_shares_and_later_priorities_are_backups() {
    let (a, b, c) = (Origin::named("a"), Origin::named("b"), Origin::named("c"));
    let dns = Dns::start();
    publish(&dns, &[(&a, 10, 30), (&b, 10, 10), (&c, 20, 50)]);
    let evenkeel =
        Evenkeel::start(&config(&dns, "health = { kind = \"tcp\", interval = \"50ms\", fall = 1 }"));
    let ids = [&a, &b, &c].map(|origin| origin.address().to_string());
    for id in &ids {
        eventually("each is up", || {
            let status = evenkeel.status();
            let servers = status["pools"][0]["servers"].as_array().unwrap();
            servers.iter().any(|server| server["id"] == *id && server["state"] == "up")
        });
    }
    assert_eq!(shares(&evenkeel, 40), [30, 10, 0]);
    let origin = evenkeel.server("app", &ids[2]);
    assert_eq!((&origin["origin"], &origin["backup"]), (&"srv".into(), &true.into()));

    a.stop();
    b.stop();
    evenkeel.wait_for_state(&ids[0], "down");
    evenkeel.wait_for_state(&ids[1], "down");
    assert_eq!(shares(&evenkeel, 10), [0, 0, 10]);
}

#[test]
fn a_weight_of_zero_is_a_very_small_share() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let dns = Dns::start();
    publish(&dns, &[(&a, 10, 1), (&b, 10, 0)]);
    let evenkeel = Evenkeel::start(&config(&dns, ""));
    eventually("both are found", || evenkeel.metric("evenkeel_discovery_servers", &[]) == 2.0);
    let weight = |origin: &Origin| evenkeel.server("app", &origin.address().to_string())["weight"].clone();
    assert_eq!((weight(&a), weight(&b)), (1000.into(), 1.into()));
    publish(&dns, &[(&a, 10, 0), (&b, 10, 0)]);
    eventually("both are equal", || (weight(&a), weight(&b)) == (1.into(), 1.into()));
}

#[test]
fn hosts_come_and_go_and_a_service_that_is_withdrawn_keeps_its_servers() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let dns = Dns::start();
    publish(&dns, &[(&a, 1, 1)]);
    let evenkeel = Evenkeel::start(&config(&dns, ""));
    eventually("a is found", || evenkeel.get("/").text() == "a");
    publish(&dns, &[(&b, 1, 1)]);
    eventually("b is found", || evenkeel.get("/").text() == "b");
    assert_eq!(shares(&evenkeel, 6), [0, 6, 0]);
    dns.services(NAME, &[(0, 0, 0, ".")]);
    evenkeel.stderr.wait_for("the warning", |line| line.contains("the service is not offered"));
    assert_eq!(evenkeel.get("/").text(), "b");
}
