//! `evenkeel explain tcp ADDRESS` and `udp ADDRESS`: where a connection or session would go, and why. It asks the very functions that the data path asks.

use std::net::{IpAddr, SocketAddr};

use evenkeel_config::{Config, Listener, Transport};
use evenkeel_core::balance::Picker;
use evenkeel_core::explain::explain;
use evenkeel_core::l4::{StreamFacts, plan, plan_passthrough};
use evenkeel_core::overload::OverloadStep;
use evenkeel_core::route::parse_host;
use evenkeel_core::snapshot::Snapshot;
use evenkeel_types::{Address, Time};
use serde_json::{Value, json};

use super::{candidates, considered, pool_facts, split_shares};

/// The connection that is asked about.
pub struct Connection<'a> {
    /// The client's address.
    pub client: IpAddr,
    /// The server name that it asks for.
    pub sni: Option<&'a str>,
}

/// Which listener takes connections, or datagrams, to an address: `HOST:PORT`, or a port alone.
///
/// # Errors
/// None does.
pub fn listener(config: &Config, transport: Transport, to: &str) -> Result<usize, String> {
    let address = Address::listener(to).map_err(|error| format!("`{to}` is no address: {error}"))?;
    let of_kind = |listener: &Listener| listener.transport() == transport;
    let fits = |it: &Listener| of_kind(it) && it.bind.iter().any(|bind| covers(bind, &address));
    let exact = config.listeners.iter().position(|it| of_kind(it) && it.bind.contains(&address));
    exact.or_else(|| config.listeners.iter().position(fits)).ok_or_else(|| {
        let listeners = config.listeners.iter().filter(|listener| of_kind(listener));
        let bound: Vec<String> = listeners.flat_map(|it| &it.bind).map(Address::to_string).collect();
        let kind = match transport {
            Transport::Stream => "listener",
            Transport::Datagram => "udp listener",
        };
        match bound.is_empty() {
            true => format!("there is no {kind}"),
            false => format!("no {kind} has the address {address}; they have {}", bound.join(", ")),
        }
    })
}

/// True if connections to `to` come to a listener with this address.
fn covers(bind: &Address, to: &Address) -> bool {
    match (bind, to) {
        (Address::Ip(bind), Address::Ip(to)) => {
            let is_any = |it: &SocketAddr| it.ip().is_unspecified();
            bind.port() == to.port() && (is_any(bind) || is_any(to) || bind.ip() == to.ip())
        }
        _ => bind == to,
    }
}

/// Follows the order of decisions that the data path follows.
///
/// # Errors
/// No connection like that can be.
pub fn answer(
    snapshot: &Snapshot,
    listener: usize,
    connection: &Connection<'_>,
    (now, step): (Time, OverloadStep),
) -> Result<Value, String> {
    let by = &snapshot.config.listeners[listener];
    let sni = match connection.sni {
        None => None,
        Some(name) => match parse_host(name) {
            Ok((host, None)) if !host.is_empty() => Some(host.into_owned()),
            _ => return Err(format!("`{name}` is no name that a client can ask for")),
        },
    };
    let facts = StreamFacts { client: connection.client.to_canonical(), sni: sni.as_deref() };
    let mut answer = json!({ "listener": by.name.as_str() });
    if let Some(sni) = &sni {
        answer["sni"] = json!(sni);
    }
    let planned = if by.is_layer4() {
        let trace = snapshot.routes.trace(listener, &facts);
        answer["considered"] = json!(considered(snapshot, &trace));
        plan(snapshot, listener, &facts, step, || fastrand::u64(..))
    } else {
        let no_stream = || format!("listener {} speaks HTTP: name a method in place of tcp", by.name);
        plan_passthrough(snapshot, listener, &facts, step).ok_or_else(no_stream)?
    };
    let planned = match planned {
        Ok(planned) => planned,
        Err(denied) => {
            let end = if by.is_udp() { "the datagram is dropped" } else { "the connection is closed" };
            answer["reason"] = json!(format!("{}: {end}", denied.why));
            return Ok(answer);
        }
    };
    let route = snapshot.routes.route(planned.route);
    answer["route"] = json!(route.name.as_str());
    if by.is_udp() {
        answer["session"] = json!(session(by));
    } else {
        answer["tls"] = json!(tls(snapshot, listener, planned.passes_through));
    }
    split_shares(&mut answer, snapshot, planned.route);
    let state = snapshot.pools[planned.pool].state();
    let config = &state.config;
    pool_facts(&mut answer, config);
    let mut picker = Picker::new(fastrand::u64(..));
    let explained = explain(&state, &mut picker, &facts, now);
    candidates(&mut answer, &state, &explained);
    match explained.chosen {
        Some(chosen) => {
            let backend = &config.backends[chosen.server];
            answer["server"] = json!(backend.id.as_str());
            answer["address"] = json!(backend.address.to_string());
            answer["reason"] = json!(chosen.why.to_string());
        }
        None => answer["reason"] = json!(format!("no server of pool {} takes connections", config.name)),
    }
    Ok(answer)
}

/// Where TLS of a client ends.
fn tls(snapshot: &Snapshot, listener: usize, passes_through: bool) -> &'static str {
    match (passes_through, &snapshot.config.listeners[listener].tls) {
        (true, _) => "passes through",
        (false, Some(_)) => "ends here",
        (false, None) if snapshot.routes.reads_hello(listener) => "passes through, its server name is read",
        (false, None) => "passes through unseen, if there is any",
    }
}

/// How long the session of a datagram lasts, and what may go back.
fn session(listener: &Listener) -> String {
    let idle = listener.timeout.idle;
    match listener.max_answers {
        Some(max) => format!(
            "until nothing moves for {idle:?}; {max} answers a datagram until the client shows that it gets them"
        ),
        None => format!("until nothing moves for {idle:?}"),
    }
}
