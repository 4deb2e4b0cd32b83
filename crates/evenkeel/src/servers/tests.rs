//! The registry as configuration, probes and commands change it, and what the workers see of that.

use std::sync::Arc;

use evenkeel_config::{Backend, Config};
use evenkeel_core::health::{Administrative, Finding, ProbeFailure, State};
use evenkeel_core::snapshot::{CommandError, PoolState, Snapshot};
use evenkeel_observe::Registry;
use evenkeel_types::Time;

use super::{Carried, Derived, Memory, ServerRegistry};

const NOW: Time = Time::ZERO;

fn config(pools: &str) -> Config {
    let text = format!("[listener.web]\nbind = [8080]\npool = \"app\"\n{pools}");
    evenkeel_config::parse("test.toml", &text).unwrap().config
}

fn registry(pools: &str) -> (ServerRegistry, Snapshot) {
    let derived = Derived::of(config(pools), None).unwrap();
    let mut registry = ServerRegistry::new(derived, Registry::new(1), NOW);
    let snapshot = registry.snapshot();
    (registry, snapshot)
}

fn server(name: &str, port: u16) -> Backend {
    let text = format!("[pool.app]\nbackends = [{{ address = \"127.0.0.1:{port}\", name = \"{name}\" }}]");
    config(&text).pools.remove(0).backends.remove(0)
}

