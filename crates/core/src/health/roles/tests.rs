//! A pool of databases through failovers: what its checks find, which servers may be used, and whose sessions end.

use std::time::Duration;

use evenkeel_config::{Backend, DatabaseRole, Health, Pool, PostgresProbe, Probe, RoleRule, WhenAllLag};
use evenkeel_types::{Address, Time};

use crate::balance::Availability;
use crate::health::{
    Administrative, Claim, Event, Finding, HealthNotice, Lineage, PoolHealth, ProbeFailure, RoleFacts, State,
};

fn at(ms: u64) -> Time {
    Time::from_millis(ms)
}

fn pool(role: DatabaseRole, lag_max: Option<u64>) -> Pool {
    let backend = |(i, name): (usize, &str)| {
        let address = Address::backend(&(5001 + i).to_string()).unwrap();
        Backend { id: name.into(), ..Backend::new(address) }
    };
    let probe = Probe::Postgres(PostgresProbe {
        rule: RoleRule { role: Some(role), lag_max, when_all_lag: WhenAllLag::Refuse },
        user: "probe".into(),
        password_file: None,
        database: "postgres".into(),
    });
    let mut health = Health::new(probe);
    (health.interval, health.timeout) = (Duration::from_millis(200), Duration::from_millis(200));
    Pool {
        health: Some(health),
        ..Pool::new("db", ["a", "b"].into_iter().enumerate().map(backend).collect())
    }
}

fn says(role: DatabaseRole, timeline: u32, position: u64) -> Result<Finding, ProbeFailure> {
    let lineage = Lineage::Timeline { system: 1, timeline };
    Ok(Finding::Database(Claim { role, lineage, position, unsynced: None }))
}

fn primary(timeline: u32) -> Result<Finding, ProbeFailure> {
    says(DatabaseRole::Primary, timeline, 1000)
}

fn replica() -> Result<Finding, ProbeFailure> {
    says(DatabaseRole::Replica, 1, 1000)
}

/// Each change as `server from>to`.
fn told(notices: &[HealthNotice]) -> Vec<String> {
    let told = notices.iter().map(|notice| match &notice.event {
        Event::Transition(change) => format!("{} {}>{}", notice.server, change.from, change.to),
        Event::Kept { .. } => panic!("nothing is ejected here"),
    });
    told.collect()
}

fn usable(health: &PoolHealth) -> Vec<bool> {
    health.standings().map(|(_, availability)| availability == Availability::Up).collect()
}

fn terms(health: &PoolHealth) -> Vec<u64> {
    health.terms().collect()
}

#[test]
fn no_server_is_used_before_its_role_is_known() {
    let mut health = PoolHealth::new(&pool(DatabaseRole::Primary, None), at(0));
    assert!(health.standings().all(|(_, availability)| availability == Availability::Out));
    assert_eq!(told(&health.probed(&"b".into(), replica(), at(1))), ["b starting>unfit"]);
    assert_eq!(health.server(&"b".into()).unwrap().reason(), "replica");
    assert_eq!(told(&health.probed(&"a".into(), primary(1), at(2))), ["a starting>up"]);
    assert_eq!(usable(&health), [true, false]);
    assert_eq!(health.server(&"a".into()).unwrap().reason(), "primary, timeline 1");
}

#[test]
fn at_the_start_an_old_primary_that_answers_first_is_not_used_before_its_successor_was_checked() {
    let mut health = PoolHealth::new(&pool(DatabaseRole::Primary, None), at(0));
    assert_eq!(told(&health.probed(&"a".into(), primary(1), at(1))), ["a starting>unfit"]);
    let reason = health.server(&"a".into()).unwrap().reason();
    assert_eq!(reason, "it says primary, timeline 1, but the first check of b has not ended");
    assert_eq!(told(&health.probed(&"b".into(), primary(2), at(9))), ["b starting>up"]);
    assert_eq!(usable(&health), [false, true]);
    // A check that fails ends the wait as well.
    let mut health = PoolHealth::new(&pool(DatabaseRole::Primary, None), at(0));
    health.probed(&"a".into(), primary(1), at(1));
    let failed = health.probed(&"b".into(), Err(ProbeFailure::Timeout), at(200));
    assert_eq!(told(&failed), ["a unfit>up", "b starting>down"]);
}

#[test]
fn a_switch_of_roles_counts_at_the_first_check_and_ends_the_sessions_of_the_old_primary() {
    let mut health = PoolHealth::new(&pool(DatabaseRole::Primary, None), at(0));
    health.probed(&"a".into(), primary(1), at(1));
    health.probed(&"b".into(), replica(), at(2));
    let version = health.version();
    assert_eq!(told(&health.probed(&"b".into(), primary(2), at(3))), ["a up>unfit", "b unfit>up"]);
    assert_eq!(usable(&health), [false, true]);
    assert_eq!(terms(&health), [1, 0]);
    assert!(health.version() > version);
    assert!(health.server(&"a".into()).unwrap().reason().contains("b has replaced it"));
    // It wakes up, and claims what it had before.
    assert_eq!(told(&health.probed(&"a".into(), primary(1), at(4))), [""; 0]);
    assert_eq!(usable(&health), [false, true]);
    assert_eq!(told(&health.probed(&"a".into(), says(DatabaseRole::Replica, 2, 5), at(5))), [""; 0]);
    assert_eq!(
        (terms(&health), health.server(&"a".into()).unwrap().reason()),
        (vec![1, 0], "replica".into())
    );
}

