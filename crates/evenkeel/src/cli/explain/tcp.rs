//! `evenkeel explain tcp ADDRESS`: where a connection would go, and why. It asks the very functions that the data path asks.

use std::net::{IpAddr, SocketAddr};

use evenkeel_config::{Config, Listener};
use evenkeel_core::balance::Picker;
use evenkeel_core::choose::choose;
use evenkeel_core::l4::{StreamFacts, plan, plan_passthrough};
use evenkeel_core::overload::OverloadStep;
use evenkeel_core::route::parse_host;
use evenkeel_core::snapshot::Snapshot;
use evenkeel_types::{Address, Time};
use serde_json::{Value, json};

use super::{considered, pool_facts, split_shares};

/// The connection that is asked about.
pub struct Connection<'a> {
    /// The client's address.
    pub client: IpAddr,
    /// The server name that it asks for.
    pub sni: Option<&'a str>,
}

/// Which listener takes connections to an address: `HOST:PORT`, or a port alone.
///
/// # Errors
/// None does.
pub fn listener(config: &Config, to: &str) -> Result<usize, String> {
    let address = Address::listener(to).map_err(|error| format!("`{to}` is no address: {error}"))?;
    let fits = |listener: &&Listener| listener.bind.iter().any(|bind| covers(bind, &address));
    let exact = config.listeners.iter().position(|listener| listener.bind.contains(&address));
    exact.or_else(|| config.listeners.iter().position(|listener| fits(&listener))).ok_or_else(|| {
        let bound: Vec<String> =
            config.listeners.iter().flat_map(|it| &it.bind).map(Address::to_string).collect();
        format!("no listener has the address {address}; they have {}", bound.join(", "))
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
pub fn answer(snapshot: &Snapshot, listener: usize, connection: &Connection<'_>) -> Result<Value, String> {
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
    let step = OverloadStep::None;
    let planned = if by.is_tcp() {
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
            answer["reason"] = json!(format!("{}: the connection is closed", denied.why));
            return Ok(answer);
        }
    };
    let route = snapshot.routes.route(planned.route);
    answer["route"] = json!(route.name.as_str());
    answer["tls"] = json!(match (planned.passes_through, &by.tls) {
        (true, _) => "passes through",
        (false, Some(_)) => "ends here",
        (false, None) if snapshot.routes.reads_hello(listener) => "passes through, its server name is read",
        (false, None) => "passes through unseen, if there is any",
    });
    split_shares(&mut answer, route);
    let state = snapshot.pools[planned.pool].state();
    let config = &state.config;
    pool_facts(&mut answer, config);
    let mut picker = Picker::new(fastrand::u64(..));
    match choose(&state.servers, config, &mut picker, &facts, &[], Time::ZERO) {
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
