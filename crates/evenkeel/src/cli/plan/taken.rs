//! Addresses that a reload would open, and on which another process listens. Nothing is bound to find that out: the kernel's table
//! of sockets says it, as the running process sees it.

use std::fmt;
use std::net::SocketAddr;

use evenkeel_config::{Config, Transport};
use evenkeel_net::{Holder, holder};
use evenkeel_types::{Address, ListenerName};
use serde_json::{Value, json};

use super::super::status::list;

/// An address of a listener on which another process listens.
pub struct Taken {
    listener: ListenerName,
    address: SocketAddr,
    transport: Transport,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listener, address, transport } = self;
        let kind = if *transport == Transport::Datagram { " (udp)" } else { "" };
        write!(
            f,
            "listener {listener}: another process listens on {address}{kind}: as long as it does, a reload with this file is refused"
        )
    }
}

impl Taken {
    /// For programs.
    pub fn to_json(&self) -> Value {
        let protocol = if self.transport == Transport::Datagram { "udp" } else { "tcp" };
        json!({ "listener": self.listener.as_str(), "address": self.address.to_string(), "protocol": protocol })
    }
}

/// The addresses of `new` that `old` does not have, and on which another process than the running one listens. None if this command
/// cannot know: the process must run on this machine, and as a user whose sockets this command may see.
pub fn taken(status: &Value, old: &Config, new: &Config) -> Vec<Taken> {
    let Some(pid) = local(status) else { return Vec::new() };
    let mut taken = Vec::new();
    for listener in &new.listeners {
        let transport = listener.transport();
        let is_open = |address: &Address| {
            old.listeners.iter().any(|old| old.transport() == transport && old.bind.contains(address))
        };
        for address in listener.bind.iter().filter(|address| !is_open(address)) {
            let Address::Ip(address) = *address else { continue };
            let others = holder(pid, address, transport == Transport::Datagram);
            if address.port() != 0 && matches!(others, Ok(Holder::Others)) {
                taken.push(Taken { listener: listener.name.clone(), address, transport });
            }
        }
    }
    taken
}

/// The pid of the process, if it is one of this machine: the process of that pid has a socket of one of its listeners.
fn local(status: &Value) -> Option<u32> {
    let pid = u32::try_from(status["pid"].as_u64()?).ok()?;
    let addresses = list(status, "listeners").flat_map(|listener| list(listener, "addresses"));
    let mut bound = addresses.filter_map(|address| address.as_str()?.parse::<SocketAddr>().ok());
    let has = |address, is_udp| matches!(holder(pid, address, is_udp), Ok(Holder::Own));
    bound.any(|address| has(address, false) || has(address, true)).then_some(pid)
}
