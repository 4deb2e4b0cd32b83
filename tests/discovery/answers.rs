//! Answers as they come over the wire: long ones, truncated ones, and how long they hold.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::support::dns::Mood;
use crate::support::{Dns, Evenkeel, Neighbours, Origin, eventually};

#[test]
fn five_hundred_addresses_come_over_tcp_and_all_are_used() {
    let dns = Dns::start();
    let at = Neighbours::new();
    let everywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), at.port());
    let origin = Origin::named_at("any", everywhere);
    let addresses: Vec<IpAddr> =
        (0..500u16).map(|i| [127, 1, (i / 250) as u8, (i % 250) as u8 + 1].into()).collect();
    dns.addresses("many.test", &addresses);
    let pool = format!("[pool.app]\ndiscover = {{ dns = \"many.test:{}\" }}\n", at.port());
    let evenkeel = Evenkeel::start(&format!("{}{pool}", dns.resolver("")));
    eventually("all are found", || evenkeel.metric("evenkeel_discovery_servers", &[]) == 500.0);
    let asked = dns.asked("many.test");
    assert!(asked.iter().any(|it| !it.over_tcp) && asked.iter().any(|it| it.over_tcp), "{asked:?}");
    let mut client = evenkeel.client();
    for _ in 0..500 {
        assert_eq!(client.get("/").text(), "any");
    }
    // A request is recorded after its response.
    eventually("each server has had its turn", || {
        let status = evenkeel.status();
        let servers = status["pools"][0]["servers"].as_array().unwrap();
        servers.len() == 500 && servers.iter().all(|server| server["requests"] == 1)
    });
    assert_eq!(origin.count(), 500);
    // One line for each of the first, and one for all the others.
    assert_eq!(evenkeel.stderr.count(|line| line.contains("server discovered")), 21);

    dns.addresses("many.test", &addresses[..100]);
    eventually("fewer are left", || {
        evenkeel.status()["pools"][0]["servers"].as_array().unwrap().len() == 100
    });
    assert_eq!(client.get("/").text(), "any");
}

#[test]
fn a_name_is_asked_for_again_when_its_ttl_is_over() {
    let (dns, at) = (Dns::start(), Neighbours::new());
    let _a = at.origin("a", 2);
    dns.addresses("short.test", &[Neighbours::ip(2)]);
    dns.addresses("long.test", &[Neighbours::ip(2)]);
    dns.ttl(3600);
    let pools = format!(
        "[[route]]\npath = \"/long\"\npool = \"long\"\n[pool.app]\nbackends = [1]\n\
         [pool.long]\ndiscover = {{ dns = \"long.test:{0}\" }}\n",
        at.port()
    );
    let evenkeel = Evenkeel::start(&format!("{}{pools}", dns.resolver("ttl_max = \"1h\"")));
    eventually("a is found", || evenkeel.get("/long").text() == "a");
    dns.ttl(0);
    let more = format!(
        "{}{}[[route]]\npath = \"/short\"\npool = \"short\"\n[pool.short]\ndiscover = {{ dns = \"short.test:{}\" }}\n",
        dns.resolver("ttl_max = \"1h\""),
        pools,
        at.port()
    );
    assert_eq!(evenkeel.reload(&more).status, 200);
    eventually("the short one is asked for again and again", || dns.asked("short.test").len() >= 10);
    assert_eq!(dns.asked("long.test").len(), 2, "A and AAAA, once");
    let status = evenkeel.status();
    let pool = status["pools"].as_array().unwrap().iter().find(|pool| pool["name"] == "long").unwrap();
    let next = pool["discovery"]["next_in_seconds"].as_f64().unwrap();
    assert!((3500.0..=3600.0).contains(&next), "{next}");
}

#[test]
fn a_ttl_is_cut_to_its_bounds() {
    let (dns, at) = (Dns::start(), Neighbours::new());
    let (_a, _b) = (at.origin("a", 2), at.origin("b", 3));
    dns.addresses("api.test", &[Neighbours::ip(2)]);
    dns.ttl(86_400);
    let pool = format!("[pool.app]\ndiscover = {{ dns = \"api.test:{}\" }}\n", at.port());
    let evenkeel = Evenkeel::start(&format!("{}{pool}", dns.resolver("ttl_max = \"200ms\"")));
    eventually("a is found", || evenkeel.get("/").text() == "a");
    dns.addresses("api.test", &[Neighbours::ip(3)]);
    eventually("b is found, although the answer said a day", || evenkeel.get("/").text() == "b");
}

#[test]
fn probes_and_commands_do_not_wait_for_a_name_server() {
    let (dns, at) = (Dns::start(), Neighbours::new());
    let a = at.origin("a", 2);
    dns.is(Mood::Silent);
    let pool = format!(
        "[pool.app]\nbackends = [\"{}\"]\ndiscover = {{ dns = \"api.test:{}\" }}\n\
         health = {{ kind = \"tcp\", interval = \"50ms\", fall = 1, rise = 1 }}\n",
        at.id(2),
        at.port()
    );
    let evenkeel = Evenkeel::start(&format!("{}{pool}", dns.resolver("timeout = \"60s\"")));
    evenkeel.wait_for_state(&at.id(2), "up");
    assert_eq!(evenkeel.get("/").text(), "a");
    a.stop();
    evenkeel.wait_for_state(&at.id(2), "down");
    a.resume();
    evenkeel.wait_for_state(&at.id(2), "up");
    evenkeel.set_server("app", &at.id(2), "{\"state\": \"drain\"}");
    evenkeel.wait_for_state(&at.id(2), "draining");
    assert!(!dns.asked("api.test").is_empty());
}
