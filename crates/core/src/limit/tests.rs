//! Several limits at once, keys of all kinds, and what a reload leaves alone.
#![allow(clippy::unwrap_used)]

use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_config::{Config, parse};
use evenkeel_types::Time;

use super::*;
use crate::choose::Keys;
use crate::route::Facts;

/// A request that has what limits may count by.
#[derive(Clone)]
struct Asked {
    client: IpAddr,
    host: &'static str,
    token: Option<&'static str>,
}

impl Facts for Asked {
    fn method(&self) -> &str {
        "GET"
    }
    fn host(&self) -> &str {
        self.host
    }
    fn path(&self) -> &str {
        "/"
    }
    fn query(&self) -> Option<&str> {
        None
    }
    fn client(&self) -> IpAddr {
        self.client
    }
    fn has_header(&self, _: &str, _: &str) -> bool {
        false
    }
}

impl Keys for Asked {
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.token.filter(|_| name == "x-token").map(str::as_bytes)
    }
    fn cookie(&self, _: &str) -> Option<&[u8]> {
        None
    }
}

fn from(client: &str) -> Asked {
    Asked { client: client.parse().unwrap(), host: "shop", token: None }
}

fn config(limits: &str) -> Config {
    let text = format!(
        "[listener.web]\nbind = 80\n[[route]]\nname = \"r\"\nrate_limit = {limits}\nrespond = {{ status = 200 }}\n"
    );
    parse("test.toml", &text).unwrap_or_else(|faults| panic!("{faults}")).config
}

fn limits(text: &str) -> Limits {
    Limits::new(&config(text), None, &RandomState::new())
}

const NOW: Time = Time::from_millis(10_000);
const ALL: Mask = Mask::MAX;

/// How many of `tries` pass, all at one moment.
fn passed(limits: &Limits, request: &Asked, tries: usize) -> usize {
    let one = || ask(limits.of(0), ALL, request, NOW).refused(limits.of(0)).is_none();
    (0..tries).filter(|_| one()).count()
}