#[test]
fn the_sessions_of_a_silent_primary_end_when_its_successor_appears() {
    let mut health = PoolHealth::new(&pool(DatabaseRole::Primary, None), at(0));
    health.probed(&"a".into(), primary(1), at(1));
    health.probed(&"b".into(), replica(), at(2));
    let fails = |health: &mut PoolHealth, ms| health.probed(&"a".into(), Err(ProbeFailure::Timeout), at(ms));
    assert_eq!(told(&fails(&mut health, 3)), [""; 0], "a failure counts as `fall` says");
    fails(&mut health, 4);
    assert_eq!(told(&fails(&mut health, 5)), ["a up>down"]);
    assert_eq!(terms(&health), [0, 0], "it may still be the primary");
    let version = health.version();
    assert_eq!(told(&health.probed(&"b".into(), primary(2), at(6))), ["b unfit>up"]);
    assert_eq!(terms(&health), [1, 0]);
    assert!(health.version() > version);
}

#[test]
fn a_pool_that_has_lost_its_primary_is_checked_more_often_for_a_while() {
    let mut health = PoolHealth::new(&pool(DatabaseRole::Primary, None), at(0));
    health.probed(&"a".into(), primary(1), at(1));
    health.probed(&"b".into(), replica(), at(2));
    let mut rng = fastrand::Rng::with_seed(1);
    let mut pace = |health: &PoolHealth, from: u64| {
        let next = health.next_probe(&"b".into(), at(from), &mut rng).unwrap();
        next.since(at(from)).as_millis()
    };
    assert!((180..=220).contains(&pace(&health, 10)));
    health.probed(&"a".into(), Err(ProbeFailure::Refused), at(10));
    assert!((18..=22).contains(&pace(&health, 10)), "one failure is reason enough to look around");
    assert!((180..=220).contains(&pace(&health, 61_000)), "but not for ever");
    health.probed(&"b".into(), primary(2), at(70_000));
    assert!((180..=220).contains(&pace(&health, 70_000)));
}

#[test]
fn replicas_come_and_go_with_their_lag_and_keep_their_sessions() {
    let mut health = PoolHealth::new(&pool(DatabaseRole::Replica, Some(100)), at(0));
    health.probed(&"a".into(), primary(1), at(1));
    assert_eq!(told(&health.probed(&"b".into(), replica(), at(2))), ["b starting>up"]);
    let lags = health.probed(&"b".into(), says(DatabaseRole::Replica, 1, 500), at(3));
    assert_eq!(told(&lags), ["b up>unfit"]);
    assert_eq!(health.server(&"b".into()).unwrap().reason(), "lags by 500 B");
    let facts = RoleFacts { role: DatabaseRole::Replica, timeline: Some(1), lag: Some(500) };
    assert_eq!(health.role(&"b".into()), Some(facts));
    assert_eq!(terms(&health), [0, 0]);
    assert_eq!(told(&health.probed(&"b".into(), replica(), at(4))), ["b unfit>up"]);
    // It is promoted: its sessions wanted a replica.
    assert_eq!(told(&health.probed(&"b".into(), primary(2), at(5))), ["b up>unfit"]);
    assert_eq!(terms(&health), [0, 1]);
}

#[test]
fn a_drained_primary_stays_the_primary() {
    let mut health = PoolHealth::new(&pool(DatabaseRole::Primary, None), at(0));
    health.probed(&"a".into(), primary(1), at(1));
    health.probed(&"b".into(), replica(), at(2));
    assert_eq!(told(&health.administer(&"a".into(), Administrative::Drain, at(2))), ["a up>draining"]);
    health.probed(&"a".into(), primary(1), at(3));
    assert_eq!(told(&health.administer(&"a".into(), Administrative::Ready, at(4))), ["a draining>up"]);
    assert_eq!(terms(&health), [0, 0]);
}

#[test]
fn a_reload_keeps_what_is_known_unless_the_check_is_another_one() {
    let mut settings = pool(DatabaseRole::Primary, None);
    let mut health = PoolHealth::new(&settings, at(0));
    health.probed(&"a".into(), primary(2), at(1));
    health.probed(&"b".into(), primary(1), at(2));
    settings.health.as_mut().unwrap().fall = 7;
    assert_eq!(told(&health.reconfigure(&settings, at(3))), [""; 0]);
    assert_eq!(usable(&health), [true, false]);
    let other = pool(DatabaseRole::Replica, Some(1));
    let notices = health.reconfigure(&other, at(4));
    assert_eq!(told(&notices), ["a up>starting", "b unfit>starting"]);
    assert_eq!(health.server(&"a".into()).unwrap().state(), State::Starting);
    assert_eq!(usable(&health), [false, false]);
}
