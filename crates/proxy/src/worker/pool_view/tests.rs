//! A change of one server's state costs one worker the view of its pool and nothing else, however large the rest is.

use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;

use evenkeel_config::{Backend, Config};
use evenkeel_core::balance::{Availability, Load, Members, Server};
use evenkeel_core::route::RouteTable;
use evenkeel_core::snapshot::{Pool, PoolHandle, Snapshot};
use evenkeel_observe::Registry;
use evenkeel_types::Clock;
use tokio::sync::mpsc;

use super::super::view::View;
use crate::shared::{Credentials, Shared, open_store};

const POOLS: usize = 50;
const ROUTES: usize = 1000;

fn config() -> Config {
    let mut text = String::from("[listener.web]\nbind = [8080]\n");
    for n in 0..POOLS {
        let _ = write!(text, "[pool.p{n:02}]\nbackends = [{}, {}]\n", 1000 + n, 2000 + n);
    }
    for n in 0..ROUTES {
        let _ = write!(text, "[[route]]\npath = \"/r{n}\"\npool = \"p{:02}\"\n", n % POOLS);
    }
    evenkeel_config::parse("test.toml", &text).unwrap().config
}

/// The servers of a pool, of which those in `out` are not available.
fn servers(backends: &[Backend], out: &[usize], loads: Option<&Pool>) -> Pool {
    let server = |(at, backend): (usize, &Backend)| {
        let known = loads.and_then(|pool| pool.members.position(&backend.id));
        let load = known.zip(loads).map(|(at, pool)| Arc::clone(&pool.members.server(at).load));
        let server = Server {
            id: backend.id.clone(),
            weight: backend.weight,
            backup: backend.backup,
            load: load.unwrap_or_else(|| Arc::new(Load::default())),
        };
        (server, if out.contains(&at) { Availability::Out } else { Availability::Up })
    };
    let list = backends.iter().enumerate().map(server).collect();
    Pool {
        members: Arc::new(Members::new(&evenkeel_config::Algorithm::RoundRobin, list)),
        states: Arc::default(),
        panic: None,
        arrivals: Arc::default(),
        edition: 0,
        cookie: None,
        affinity: None,
        retries: Arc::default(),
        guard: None,
    }
}

fn shared() -> Arc<Shared> {
    let config = config();
    let pools = config.pools.iter();
    let handle = |pool: &evenkeel_config::Pool| {
        Arc::new(PoolHandle::new(Arc::new(pool.clone()), servers(&pool.backends, &[], None)))
    };
    let pools = pools.map(handle).collect();
    let routes = Arc::new(RouteTable::new(&config));
    let snapshot = Snapshot::new(1, Arc::new(config), routes, pools);
    let (events, _) = mpsc::channel(1);
    let store = open_store(&snapshot.config.cache).unwrap();
    Shared::new(1, snapshot, Credentials::default(), Registry::new(1), Clock::start(), events, store).0
}

#[test]
fn a_change_of_health_renews_its_pool_alone() {
    let shared = shared();
    let view = View::new(&shared, None, 0);
    let before: Vec<_> = (0..shared.snapshot().pools.len()).map(|pool| view.pool_now(pool)).collect();
    let handle = &shared.snapshot().pools[7];
    let state = handle.state();
    handle.publish(Arc::clone(&state.config), servers(&state.config.backends, &[0], Some(&state.servers)));

    assert_eq!(shared.generation(), view.snapshot.generation, "the configuration is the same");
    for (position, before) in before.iter().enumerate() {
        let now = view.pool_now(position);
        assert_eq!(Rc::ptr_eq(before, &now), position != 7, "pool {position}");
        assert!(Rc::ptr_eq(&before.upstreams, &now.upstreams), "connections stay as they are");
    }
    let now = view.pool_now(7);
    assert!(!now.servers().members.usable(0));
    assert!(before[7].servers().members.usable(0), "a request ends with what it began with");
    assert!(Rc::ptr_eq(&now, &view.pool_now(7)), "once is enough");
}

#[test]
fn a_server_that_comes_leaves_the_others_as_they_are() {
    let shared = shared();
    let view = View::new(&shared, None, 0);
    let before = view.pool_now(7);
    let handle = &shared.snapshot().pools[7];
    let state = handle.state();
    let mut config = (*state.config).clone();
    config.backends.remove(0);
    config.backends.push(Backend { id: "new".into(), ..config.backends[0].clone() });
    let servers = servers(&config.backends, &[], Some(&state.servers));
    handle.publish(Arc::new(config), servers);

    let now = view.pool_now(7);
    assert!(Rc::ptr_eq(&before.upstreams[1], &now.upstreams[0]), "it keeps its connections");
    assert_eq!(now.upstreams[1].id.as_str(), "new");
    assert!(Rc::ptr_eq(&before.series[1], &now.series[0]), "and its figures");
    assert!(Rc::ptr_eq(before.gate.local(), now.gate.local()));
}
