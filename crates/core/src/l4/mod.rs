//! Connections that are relayed as streams of bytes, and sessions of datagrams: which route and pool takes one. The data path and `explain` both ask
//! here; behind that, `admission` decides about the pool's servers as it does for requests.

mod datagrams;
mod hello;
mod sessions;

#[cfg(test)]
mod hello_tests;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;

use crate::health::State;
use crate::keys::Keys;
use crate::overload::OverloadStep;
use crate::route::Facts;
use crate::snapshot::{Pool, Snapshot};

pub use datagrams::{Allowance, is_answerable};
pub use hello::{ClientHello, HELLO_BYTES_MAX, Hello, HelloFault, read_hello};
pub use sessions::{Place, Places, SessionKey, Sessions};

/// What is known of a connection before a server is chosen for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamFacts<'a> {
    /// The client's address, as far as it is believed.
    pub client: IpAddr,
    /// The server name that the client asks for in its TLS hello, as [`ClientHello`] has it.
    pub sni: Option<&'a str>,
}

impl Facts for StreamFacts<'_> {
    fn method(&self) -> &str {
        ""
    }

    fn host(&self) -> &str {
        self.sni.unwrap_or_default()
    }

    fn path(&self) -> &str {
        "/"
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn client(&self) -> IpAddr {
        self.client
    }

    fn has_header(&self, _: &str, _: &str) -> bool {
        false
    }
}

impl Keys for StreamFacts<'_> {
    fn header(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn cookie(&self, _: &str) -> Option<&[u8]> {
        None
    }
}

/// Where a connection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamPlan {
    /// The route's position.
    pub route: usize,
    /// The pool's position.
    pub pool: usize,
    /// The client's TLS is not terminated, even if the listener has certificates.
    pub passes_through: bool,
}

/// A connection that goes nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamDenied {
    /// Why.
    pub why: StreamDenyReason,
    /// The route that took it, if one did.
    pub route: Option<usize>,
}

/// Why a connection goes nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamDenyReason {
    /// No route takes it.
    NoRoute,
    /// The process is overloaded, and the route's priority is not high enough.
    Overload,
    /// The route's pool is not there.
    NoPool,
}

impl fmt::Display for StreamDenyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRoute => "no route for this connection",
            Self::Overload => "the balancer is overloaded",
            Self::NoPool => "no pool for this connection",
        })
    }
}

/// Where a connection to the tcp listener at this position, or a session of a udp listener, goes; a random number decides between pools.
///
/// # Errors
/// It goes nowhere.
pub fn plan(
    snapshot: &Snapshot,
    listener: usize,
    facts: &StreamFacts<'_>,
    step: OverloadStep,
    random: impl FnOnce() -> u64,
) -> Result<StreamPlan, StreamDenied> {
    let denied = |why, route| StreamDenied { why, route };
    let found = snapshot.routes.find(listener, facts);
    let route = found.ok_or(denied(StreamDenyReason::NoRoute, None))?;
    to_pool(snapshot, route, step, random)
}

/// Where a connection to a listener of HTTP goes if its client asks for a name that passes through; `None` if HTTP is what
/// the client gets.
pub fn plan_passthrough(
    snapshot: &Snapshot,
    listener: usize,
    facts: &StreamFacts<'_>,
    step: OverloadStep,
) -> Option<Result<StreamPlan, StreamDenied>> {
    let route = snapshot.routes.find_passthrough(listener, facts)?;
    Some(to_pool(snapshot, route, step, || 0))
}

/// True if a session of datagrams stays at the server at this position of the pool: one that is drained keeps what it has, one
/// that is out does not, because nothing tells a client that it has to begin anew.
pub fn keeps_sessions(pool: &Pool, server: usize) -> bool {
    let is_draining = pool.states.get(server).is_some_and(|state| state.state == State::Draining);
    is_draining || pool.members.takes(server, true)
}

fn to_pool(
    snapshot: &Snapshot,
    route: usize,
    step: OverloadStep,
    random: impl FnOnce() -> u64,
) -> Result<StreamPlan, StreamDenied> {
    let denied = |why| StreamDenied { why, route: Some(route) };
    if step.sheds(snapshot.routes.route(route).priority) {
        return Err(denied(StreamDenyReason::Overload));
    }
    let pool = snapshot.pool_of(route, random()).ok_or(denied(StreamDenyReason::NoPool))?;
    Ok(StreamPlan { route, pool, passes_through: snapshot.routes.is_passthrough(route) })
}
