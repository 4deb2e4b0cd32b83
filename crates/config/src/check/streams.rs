//! What tcp and udp listeners demand of routes and pools: conditions that a connection has, and choices that need no request.

use std::collections::BTreeMap;

use evenkeel_types::PoolName;

use super::datagrams;
use crate::diagnostic::Diagnostic;
use crate::model::{
    Action, Algorithm, Config, HashKey, Listener, Pool, PoolProtocol, Route, STREAM_ROUTE, ServerIdentity,
};
use crate::read::{Links, PoolLink, Reader, RouteLink};
use crate::settings::Text;

/// Notes whatever does not fit together.
pub(super) fn check(config: &Config, links: &Links, reader: &Reader) {
    for (route, link) in config.routes.iter().zip(&links.routes) {
        if route.is_layer4 {
            takes_connections(config, route, link, reader);
        } else {
            takes_requests(config, route, link, reader);
        }
    }
    lead_somewhere(config, links, reader);
    let used = pools_used(config);
    datagrams::check(config, links, reader);
    for (pool, link) in config.pools.iter().zip(&links.pools) {
        if let Some(listener) = used.get(&pool.name) {
            serves_streams(pool, listener, link, reader);
        }
    }
    passes_no_tls_twice(config, links, reader);
}

/// The pools that connections of tcp listeners and sessions of udp listeners go to, and those that TLS is passed through to, with
/// one such listener.
fn pools_used(config: &Config) -> BTreeMap<&PoolName, &Listener> {
    let mut used = BTreeMap::new();
    for listener in &config.listeners {
        let own = listener.pool.iter().filter(|_| listener.is_layer4());
        let passed = listener.tls.iter().flat_map(|tls| &tls.passthrough).map(|it| &it.pool);
        own.chain(passed).for_each(|pool| {
            used.entry(pool).or_insert(listener);
        });
    }
    for route in config.routes.iter().filter(|route| route.is_layer4) {
        for pool in pools_of(route) {
            if let Some(listener) = listeners_of(config, route).next() {
                used.entry(pool).or_insert(listener);
            }
        }
    }
    used
}

/// The pools that a route's action names.
pub(super) fn pools_of(route: &Route) -> Vec<&PoolName> {
    match &route.action {
        Action::Pool(pool) => vec![pool],
        Action::Split(shares) => shares.iter().map(|(pool, _)| pool).collect(),
        Action::Redirect(_) | Action::Respond(_) | Action::Files(_) => Vec::new(),
    }
}

/// The listeners that a route names.
pub(super) fn listeners_of<'c>(config: &'c Config, route: &'c Route) -> impl Iterator<Item = &'c Listener> {
    config.listeners.iter().filter(|listener| route.listeners.contains(&listener.name))
}

/// A route for tcp and udp listeners has no condition, and does nothing, that only HTTP knows.
fn takes_connections(config: &Config, route: &Route, link: &RouteLink, reader: &Reader) {
    const HELP: &str = "such a route takes `name`, `listener`, `sni`, `client`, and `pool` or `split`, because there is no request";
    let kind = listeners_of(config, route).next().map_or("tcp", Listener::kind);
    datagrams::have_no_names(config, route, link, reader);
    for (key, span) in link.keys.iter().filter(|(key, _)| !STREAM_ROUTE.contains(key)) {
        reader.note(
            Diagnostic::error(format!("`{key}` has no meaning in a route for a {kind} listener"))
                .at(span.clone())
                .with_expected("only in a route for HTTP")
                .with_help(HELP),
        );
    }
    // One that was read has said so already, by its key.
    if link.keys.is_empty() && !matches!(route.action, Action::Pool(_) | Action::Split(_)) {
        let message = format!("route `{}` sends connections of a {kind} listener to no pool", route.name);
        reader.note(Diagnostic::error(message).at(link.at.clone()).with_help(HELP));
    }
}

