//! Tests of choosing: affinity before algorithm, and what happens when a client's own server is gone.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use evenkeel_config::Config;

use super::*;
use crate::balance::{Load, Members, Server};
use crate::route::Facts;
use crate::sticky::Sessions;

/// A request with one header and one cookie.
#[derive(Default)]
struct Asked {
    header: Option<&'static str>,
    cookie: Option<String>,
}

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
        self.header.map(str::as_bytes)
    }
    fn cookie(&self, _: &str) -> Option<&[u8]> {
        self.cookie.as_deref().map(str::as_bytes)
    }
}

fn config(sticky: &str) -> Config {
    let text = format!(
        "[listener.web]\nbind = 80\npool = \"app\"\n[pool.app]\nbackends = [5001, 5002, 5003]\nsticky = {sticky}\n"
    );
    evenkeel_config::parse("test.toml", &text).unwrap().config
}

fn pool(config: &Config) -> Pool {
    let pool = &config.pools[0];
    let server = |backend: &evenkeel_config::Backend| Server {
        id: backend.id.clone(),
        weight: 1,
        backup: false,
        load: Arc::new(Load::default()),
    };
    let servers = pool.backends.iter().map(|backend| (server(backend), Availability::Up)).collect();
    let ids: Vec<_> = pool.backends.iter().map(|backend| backend.id.clone()).collect();
    Pool {
        members: Arc::new(Members::new(&pool.algorithm, servers)),
        states: Arc::new([]),
        cookie: Some(Arc::new(crate::sticky::Cookie::new(b"secret", &pool.name, &ids))),
        panic: None,
        arrivals: Arc::default(),
        edition: 0,
        affinity: Some(Arc::new(Sessions::new(100))),
        retries: Arc::default(),
        guard: None,
    }
}

fn without(pool: &Pool, server: usize) -> Pool {
    let out = |i| if i == server { Availability::Out } else { Availability::Up };
    Pool { members: Arc::new(pool.members.with(|i, s| (s.weight, out(i)))), ..pool.clone() }
}

fn pick(pool: &Pool, config: &Config, picker: &mut Picker, asked: &Asked) -> Chosen {
    choose(pool, &config.pools[0], picker, asked, &[], Time::ZERO).unwrap()
}

#[test]
fn an_issued_cookie_keeps_its_bearer_and_a_dead_server_loses_it_for_good() {
    let config = config("{ cookie = \"EK\" }");
    let (pool, mut picker) = (pool(&config), Picker::new(1));
    let first = pick(&pool, &config, &mut picker, &Asked::default());
    assert!(first.issue_cookie);
    let value = |server| pool.cookie.as_ref().unwrap().value(server).to_owned();
    let bearer = Asked { cookie: Some(value(first.server)), ..Default::default() };
    for _ in 0..10 {
        let again = pick(&pool, &config, &mut picker, &bearer);
        assert_eq!((again.server, again.why, again.issue_cookie), (first.server, Why::Sticky, false));
    }
    let moved = pick(&without(&pool, first.server), &config, &mut picker, &bearer);
    assert_ne!(moved.server, first.server);
    assert!(matches!(moved.why, Why::Moved(_)) && moved.issue_cookie);
    // With its new cookie it stays where it went, though its first server is back.
    let bearer = Asked { cookie: Some(value(moved.server)), ..Default::default() };
    assert_eq!(pick(&pool, &config, &mut picker, &bearer).server, moved.server);
}

#[test]
fn a_forged_cookie_is_no_cookie() {
    let config = config("{ cookie = \"EK\" }");
    let bearer = Asked { cookie: Some("127.0.0.1:5001".into()), ..Default::default() };
    let chosen = pick(&pool(&config), &config, &mut Picker::new(1), &bearer);
    assert!(chosen.issue_cookie && matches!(chosen.why, Why::Algorithm(_)));
}

#[test]
fn equal_headers_reach_one_server_and_stay_where_they_moved() {
    let config = config("{ header = \"x-session\" }");
    let (pool, mut picker) = (pool(&config), Picker::new(1));
    let asked = Asked { header: Some("alice"), ..Default::default() };
    let first = pick(&pool, &config, &mut picker, &asked).server;
    assert_eq!(pick(&pool, &config, &mut picker, &asked).server, first);
    let moved = pick(&without(&pool, first), &config, &mut picker, &asked).server;
    assert_ne!(moved, first);
    assert_eq!(pick(&pool, &config, &mut picker, &asked).server, moved, "back although it had moved");
}

#[test]
fn an_application_cookie_belongs_to_the_server_that_set_it() {
    let config = config("{ app_cookie = \"JSESSIONID\" }");
    let (pool, mut picker) = (pool(&config), Picker::new(1));
    for server in 0..3 {
        let value = format!("session-of-{server}");
        learn(&pool, value.as_bytes(), server);
        let bearer = Asked { cookie: Some(value), ..Default::default() };
        assert_eq!(pick(&pool, &config, &mut picker, &bearer).server, server);
    }
    let new = pick(&pool, &config, &mut picker, &Asked::default());
    assert!(matches!(new.why, Why::Algorithm(_)));
}

#[test]
fn a_server_that_was_tried_is_not_chosen_though_the_client_belongs_to_it() {
    let config = config("{ cookie = \"EK\" }");
    let pool = pool(&config);
    let bearer = Asked { cookie: Some(pool.cookie.as_ref().unwrap().value(1).into()), ..Default::default() };
    let chosen = choose(&pool, &config.pools[0], &mut Picker::new(1), &bearer, &[1], Time::ZERO).unwrap();
    assert_ne!(chosen.server, 1);
    assert!(choose(&pool, &config.pools[0], &mut Picker::new(1), &bearer, &[0, 1, 2], Time::ZERO).is_none());
}
