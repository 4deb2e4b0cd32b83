//! A pool as tests of its limits need it.

use std::sync::Arc;

use evenkeel_config::{Algorithm, Pool};

use crate::balance::{Availability, Load, Members, Server};

/// A pool with these keys.
pub fn pool(keys: &str) -> Pool {
    let text = format!(
        "[listener.web]\nbind = 80\npool = \"app\"\n[pool.app]\n\
         backends = [{{ address = 5001, max_connections = 2 }}, {{ address = 5002, max_connections = 2 }}]\n{keys}\n"
    );
    let parsed = evenkeel_config::parse("test.toml", &text);
    parsed.map(|parsed| parsed.config.pools[0].clone()).expect("the test's configuration is right")
}

/// Servers with these loads, in any number, all of them up.
pub fn members(loads: &[Arc<Load>]) -> Arc<Members> {
    let server = |(at, load): (usize, &Arc<Load>)| {
        let id = format!("s{at}").into();
        (Server { id, weight: 1, backup: false, load: Arc::clone(load) }, Availability::Up)
    };
    Arc::new(Members::new(&Algorithm::RoundRobin, loads.iter().enumerate().map(server).collect()))
}

/// The same servers, of which these do not take requests.
pub fn without(members: &Members, out: &[usize]) -> Arc<Members> {
    let is_out = |at| if out.contains(&at) { Availability::Out } else { Availability::Up };
    Arc::new(members.with(|at, server| (server.weight, is_out(at))))
}