/// A route for HTTP names no tcp or udp listener, and no server name.
fn takes_requests(config: &Config, route: &Route, link: &RouteLink, reader: &Reader) {
    let at = |key: &str| link.keys.iter().find(|(name, _)| *name == key).map(|(_, span)| span.clone());
    if let Some(other) = listeners_of(config, route).find(|listener| listener.is_layer4()) {
        let (kind, name) = (other.kind(), &other.name);
        let message = format!("route `{}` is for HTTP and for the {kind} listener `{name}`", route.name);
        reader.note(
            Diagnostic::error(message)
                .at(at("listener").unwrap_or_else(|| link.at.clone()))
                .with_expected("expected listeners of one kind")
                .with_help("write a route for each"),
        );
    } else if let Some(sni) = route.snis.first() {
        reader.note(
            Diagnostic::error("`sni` has no meaning in a route for HTTP")
                .at(at("sni").unwrap_or_else(|| link.at.clone()))
                .with_expected("only in a route that names a tcp listener")
                .with_help(format!(
                    "write `host = \"{}\"`, or name a tcp listener in `listener`",
                    sni.written()
                )),
        );
    }
}

/// A tcp or udp listener has a pool, or a route.
fn lead_somewhere(config: &Config, links: &Links, reader: &Reader) {
    for (listener, span) in config.listeners.iter().zip(&links.listeners) {
        let is_named = || config.routes.iter().any(|route| route.listeners.contains(&listener.name));
        if listener.is_layer4() && listener.pool.is_none() && !is_named() {
            let what = if listener.is_udp() { "datagrams" } else { "connections" };
            reader.note(
                Diagnostic::error(format!("{what} to listener `{}` would go nowhere", listener.name))
                    .at(span.clone())
                    .with_expected("it has no `pool`, and no route names it")
                    .with_help("add `pool = \"NAME\"`, or a `[[route]]` that names this listener"),
            );
        }
    }
}

/// A pool chooses servers for connections by what a connection has.
fn serves_streams(pool: &Pool, listener: &Listener, link: &PoolLink, reader: &Reader) {
    let carried = if listener.is_udp() { "udp sessions" } else { "tcp connections" };
    let refuse = |what: &str, expected: &str, help: &str| {
        let message =
            format!("pool `{}` has {what}, and {carried} of listener `{}`", pool.name, listener.name);
        reader.note(Diagnostic::error(message).at(link.at.clone()).with_expected(expected).with_help(help));
    };
    const OWN: &str = "give these connections a pool of their own";
    if pool.protocol == PoolProtocol::Http2 {
        refuse("`protocol = \"http2\"`", "what clients send need not be HTTP/2", OWN);
    }
    if pool.sticky.is_some() {
        let help = "leave `sticky` out; `algorithm = \"ip-hash\"` keeps a client at one server";
        refuse("`sticky`", "a connection has no cookie and no header", help);
    }
    if let Algorithm::ConsistentHash(key) | Algorithm::Maglev(key) = &pool.algorithm
        && *key != HashKey::ClientIp
    {
        let what = format!("`hash_key = \"{}\"`", key.written());
        refuse(
            &what,
            "a connection has nothing but the client's address",
            "write `hash_key = \"client-ip\"`",
        );
    }
    let name = pool.tls.as_ref().and_then(|tls| tls.server_name.as_ref());
    if name == Some(&ServerIdentity::Host) {
        refuse("`tls.server_name = \"{host}\"`", "a connection is for no host", "write the server's name");
    }
}

/// What a client has encrypted for the server is not to be encrypted once more on the way.
fn passes_no_tls_twice(config: &Config, links: &Links, reader: &Reader) {
    let passed: Vec<&PoolName> = config
        .listeners
        .iter()
        .flat_map(|listener| listener.tls.iter().flat_map(|tls| &tls.passthrough))
        .map(|it| &it.pool)
        .collect();
    for (pool, link) in config.pools.iter().zip(&links.pools) {
        if pool.tls.is_some() && passed.contains(&&pool.name) {
            reader.note(
                Diagnostic::warning(format!(
                    "pool `{}` has `tls`, and gets TLS that is passed through",
                    pool.name
                ))
                .at(link.at.clone())
                .with_expected("servers would have to terminate TLS within TLS")
                .with_help("leave `tls` out: clients speak TLS with these servers"),
            );
        }
    }
}
