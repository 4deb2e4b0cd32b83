//! When a source is asked, what is kept, and what is logged.

use evenkeel_types::Address;
use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds { min: Duration::from_secs(1), max: Duration::from_secs(300) };

fn found(ports: &[u16], ttl_s: u64) -> Result<Found, String> {
    let server = |port: &u16| Backend::new(Address::backend(&port.to_string()).unwrap());
    let servers = ports.iter().map(server).collect();
    Ok(Found { servers, left_out: 0, ttl: Some(Duration::from_secs(ttl_s)), fault: None })
}

fn at(seconds: u64) -> Time {
    Time::ZERO + Duration::from_secs(seconds)
}

fn wait(discovery: &Discovery, now: Time) -> u64 {
    discovery.next().since(now).as_secs()
}

#[test]
fn the_ttl_counts_within_its_bounds() {
    let mut discovery = Discovery::new(BOUNDS, at(0));
    assert_eq!(discovery.next(), at(0));
    for (ttl, expected) in [(0, 1), (1, 1), (30, 30), (300, 300), (86_400, 300)] {
        discovery.concluded(found(&[1], ttl), at(0));
        assert_eq!(wait(&discovery, at(0)), expected, "{ttl}");
    }
}

#[test]
fn servers_are_reported_when_they_change() {
    let mut discovery = Discovery::new(BOUNDS, at(0));
    for (ports, has_changed) in [(&[1, 2][..], true), (&[1, 2], false), (&[2], true), (&[2], false)] {
        assert_eq!(discovery.concluded(found(ports, 5), at(0)).has_changed, has_changed);
        assert_eq!(discovery.servers().len(), ports.len());
    }
}

#[test]
fn a_failure_keeps_what_is_known_and_is_logged_once() {
    let mut discovery = Discovery::new(BOUNDS, at(0));
    discovery.concluded(found(&[1, 2], 60), at(0));
    let mut waits = Vec::new();
    for i in 0..8 {
        let outcome = discovery.concluded(Err("SERVFAIL".into()), at(60));
        assert!(!outcome.has_changed);
        assert_eq!(outcome.notices.len(), usize::from(i == 0));
        assert_eq!(discovery.servers().len(), 2);
        waits.push(wait(&discovery, at(60)));
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
    assert_eq!((discovery.error(), discovery.succeeded()), (Some("SERVFAIL"), Some(at(0))));
    let other = discovery.concluded(Err("no answer in time".into()), at(61));
    assert_eq!(other.notices, [Notice::Fails("no answer in time".into())]);
    let back = discovery.concluded(found(&[1, 2], 60), at(62));
    assert_eq!((back.has_changed, back.notices), (false, vec![Notice::Recovered(9)]));
    assert_eq!((discovery.error(), discovery.succeeded()), (None, Some(at(62))));
}

#[test]
fn half_an_answer_counts_and_is_asked_for_again_soon() {
    let mut discovery = Discovery::new(BOUNDS, at(0));
    let half = found(&[1], 200).map(|found| Found { fault: Some("AAAA: SERVFAIL".into()), ..found });
    let outcome = discovery.concluded(half, at(0));
    assert!(outcome.has_changed);
    assert_eq!(outcome.notices, [Notice::Fails("AAAA: SERVFAIL".into())]);
    assert_eq!(wait(&discovery, at(0)), 1);
}

#[test]
fn too_many_servers_are_logged_once() {
    let mut discovery = Discovery::new(BOUNDS, at(0));
    let many = || found(&[1], 9).map(|found| Found { left_out: 7, ..found });
    assert_eq!(discovery.concluded(many(), at(0)).notices, [Notice::TooMany(7)]);
    assert_eq!(discovery.concluded(many(), at(9)).notices, []);
}

#[test]
fn ten_minutes_without_a_name_server_change_nothing() {
    let mut discovery = Discovery::new(BOUNDS, at(0));
    discovery.concluded(found(&[1, 2], 30), at(0));
    let mut questions = 0;
    while discovery.next() < at(600) {
        let now = discovery.next();
        assert!(!discovery.concluded(Err("no answer in time".into()), now).has_changed);
        assert_eq!(discovery.servers().len(), 2);
        questions += 1;
    }
    assert!((20..=30).contains(&questions), "{questions}: neither silence nor a storm");
}

proptest! {
    /// Whatever happens, the next question lies within the bounds, and a server that was found stays until others are.
    #[test]
    fn the_next_question_is_within_the_bounds(
        rounds in prop::collection::vec((prop::option::of((1u16..4, 0u64..100_000)), 0u64..100), 1..40),
    ) {
        let mut discovery = Discovery::new(BOUNDS, at(0));
        let mut now = 0;
        let mut known = 0;
        for (round, later) in rounds {
            now += later;
            let answer = round.map_or(Err("silence".into()), |(count, ttl)| found(&(1..=count).collect::<Vec<_>>(), ttl));
            known = round.map_or(known, |(count, _)| usize::from(count));
            discovery.concluded(answer, at(now));
            prop_assert!((BOUNDS.min..=BOUNDS.max).contains(&discovery.next().since(at(now))));
            prop_assert_eq!(discovery.servers().len(), known);
            prop_assert_eq!(discovery.error().is_some(), round.is_none());
        }
    }
}
