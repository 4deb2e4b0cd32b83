//! Name servers that fail, are silent or say that there is nothing: what was found before stays, and it is seen.

use serde_json::Value;

use crate::support::dns::Mood;
use crate::support::{Dns, Evenkeel, Neighbours, Origin, eventually};

const NAME: &str = "api.test";

fn config(dns: &Dns, at: &Neighbours) -> String {
    format!("{}[pool.app]\ndiscover = {{ dns = \"{NAME}:{}\" }}\n", dns.resolver(""), at.port())
}

fn failures(evenkeel: &Evenkeel) -> f64 {
    evenkeel.metric("evenkeel_discovery_failures_total", &["pool=\"app\""])
}

fn is_up(evenkeel: &Evenkeel) -> bool {
    evenkeel.metric("evenkeel_discovery_up", &["pool=\"app\""]) == 1.0
}

/// A balancer that has found the server `a`.
fn found_a() -> (Dns, Neighbours, Origin, Evenkeel) {
    let (dns, at) = (Dns::start(), Neighbours::new());
    let a = at.origin("a", 2);
    dns.addresses(NAME, &[Neighbours::ip(2)]);
    let evenkeel = Evenkeel::start(&config(&dns, &at));
    eventually("a is found", || is_up(&evenkeel));
    assert_eq!(evenkeel.get("/").text(), "a");
    (dns, at, a, evenkeel)
}

#[test]
fn a_name_that_does_not_exist_yet_is_waited_for() {
    let (dns, at) = (Dns::start(), Neighbours::new());
    let _a = at.origin("a", 2);
    let evenkeel = Evenkeel::start(&config(&dns, &at));
    evenkeel.stderr.wait_for("the alarm", |line| {
        line.contains("WARN") && line.contains(NAME) && line.contains("the name does not exist")
    });
    assert_eq!(evenkeel.get("/").status, 503);
    let discovery = &evenkeel.status()["pools"][0]["discovery"];
    assert_eq!(discovery["error"], "api.test: the name does not exist");
    assert_eq!((&discovery["found"], &discovery["succeeded_seconds_ago"]), (&0.into(), &Value::Null));
    dns.addresses(NAME, &[Neighbours::ip(2)]);
    eventually("a is found", || evenkeel.get("/").text() == "a");
    evenkeel.stderr.wait_for("it works", |line| line.contains("works again"));
    assert_eq!(evenkeel.status()["pools"][0]["discovery"]["error"], Value::Null);
}

/// Whatever goes wrong, traffic goes on, the failure is logged once, and the next good answer counts.
#[track_caller]
fn goes_on(spoil: impl Fn(&Dns), mend: impl Fn(&Dns), said: &str) {
    let (dns, at, _a, evenkeel) = found_a();
    spoil(&dns);
    eventually("it has failed for some time", || failures(&evenkeel) >= 4.0);
    assert!(!is_up(&evenkeel));
    assert_eq!(evenkeel.get("/").text(), "a");
    let told = |line: &str| line.contains("what was found before stays") && line.contains(said);
    assert_eq!(evenkeel.stderr.count(told), 1, "{}", evenkeel.stderr.text());
    let discovery = &evenkeel.status()["pools"][0]["discovery"];
    assert!(discovery["error"].as_str().unwrap().contains(said), "{discovery}");
    assert_eq!(discovery["found"], 1);

    let _b = at.origin("b", 3);
    mend(&dns);
    dns.addresses(NAME, &[Neighbours::ip(3)]);
    eventually("b is found", || evenkeel.get("/").text() == "b");
    eventually("it works again", || is_up(&evenkeel));
    assert_eq!(evenkeel.get("/").text(), "b");
}

#[test]
fn servers_stay_while_the_name_server_fails() {
    goes_on(|dns| dns.is(Mood::Failing), |dns| dns.is(Mood::Well), "SERVFAIL");
}

#[test]
fn servers_stay_while_the_name_server_is_silent() {
    goes_on(|dns| dns.is(Mood::Silent), |dns| dns.is(Mood::Well), "no answer in time");
}

#[test]
fn servers_stay_when_the_name_is_gone() {
    goes_on(|dns| dns.forget(NAME), |_| {}, "the name does not exist");
}

#[test]
fn servers_stay_when_the_name_has_no_addresses() {
    goes_on(|dns| dns.addresses(NAME, &[]), |_| {}, "no addresses");
}

#[test]
fn servers_stay_when_the_address_is_that_of_a_blocked_name() {
    goes_on(|dns| dns.addresses(NAME, &[[0, 0, 0, 0].into()]), |_| {}, "no usable address");
}

#[test]
fn one_family_counts_while_the_other_is_not_answered() {
    let (dns, at) = (Dns::start(), Neighbours::new());
    let (_a, _b) = (at.origin("a", 2), at.origin("b", 3));
    let ipv6 = ([0, 0, 0, 0, 0, 0, 0, 1], at.port()).into();
    let _c = Origin::named_at("c", ipv6);
    dns.addresses(NAME, &[Neighbours::ip(2), ipv6.ip()]);
    let evenkeel = Evenkeel::start(&config(&dns, &at));
    eventually("c is found", || evenkeel.get("/").text() == "c");
    dns.is(Mood::SilentOnIpv6);
    dns.addresses(NAME, &[Neighbours::ip(3)]);
    eventually("b is found", || evenkeel.get("/").text() == "b");
    eventually("c is still there", || evenkeel.get("/").text() == "c");
    evenkeel.stderr.wait_for("the warning", |line| line.contains("AAAA api.test: no answer in time"));
}
