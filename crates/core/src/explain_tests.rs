//! Explaining: each server of a pool has its reason, and asking leaves no trace.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::*;
use crate::balance::{Load, Members, Server};
use crate::route::Facts;
use crate::snapshot::ServerState;
use crate::sticky::Sessions;

struct Asked;

impl Facts for Asked {
    fn method(&self) -> &str {
        "GET"
    }
    fn host(&self) -> &str {
        "x"
    }
    fn path(&self) -> &str {
        "/"
    }
    fn query(&self) -> Option<&str> {
        None
    }
    fn client(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }
    fn has_header(&self, _: &str, _: &str) -> bool {
        false
    }
}

impl Keys for Asked {
    fn header(&self, _: &str) -> Option<&[u8]> {
        Some(b"alice")
    }
    fn cookie(&self, _: &str) -> Option<&[u8]> {
        None
    }
}

/// A pool with these settings, whose servers are in these states.
fn pool(settings: &str, states: &[State]) -> PoolState {
    let text = format!("[listener.web]\nbind = 80\npool = \"app\"\n[pool.app]\n{settings}\n");
    let config = evenkeel_config::parse("test.toml", &text).unwrap().config;
    let config = config.pools[0].clone();
    let server = |(backend, state): (&evenkeel_config::Backend, &State)| {
        let server = Server {
            id: backend.id.clone(),
            weight: backend.weight,
            backup: backend.backup,
            load: Arc::new(Load::default()),
        };
        let availability = match state {
            State::Up => Availability::Up,
            State::Starting => Availability::Unproven,
            _ => Availability::Out,
        };
        (server, availability)
    };
    let known = |state: &State| ServerState {
        state: *state,
        reason: "connection refused".into(),
        since: Time::ZERO,
        weight: 1,
        term: 0,
    };
    let servers = Pool {
        members: Arc::new(Members::new(
            &config.algorithm,
            config.backends.iter().zip(states).map(server).collect(),
        )),
        states: states.iter().map(known).collect(),
        cookie: None,
        panic: None,
        arrivals: Arc::default(),
        edition: 0,
        affinity: Some(Arc::new(Sessions::new(100))),
        retries: Arc::default(),
        guard: None,
    };
    PoolState { version: 1, config: Arc::new(config), servers }
}

/// The ids of the servers, and what is said of each.
fn check(state: &PoolState, expected: &[(&str, &str)]) {
    let explained = explain(state, &mut Picker::new(1), &Asked, Time::ZERO);
    let id = |at: usize| state.config.backends[at].id.to_string();
    let found: Vec<_> =
        explained.candidates.iter().map(|it| (id(it.server), it.verdict.to_string())).collect();
    let expected: Vec<_> = expected.iter().map(|(id, why)| ((*id).to_owned(), (*why).to_owned())).collect();
    assert_eq!(found, expected);
}

#[test]
fn each_server_has_its_own_reason_and_the_chosen_one_comes_first() {
    let settings = r#"algorithm = "least-connections"
        backends = [{ address = 1, name = "down" }, { address = 2, name = "full", max_connections = 2 },
            { address = 3, name = "busy" }, { address = 4, name = "free" }, { address = 5, name = "last", backup = true },
            { address = 6, name = "new" }, { address = 7, name = "idle", weight = 0 }]"#;
    let state = pool(
        settings,
        &[State::Down, State::Up, State::Up, State::Up, State::Up, State::Starting, State::Up],
    );
    for _ in 0..2 {
        state.servers.members.server(1).load.begin();
        state.servers.members.server(2).load.begin();
    }
    check(
        &state,
        &[
            ("free", "chosen: fewest in flight: 0 at weight 1"),
            ("down", "down: connection refused"),
            ("full", "full: 2 requests in flight are the most that it may have"),
            ("busy", "the chosen server has fewer requests in flight, by weight"),
            ("last", "a backup, and other servers are up"),
            ("new", "has not passed a check yet, and others have"),
            ("idle", "its weight is 0"),
        ],
    );
}

#[test]
fn a_pool_without_servers_says_of_each_why() {
    let state = pool("backends = [1, 2]", &[State::Down, State::Draining]);
    check(
        &state,
        &[("127.0.0.1:1", "down: connection refused"), ("127.0.0.1:2", "draining: connection refused")],
    );
}

#[test]
fn asking_moves_no_client() {
    let settings = "backends = [1, 2, 3]\nsticky = { header = \"x-session\" }";
    let all = pool(settings, &[State::Up; 3]);
    let of =
        |state: &PoolState| explain(state, &mut Picker::new(1), &Asked, Time::ZERO).chosen.unwrap().server;
    let own = of(&all);
    let mut states = [State::Up; 3];
    states[own] = State::Down;
    let without = pool(settings, &states);
    let without =
        PoolState { servers: Pool { affinity: all.servers.affinity.clone(), ..without.servers }, ..without };
    assert_ne!(of(&without), own);
    assert_eq!(of(&all), own, "a question about it has moved the client");
}

#[test]
fn many_servers_are_shown_in_part() {
    let backends: Vec<_> = (1..=200).map(|port: u32| port.to_string()).collect();
    let state = pool(&format!("backends = [{}]", backends.join(", ")), &[State::Up; 200]);
    let explained = explain(&state, &mut Picker::new(1), &Asked, Time::ZERO);
    assert_eq!((explained.candidates.len(), explained.others), (CANDIDATES_MAX, 150));
    assert!(matches!(explained.candidates[0].verdict, Verdict::Chosen(_)));
}
