//! What udp listeners demand of routes and pools beyond what connections demand: a datagram has no TLS, and no server of UDP need
//! accept a connection.

use std::collections::HashMap;

use evenkeel_types::{Address, PoolName};

use super::streams::{listeners_of, pools_of};
use crate::diagnostic::Diagnostic;
use crate::model::{Config, Listener, Pool, ProxyProtocol, Route};
use crate::read::{Links, PoolLink, Reader, RouteLink};
use crate::settings::Text;

/// Notes whatever does not fit together.
pub(super) fn check(config: &Config, links: &Links, reader: &Reader) {
    let used = pools_used(config);
    for (pool, link) in config.pools.iter().zip(&links.pools) {
        let Some((listener, uses)) = used.get(&pool.name) else { continue };
        serves_sessions(pool, listener, link, reader);
        let all = links.pool_uses.iter().filter(|(name, _)| name == pool.name.as_str()).count();
        if *uses == all {
            serves_nothing_else(pool, listener, link, reader);
        }
    }
}

/// The pools that sessions of udp listeners go to: with one such listener, and how often they alone lead there.
fn pools_used(config: &Config) -> HashMap<&PoolName, (&Listener, usize)> {
    let mut used = HashMap::new();
    let mut note = |pool, listener, count| used.entry(pool).or_insert((listener, 0)).1 += count;
    for listener in config.listeners.iter().filter(|listener| listener.is_udp()) {
        listener.pool.iter().for_each(|pool| note(pool, listener, 1));
    }
    for route in config.routes.iter().filter(|route| route.is_layer4) {
        let Some(listener) = listeners_of(config, route).find(|listener| listener.is_udp()) else { continue };
        let alone = listeners_of(config, route).all(Listener::is_udp);
        pools_of(route).into_iter().for_each(|pool| note(pool, listener, usize::from(alone)));
    }
    used
}

/// A datagram asks for no server name.
pub(super) fn have_no_names(config: &Config, route: &Route, link: &RouteLink, reader: &Reader) {
    let (Some(sni), Some(udp)) =
        (route.snis.first(), listeners_of(config, route).find(|listener| listener.is_udp()))
    else {
        return;
    };
    let at = link.keys.iter().find(|(name, _)| *name == "sni").map(|(_, span)| span.clone());
    reader.note(
        Diagnostic::error(format!("`sni` has no meaning in a route for the udp listener `{}`", udp.name))
            .at(at.unwrap_or_else(|| link.at.clone()))
            .with_expected("only in a route that names tcp listeners alone")
            .with_help(format!(
                "no datagram asks for `{}`: choose by `client`, or by the listener",
                sni.written()
            )),
    );
}

/// What no session can be sent over.
fn serves_sessions(pool: &Pool, listener: &Listener, link: &PoolLink, reader: &Reader) {
    let refuse = |key: &str, what: &str, expected: &str, help: &str| {
        let message =
            format!("pool `{}` has {what}, and udp sessions of listener `{}`", pool.name, listener.name);
        let fault = Diagnostic::error(message).at(link.at_key(key)).with_expected(expected);
        reader.note(fault.with_help(help));
    };
    if pool.tls.is_some() {
        refuse("tls", "`tls`", "TLS runs over TCP", "give these sessions a pool of their own");
    }
    if pool.proxy_protocol == Some(ProxyProtocol::V1) {
        let help = "write `proxy_protocol = \"v2\"`: each datagram then begins with a header";
        refuse("proxy_protocol", "`proxy_protocol = \"v1\"`", "version 1 knows no datagrams", help);
    }
    if let Some(server) = pool.backends.iter().find(|server| matches!(server.address, Address::Unix(_))) {
        let what = format!("the server `{}`", server.address);
        refuse(
            "backends",
            &what,
            "no datagram of UDP reaches a unix socket",
            "write an IP address and a port",
        );
    }
}

/// What makes no sense, or takes healthy servers out, if UDP is all that the servers speak.
fn serves_nothing_else(pool: &Pool, listener: &Listener, link: &PoolLink, reader: &Reader) {
    let name = &listener.name;
    if pool.tcp_keepalive.is_some() {
        reader.note(
            Diagnostic::error(format!(
                "`tcp_keepalive` has no meaning for udp sessions of listener `{name}`"
            ))
            .at(link.at_key("tcp_keepalive"))
            .with_expected("there are no connections to these servers"),
        );
    }
    if let Some(span) = &link.unnamed_check {
        reader.note(
            Diagnostic::error("a check would open a TCP connection, which servers of UDP need not accept")
                .at(span.clone())
                .with_expected("expected a `kind`")
                .with_help(
                    "write `kind = \"tcp\"` if they accept connections at that port, or the `port` and `kind` of what \
                     does; without `health`, a server that refuses datagrams is noticed by `outlier`",
                ),
        );
    }
}