#[test]
fn clients_are_told_apart_by_address_and_those_of_ipv6_by_network() {
    let limits = limits(r#"{ rate = "1/h", burst = 3 }"#);
    for (client, expected) in [
        ("192.0.2.1", 3),
        ("192.0.2.2", 3),
        ("::ffff:192.0.2.1", 0),
        ("2001:db8::1", 3),
        ("2001:db8::ffff:2", 0),
        ("2001:db8:0:1::1", 3),
    ] {
        assert_eq!(passed(&limits, &from(client), 5), expected, "{client}");
    }
}

#[test]
fn networks_are_as_long_as_asked_for() {
    let check = |prefix, expected: &str| {
        let address = "2001:db8:1:2:3:4:5:6".parse().unwrap();
        assert_eq!(network(address, prefix), expected.parse::<IpAddr>().unwrap(), "{prefix}");
    };
    check(128, "2001:db8:1:2:3:4:5:6");
    check(64, "2001:db8:1:2::");
    check(56, "2001:db8:1::");
    check(1, "::");
}

#[test]
fn what_is_absent_is_one_key_and_what_is_empty_another() {
    let limits = limits(r#"{ per = "header:x-token", rate = "1/h", burst = 2 }"#);
    let with = |token| Asked { token, ..from("192.0.2.1") };
    for token in [None, Some(""), Some("a"), Some("b")] {
        assert_eq!(passed(&limits, &with(token), 4), 2, "{token:?}");
    }
    assert_eq!(passed(&limits, &Asked { client: "192.0.2.9".parse().unwrap(), ..with(None) }, 1), 0);
}

#[test]
fn a_combination_counts_as_such() {
    let limits = limits(r#"{ per = ["client-ip", "host"], rate = "1/h", burst = 2 }"#);
    let shop = from("192.0.2.1");
    let other = Asked { host: "other", ..shop.clone() };
    assert_eq!((passed(&limits, &shop, 3), passed(&limits, &other, 3)), (2, 2));
    assert_eq!(passed(&limits, &from("192.0.2.2"), 3), 2);
}

#[test]
fn a_request_refused_by_one_limit_uses_up_no_other() {
    let limits = limits(r#"[{ rate = "1/h", burst = 2 }, { per = "route", rate = "1/h", burst = 5 }]"#);
    assert_eq!(passed(&limits, &from("192.0.2.1"), 100), 2);
    assert_eq!(passed(&limits, &from("192.0.2.2"), 100), 2);
    assert_eq!(passed(&limits, &from("192.0.2.3"), 100), 1, "two and two of five are used up");
    let verdict = ask(limits.of(0), ALL, &from("192.0.2.1"), NOW);
    assert_eq!(verdict.refused(limits.of(0)).unwrap().0, 1, "of two that wait as long, the later");
}

#[test]
fn a_dry_run_refuses_nothing_and_says_what_it_would() {
    let limits = limits(
        r#"[{ rate = "1/h", burst = 3, dry_run = true }, { per = "route", rate = "1/h", burst = 4 }]"#,
    );
    let client = from("192.0.2.1");
    let mut would = Vec::new();
    for _ in 0..6 {
        let verdict = ask(limits.of(0), ALL, &client, NOW);
        would.push((verdict.standings[0].unwrap().refused, verdict.refused(limits.of(0)).is_some()));
    }
    let (f, t) = (false, true);
    assert_eq!(would, [(f, f), (f, f), (f, f), (t, f), (t, t), (t, t)]);
}

#[test]
fn what_was_put_back_can_be_taken_again() {
    let limits = limits(r#"[{ rate = "1/h", burst = 1 }, { per = "route", rate = "1/h", burst = 1 }]"#);
    let client = from("192.0.2.1");
    let mut verdict = ask(limits.of(0), ALL, &client, NOW);
    put_back(limits.of(0), ALL, &mut verdict, &client, NOW);
    assert_eq!(verdict.standings[1].unwrap(), Standing { remaining: 1, ..Standing::default() });
    assert_eq!(passed(&limits, &client, 3), 1);
}

#[test]
fn limits_that_are_not_asked_neither_refuse_nor_count() {
    let limits = limits(r#"[{ rate = "1/h", burst = 1 }, { per = "route", rate = "1/h", burst = 9 }]"#);
    for _ in 0..9 {
        assert!(ask(limits.of(0), 0b10, &from("192.0.2.1"), NOW).refused(limits.of(0)).is_none());
    }
    assert!(ask(limits.of(0), 0b10, &from("192.0.2.1"), NOW).refused(limits.of(0)).is_some());
    assert!(ask(limits.of(0), 0b01, &from("192.0.2.1"), NOW).refused(limits.of(0)).is_none());
}

#[test]
fn a_reload_forgets_only_what_has_changed() {
    let keyed = RandomState::new();
    let before = config(r#"[{ rate = "1/h", burst = 2 }, { per = "host", rate = "1/h", burst = 9 }]"#);
    let old = Limits::new(&before, None, &keyed);
    assert_eq!(passed(&old, &from("192.0.2.1"), 5), 2);
    let same = Limits::new(&before, Some((&before, &old)), &keyed);
    assert_eq!(passed(&same, &from("192.0.2.1"), 5), 0);
    let after = config(r#"[{ rate = "1/h", burst = 3 }, { per = "host", rate = "1/h", burst = 9 }]"#);
    let new = Limits::new(&after, Some((&before, &old)), &keyed);
    assert!(Arc::ptr_eq(&old.of(0)[1], &new.of(0)[1]) && !Arc::ptr_eq(&old.of(0)[0], &new.of(0)[0]));
    assert_eq!(passed(&new, &from("192.0.2.1"), 5), 3);
}

#[test]
fn redis_is_asked_under_names_that_tell_nothing_and_stay_the_same() {
    let limits =
        limits(r#"[{ rate = "7/s", burst = 2 }, { per = "header:x-token", rate = "1/m", dry_run = true }]"#);
    let client = Asked { token: Some("secret"), ..from("192.0.2.1") };
    let question = Question::new("evenkeel:", "r", limits.of(0), ALL, &client);
    assert_eq!(question.keys.len(), 2);
    assert!(question.keys[0].starts_with("evenkeel:r:client-ip:") && !question.keys[0].contains("192"));
    assert!(
        question.keys[1].starts_with("evenkeel:r:header:x-token:") && !question.keys[1].contains("secret")
    );
    assert_eq!(question.arguments[1..], ["2", "0", "60000000", "1", "1"]);
    assert!((question.arguments[0].parse::<f64>().unwrap() - 1e6 / 7.0).abs() < 1e-6);
    assert_eq!(question, Question::new("evenkeel:", "r", limits.of(0), ALL, &client));
    let mut verdict = LimitVerdict::new(2);
    assert!(!question.read(&[0; 5], &mut verdict));
    assert!(question.read(&[0, 1, 1_000, 1, 0, 5_000_000], &mut verdict));
    assert_eq!(verdict.standings[1].unwrap().next, Duration::from_secs(5));
    assert_eq!(verdict.refused(limits.of(0)), None, "the second one is a dry run");
}

#[test]
fn a_reload_that_puts_limits_in_another_order_stops_no_request() {
    let keyed = RandomState::new();
    let (host, route) = (r#"{ per = "host", rate = "1/s" }"#, r#"{ per = "route", rate = "1/s" }"#);
    let before = config(&format!("[{host}, {route}]"));
    let old = Limits::new(&before, None, &keyed);
    let after = config(&format!("[{route}, {host}]"));
    let new = Limits::new(&after, Some((&before, &old)), &keyed);
    assert!(Arc::ptr_eq(&old.of(0)[0], &new.of(0)[1]), "both look at the same tables");
    let (done, end) = std::sync::mpsc::channel();
    // One worker has still the old order while another has the new one.
    for limits in [old, new] {
        let done = done.clone();
        std::thread::spawn(move || {
            for _ in 0..100_000 {
                let _ = ask(limits.of(0), ALL, &from("192.0.2.1"), NOW);
            }
            done.send(()).unwrap();
        });
    }
    for _ in 0..2 {
        end.recv_timeout(Duration::from_secs(60)).expect("no two threads wait for each other");
    }
}
