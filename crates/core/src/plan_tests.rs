//! Tests of the order of decisions: what comes first counts.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::*;
use crate::balance::Members;
use crate::route::RouteTable;
use crate::snapshot::{Pool, PoolHandle};

const CONFIG: &str = r#"
[limits]
request_body = 1000

[listener.clear]
bind = 80
redirect_to_https = true

[listener.web]
bind = 8080

[listener.secure]
bind = 8443
tls.certificates = [{ cert = "a.pem", key = "a.key" }]

[[route]]
path = "/small/*"
respond = { status = 200, body = "ok" }
limits = { request_head = "1KiB", headers = 2, request_body = 10 }

[[route]]
path = "/low"
pool = "app"
priority = "low"

[[route]]
path = "/old"
redirect = { to = "{scheme}://{host}/new", status = 301 }

[[route]]
path = "/files/*"
files = "/srv"

[pool.app]
backends = [5001]
"#;

struct Asked {
    host: &'static str,
    path: &'static str,
    head: (usize, usize),
    is_tunnel: bool,
}

const SMALL: Asked = Asked { host: "x", path: "/small/a", head: (100, 1), is_tunnel: false };

impl Facts for Asked {
    fn method(&self) -> &str {
        "GET"
    }
    fn host(&self) -> &str {
        self.host
    }
    fn path(&self) -> &str {
        self.path
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

impl Planned for Asked {
    fn scheme(&self) -> &str {
        "http"
    }
    fn authority(&self) -> &str {
        self.host
    }
    fn unmerged(&self) -> Option<&str> {
        None
    }
    fn head_size(&self) -> (usize, usize) {
        self.head
    }
    fn takes_for_tunnel(&self, _: u16) -> bool {
        self.is_tunnel
    }
}

fn snapshot() -> Snapshot {
    let config = evenkeel_config::parse("test.toml", CONFIG).unwrap().config;
    let pools = config.pools.iter().map(|pool| {
        let members = Arc::new(Members::new(&pool.algorithm, Vec::new()));
        let (states, retries) = (Arc::new([]), Arc::default());
        let servers = Pool {
            members,
            states,
            panic: None,
            cookie: None,
            affinity: None,
            retries,
            guard: None,
            arrivals: Arc::default(),
            edition: 0,
        };
        Arc::new(PoolHandle::new(Arc::new(pool.clone()), servers))
    });
    let (pools, routes) = (pools.collect(), Arc::new(RouteTable::new(&config)));
    Snapshot::new(1, Arc::new(config), routes, pools)
}

/// The outcome of all decisions, in a word or two.
fn decided(listener: usize, asked: &Asked, body: Option<u64>, step: OverloadStep) -> String {
    let snapshot = snapshot();
    let taken = match route(&snapshot, listener, asked, body, step) {
        Err(denied) => return format!("{} {:?}", denied.why.status(), denied.why),
        Ok(Routed::ToHttps(to)) => return to,
        Ok(Routed::By(taken)) => taken,
    };
    match act(&snapshot, &taken, asked, || 0) {
        Err(denied) => format!("{} {:?}", denied.why.status(), denied.why),
        Ok(Act::Respond(respond)) => format!("respond {}", respond.status),
        Ok(Act::Redirect { status, location }) => format!("{status} {location}"),
        Ok(Act::Files { files, path }) => format!("{}{path}", files.root.display()),
        Ok(Act::Forward(pool)) => format!("pool {pool}, body {:?}", taken.body_max),
    }
}

#[test]
fn each_decision_has_its_outcome() {
    let plain = |asked: &Asked| decided(1, asked, None, OverloadStep::None);
    assert_eq!(plain(&SMALL), "respond 200");
    assert_eq!(plain(&Asked { path: "/low", ..SMALL }), "pool 0, body Some(1000)");
    assert_eq!(plain(&Asked { path: "/old", ..SMALL }), "301 http://x/new");
    assert_eq!(plain(&Asked { path: "/files/a", ..SMALL }), "/srv/a");
    assert_eq!(plain(&Asked { path: "/files/a", is_tunnel: true, ..SMALL }), "501 NoTunnel");
    assert_eq!(plain(&Asked { path: "/none", ..SMALL }), "404 NoRoute");
    assert_eq!(plain(&Asked { is_tunnel: true, ..SMALL }), "501 NoTunnel");
    assert_eq!(plain(&Asked { head: (1025, 1), ..SMALL }), "431 HeadTooLarge");
    assert_eq!(plain(&Asked { head: (100, 3), ..SMALL }), "431 HeadTooLarge");
}

#[test]
fn a_listener_that_redirects_to_https_asks_no_route() {
    let none = Asked { path: "/none", ..SMALL };
    assert_eq!(decided(0, &none, Some(5000), OverloadStep::ShedNormal), "https://x/none");
    assert_eq!(decided(0, &Asked { host: "", ..none }, None, OverloadStep::None), "400 NoHost");
}

#[test]
fn bodies_are_measured_by_the_route_or_else_by_the_process() {
    assert_eq!(decided(1, &SMALL, Some(10), OverloadStep::None), "respond 200");
    assert_eq!(decided(1, &SMALL, Some(11), OverloadStep::None), "413 BodyTooLarge");
    let low = Asked { path: "/low", ..SMALL };
    assert_eq!(decided(1, &low, Some(1001), OverloadStep::None), "413 BodyTooLarge");
}

#[test]
fn an_overloaded_process_turns_away_before_it_measures() {
    let low = Asked { path: "/low", ..SMALL };
    assert_eq!(decided(1, &low, Some(1001), OverloadStep::ShedLow), "503 Overload");
    assert_eq!(decided(1, &SMALL, Some(10), OverloadStep::ShedLow), "respond 200");
}