const CHECKED: &str = "[pool.app]
backends = [{ address = \"127.0.0.1:1\", name = \"a\" }, { address = \"127.0.0.1:2\", name = \"b\" }]
health = { path = \"/\", interval = \"1s\", timeout = \"1s\", fall = 1, rise = 1 }
";
const OTHER: &str = "[pool.other]\nbackends = [3]\n";

/// Each server with its state, in the order in which the workers see them.
fn seen(state: &PoolState) -> Vec<(String, State)> {
    let ids = state.config.backends.iter().map(|backend| backend.id.to_string());
    ids.zip(state.servers.states.iter().map(|server| server.state)).collect()
}

fn names(state: &PoolState) -> Vec<String> {
    let members = &state.servers.members;
    let names: Vec<_> = (0..members.len()).map(|at| members.server(at).id.to_string()).collect();
    assert_eq!(names, seen(state).into_iter().map(|(name, _)| name).collect::<Vec<_>>());
    names
}

fn found(result: Result<Finding, ProbeFailure>, registry: &mut ServerRegistry, id: &str) {
    registry.probed(&"app".into(), &id.into(), result, NOW);
}

#[test]
fn a_change_of_health_is_seen_in_its_pool_and_nowhere_else() {
    let (mut registry, snapshot) = registry(&format!("{CHECKED}{OTHER}"));
    let (app, other) = (&snapshot.pools[0], &snapshot.pools[1]);
    let before = (app.version(), other.version());
    found(Ok(Finding::Well), &mut registry, "a");
    found(Err(ProbeFailure::Refused), &mut registry, "b");
    let state = app.state();
    assert_eq!(seen(&state), [("a".into(), State::Up), ("b".into(), State::Down)]);
    assert!(app.version() > before.0, "the workers look again");
    assert_eq!(state.version, app.version());
    assert_eq!(other.version(), before.1, "and only there");
    let version = app.version();
    found(Ok(Finding::Well), &mut registry, "a");
    assert_eq!(app.version(), version, "nothing has changed");
}

#[test]
fn a_server_that_stays_down_for_another_reason_shows_that_one() {
    let (mut registry, snapshot) = registry(CHECKED);
    let app = &snapshot.pools[0];
    let reason = || app.state().servers.states[1].reason.clone();
    found(Err(ProbeFailure::Refused), &mut registry, "b");
    found(Err(ProbeFailure::Timeout), &mut registry, "b");
    assert_eq!(reason(), format!("check failed: {}", ProbeFailure::Timeout));
}

#[test]
fn what_the_operator_says_is_seen_at_once() {
    let (mut registry, snapshot) = registry(CHECKED);
    let (app, a) = ("app".into(), "a".into());
    registry.administer(&app, &a, Some(Administrative::Drain), Some(7), NOW).unwrap();
    let state = snapshot.pools[0].state();
    assert_eq!(seen(&state)[0], ("a".into(), State::Draining));
    assert_eq!(state.servers.states[0].weight, 7);
    let unknown = registry.administer(&app, &"z".into(), None, Some(7), NOW);
    assert!(matches!(unknown, Err(CommandError::NotFound(_))), "{unknown:?}");
}

#[test]
fn servers_come_and_go_by_command() {
    let (mut registry, snapshot) = registry(&format!("{CHECKED}{OTHER}"));
    let (app, pool) = (&snapshot.pools[0], "app".into());
    found(Ok(Finding::Well), &mut registry, "a");
    let load = Arc::clone(&app.state().servers.members.server(0).load);
    let other = snapshot.pools[1].version();

    registry.add(&pool, server("c", 9), NOW).unwrap();
    let state = app.state();
    assert_eq!(names(&state), ["a", "b", "c"]);
    assert_eq!(seen(&state)[0], ("a".into(), State::Up), "what is known of the others stays");
    assert!(Arc::ptr_eq(&load, &state.servers.members.server(0).load));
    let mut rng = fastrand::Rng::with_seed(1);
    assert!(
        registry.next_probe(&pool, &"c".into(), NOW, &mut rng).is_some(),
        "it is checked like the others"
    );
    found(Ok(Finding::Well), &mut registry, "c");
    assert_eq!(seen(&app.state())[2], ("c".into(), State::Up));

    registry.remove(&pool, &"a".into(), NOW).unwrap();
    assert_eq!(names(&app.state()), ["b", "c"]);
    assert_eq!(registry.next_probe(&pool, &"a".into(), NOW, &mut rng), None);
    found(Err(ProbeFailure::Refused), &mut registry, "a");
    assert_eq!(names(&app.state()), ["b", "c"], "a late result means nothing");
    assert_eq!(snapshot.pools[1].version(), other, "other pools have nothing to do with it");
}

#[test]
fn commands_that_make_no_sense_change_nothing() {
    let (mut registry, snapshot) = registry(CHECKED);
    let (app, pool) = (&snapshot.pools[0], "app".into());
    let version = app.version();
    let refused = registry.add(&pool, server("a", 9), NOW);
    assert!(matches!(&refused, Err(CommandError::Conflict(why)) if why.contains("app") && why.contains('a')));
    for outcome in [
        registry.add(&"nowhere".into(), server("c", 9), NOW),
        registry.remove(&pool, &"c".into(), NOW),
        registry.remove(&"nowhere".into(), &"a".into(), NOW),
    ] {
        assert!(matches!(outcome, Err(CommandError::NotFound(_))), "{outcome:?}");
    }
    assert_eq!(app.version(), version);
}

#[test]
fn the_last_server_may_go_and_another_one_come() {
    let (mut registry, snapshot) = registry(CHECKED);
    let (app, pool) = (&snapshot.pools[0], "app".into());
    registry.remove(&pool, &"a".into(), NOW).unwrap();
    registry.remove(&pool, &"b".into(), NOW).unwrap();
    assert!(names(&app.state()).is_empty());
    assert_eq!(app.state().servers.members.usable_count(), 0);
    registry.add(&pool, server("c", 9), NOW).unwrap();
    found(Ok(Finding::Well), &mut registry, "c");
    assert_eq!(app.state().servers.members.usable_count(), 1);
}

#[test]
fn a_reload_keeps_what_commands_and_probes_said() {
    let (mut registry, before) = registry(CHECKED);
    let pool = "app".into();
    registry.add(&pool, server("c", 9), NOW).unwrap();
    registry.remove(&pool, &"b".into(), NOW).unwrap();
    found(Ok(Finding::Well), &mut registry, "c");
    let old = before.pools[0].state();

    let changed = CHECKED.replacen("[pool.app]\n", "[pool.app]\nalgorithm = \"random\"\n", 1);
    registry.reconfigure(Derived::of(config(&changed), None).unwrap(), None, NOW);
    let after = registry.snapshot();
    assert_eq!(names(&after.pools[0].state()), ["a", "c"]);
    assert_eq!(seen(&after.pools[0].state())[1], ("c".into(), State::Up));
    assert_eq!(after.generation, before.generation + 1);
    found(Err(ProbeFailure::Refused), &mut registry, "c");
    assert_eq!(seen(&after.pools[0].state())[1], ("c".into(), State::Down));
    assert_eq!(before.pools[0].version(), old.version, "a request ends with what it began with");
}

#[test]
fn a_reload_leaves_a_pool_alone_that_it_does_not_change() {
    let (mut registry, before) = registry(CHECKED);
    let pool = "app".into();
    registry.add(&pool, server("c", 9), NOW).unwrap();
    registry.reconfigure(Derived::of(config(&format!("{CHECKED}{OTHER}")), None).unwrap(), None, NOW);
    let after = registry.snapshot();
    assert_eq!(after.pools.len(), before.pools.len() + 1);
    assert!(Arc::ptr_eq(&before.pools[0], &after.pools[0]));
    found(Ok(Finding::Well), &mut registry, "c");
    assert_eq!(seen(&after.pools[0].state())[2], ("c".into(), State::Up));
}

const DISCOVERING: &str = "[pool.app]\ndiscover = { file = \"servers.toml\" }\n";

/// The registry discovers these servers.
fn discover(registry: &mut ServerRegistry, servers: &[Backend]) {
    let source = registry.config().pools[0].discover.clone().unwrap();
    assert!(registry.discovered(&"app".into(), &source, servers.to_vec(), NOW));
}

/// The registry of the process that comes after this one, which has discovered no servers yet.
fn succeed(before: &ServerRegistry) -> (ServerRegistry, Snapshot) {
    let (mut after, snapshot) = registry(DISCOVERING);
    after.carry_on(before.carried(), NOW);
    (after, snapshot)
}

#[test]
fn an_upgrade_keeps_what_commands_said_of_servers_that_are_discovered_later() {
    let servers = ["a", "b", "c", "d"].map(|name| server(name, u16::from(name.as_bytes()[0])));
    let (mut before, _) = registry(DISCOVERING);
    discover(&mut before, &servers);
    let pool = "app".into();
    before.administer(&pool, &"a".into(), Some(Administrative::Drain), None, NOW).unwrap();
    before.administer(&pool, &"b".into(), Some(Administrative::Disable), Some(7), NOW).unwrap();
    before.remove(&pool, &"c".into(), NOW).unwrap();
    // The second one comes before the first one has discovered anything.
    let (first, _) = succeed(&before);
    let (mut second, snapshot) = succeed(&first);
    let app = &snapshot.pools[0];
    assert_eq!(second.remove(&pool, &"c".into(), NOW), Ok(false), "it is known that it was removed");
    discover(&mut second, &servers[..1]);
    assert_eq!(seen(&app.state()), [("a".into(), State::Draining)], "it gets no request in between");
    discover(&mut second, &servers);
    let state = app.state();
    assert_eq!(seen(&state)[..2], [("a".into(), State::Draining), ("b".into(), State::Disabled)]);
    assert_eq!(names(&state), ["a", "b", "d"]);
    assert_eq!(state.servers.states[1].weight, 7);
    second.administer(&pool, &"a".into(), Some(Administrative::Ready), None, NOW).unwrap();
    discover(&mut second, &servers[..2]);
    assert_ne!(seen(&app.state())[0].1, State::Draining, "it is carried on once");
    discover(&mut second, &servers[..3]);
    assert_eq!(names(&app.state()), ["a", "b", "c"], "it was away, and comes back");
}

#[test]
fn what_commands_said_of_a_server_that_is_gone_is_forgotten() {
    let servers = [server("a", 1), server("b", 2)];
    let (mut before, _) = registry(DISCOVERING);
    discover(&mut before, &servers);
    let pool = "app".into();
    before.administer(&pool, &"a".into(), Some(Administrative::Drain), None, NOW).unwrap();
    let (mut after, snapshot) = succeed(&before);
    discover(&mut after, &servers[1..]);
    after.forget_pending(&pool);
    assert!(after.carried().is_empty());
    discover(&mut after, &servers);
    assert_ne!(seen(&snapshot.pools[0].state())[0].1, State::Draining);
}

/// Puts another configuration on trial, or the one before in force again.
fn tries(registry: &mut ServerRegistry, memory: Memory, text: &str) -> (Memory, Snapshot) {
    let memory = registry.remember(memory);
    let config = evenkeel_config::parse("test.toml", text).unwrap().config;
    registry.reconfigure(Derived::of(config, None).unwrap(), Some(&memory), NOW);
    let snapshot = registry.snapshot();
    (memory, snapshot)
}

const LISTENER: &str = "[listener.web]\nbind = [8080]\n";
const SPLIT: &str =
    "[[route]]\nname = \"r\"\nsplit = [{ pool = \"app\", weight = 1 }, { pool = \"other\", weight = 1 }]\n";

#[test]
fn what_commands_said_of_what_a_trial_lacks_is_so_again_afterwards() {
    let before = format!("{LISTENER}{CHECKED}{OTHER}{SPLIT}");
    let config = evenkeel_config::parse("test.toml", &before).unwrap().config;
    let mut registry = ServerRegistry::new(Derived::of(config, None).unwrap(), Registry::new(1), NOW);
    registry.snapshot();
    let (app, other) = ("app".into(), "other".into());
    registry.administer(&app, &"a".into(), Some(Administrative::Drain), Some(7), NOW).unwrap();
    registry.remove(&app, &"b".into(), NOW).unwrap();
    registry.add(&app, server("c", 3), NOW).unwrap();
    registry.administer(&other, &"127.0.0.1:3".into(), Some(Administrative::Disable), None, NOW).unwrap();
    registry.add(&other, server("d", 4), NOW).unwrap();
    registry.divide(&"r".into(), &[("app".into(), 9)]).unwrap();
    let (carried, splits) = (registry.carried(), registry.carried_splits());

    // No server, pool or route of before is there, but for the one that was added, which the configuration names.
    let trial = format!(
        "{LISTENER}[[route]]\npool = \"app\"\n[pool.app]\nbackends = [{{ address = \"127.0.0.1:3\", name = \"c\" }}]\n"
    );
    let (memory, snapshot) = tries(&mut registry, Memory::default(), &trial);
    assert_eq!(names(&snapshot.pools[0].state()), ["c"]);
    assert!(registry.carried().is_empty() && registry.carried_splits().is_empty());
    // Another one in between has some of it, and what was said of that counts.
    let (memory, snapshot) = tries(&mut registry, memory, &format!("{LISTENER}{CHECKED}"));
    assert_eq!(seen(&snapshot.pools[0].state())[0], ("a".into(), State::Draining));
    let (memory, _) = tries(&mut registry, memory, &trial);
    let (_, snapshot) = tries(&mut registry, memory, &before);
    assert_eq!(seen(&snapshot.pools[0].state())[0], ("a".into(), State::Draining));
    assert_eq!(names(&snapshot.pools[0].state()), ["a", "c"]);
    assert_eq!(snapshot.pools[0].state().servers.states[0].weight, 7);
    assert_eq!(seen(&snapshot.pools[1].state())[0].1, State::Disabled);
    let by_pool = |mut all: Vec<Carried>| {
        all.sort_by_key(|of_pool| format!("{of_pool:?}"));
        all
    };
    assert_eq!(by_pool(registry.carried()), by_pool(carried));
    assert_eq!(registry.carried_splits(), splits);
    assert_eq!(registry.remove(&app, &"b".into(), NOW), Ok(false), "it is known that it was removed");
}

#[test]
fn what_commands_say_during_a_trial_is_the_last_word() {
    let before = format!("{LISTENER}{CHECKED}{OTHER}{SPLIT}");
    let config = evenkeel_config::parse("test.toml", &before).unwrap().config;
    let mut registry = ServerRegistry::new(Derived::of(config, None).unwrap(), Registry::new(1), NOW);
    registry.snapshot();
    let app = "app".into();
    registry.administer(&app, &"a".into(), Some(Administrative::Drain), Some(7), NOW).unwrap();
    registry.remove(&app, &"b".into(), NOW).unwrap();
    registry.add(&app, server("c", 3), NOW).unwrap();
    registry.divide(&"r".into(), &[("app".into(), 9)]).unwrap();

    let trial = before.replace("fall = 1", "fall = 2");
    let (memory, _) = tries(&mut registry, Memory::default(), &trial);
    registry.administer(&app, &"a".into(), Some(Administrative::Ready), Some(1), NOW).unwrap();
    registry.add(&app, server("b", 2), NOW).unwrap();
    registry.remove(&app, &"c".into(), NOW).unwrap();
    registry.divide(&"r".into(), &[("app".into(), 1)]).unwrap();
    let (_, snapshot) = tries(&mut registry, memory, &before);
    assert_eq!(seen(&snapshot.pools[0].state())[0], ("a".into(), State::Starting));
    assert_eq!(names(&snapshot.pools[0].state()), ["a", "b"]);
    assert_eq!(snapshot.pools[0].state().servers.states[0].weight, 1);
    assert!(registry.carried_splits().is_empty());
}

#[test]
fn servers_that_were_discovered_are_there_again_after_a_trial_that_discovers_none() {
    let (mut registry, _) = registry(DISCOVERING);
    discover(&mut registry, &[server("a", 1), server("b", 2)]);
    let app = "app".into();
    registry.administer(&app, &"a".into(), Some(Administrative::Drain), None, NOW).unwrap();
    let text = |pools: &str| format!("{LISTENER}pool = \"app\"\n{pools}");
    let (memory, snapshot) =
        tries(&mut registry, Memory::default(), &text("[pool.app]\nbackends = [\"127.0.0.1:3\"]\n"));
    assert_eq!(names(&snapshot.pools[0].state()), ["127.0.0.1:3"]);
    let (_, snapshot) = tries(&mut registry, memory, &text(DISCOVERING));
    assert_eq!(names(&snapshot.pools[0].state()), ["a", "b"]);
    assert_eq!(seen(&snapshot.pools[0].state())[0], ("a".into(), State::Draining));
}

/// Two pools among which a route divides its requests.
fn split(app: u32) -> String {
    let shares = format!("[{{ pool = \"app\", weight = {app} }}, {{ pool = \"other\", weight = 1 }}]");
    format!("[[route]]\nname = \"main\"\npath = \"/*\"\nsplit = {shares}\n{CHECKED}{OTHER}")
}

#[test]
fn an_upgrade_keeps_the_split_of_a_command_unless_the_file_says_otherwise() {
    let (mut before, _) = registry(&split(1));
    before.divide(&"main".into(), &[("app".into(), 7)]).unwrap();
    for (configured, kept) in [(1, true), (3, false)] {
        let (mut after, _) = registry(&split(configured));
        after.carry_on_splits(&before.carried_splits());
        assert_eq!(after.carried_splits() == before.carried_splits(), kept);
    }
    // A process of an older version does not say what its configuration was.
    let mut text = serde_json::to_value(before.carried_splits()).unwrap();
    text[0].as_object_mut().unwrap().remove("configured");
    let (mut after, _) = registry(&split(3));
    after.carry_on_splits(&serde_json::from_value::<Vec<_>>(text).unwrap());
    assert_eq!(after.carried_splits().len(), 1);
}
