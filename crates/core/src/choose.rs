//! Which server of a pool gets a request: affinity first, then the pool's algorithm. The data path and `explain`
//! both ask here.

use std::fmt;
use std::net::IpAddr;

use evenkeel_config::{Algorithm, HashKey, Pool as PoolConfig, Sticky};
use evenkeel_types::Time;

use crate::balance::{Availability, Picker, Reason, hash};
pub use crate::keys::Keys;
use crate::snapshot::Pool;

/// The server chosen for a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chosen {
    /// Its position in the pool.
    pub server: usize,
    /// Why this one.
    pub why: Why,
    /// True when the client is to be given the cookie of this server.
    pub issue_cookie: bool,
}

/// Why a server was chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Why {
    /// The request belongs to it.
    Sticky,
    /// The algorithm's reason.
    Algorithm(Reason),
    /// The request belonged to another server, which is not available; the algorithm's reason for this one.
    Moved(Reason),
    /// The first to have had room for it.
    Waited,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sticky => f.write_str("sticky: the client belongs to it"),
            Self::Algorithm(reason) => reason.fmt(f),
            Self::Waited => f.write_str("the first to have room"),
            Self::Moved(reason) => write!(f, "moved because its own server is not available; {reason}"),
        }
    }
}

/// By what a request gets its server.
#[derive(Debug)]
pub struct By<'a, K> {
    /// The request: by the pool's `sticky` and algorithm.
    pub request: &'a K,
    /// A key whose owner gets it instead, whatever the pool says, as [`Members::owner`](crate::balance::Members::owner) finds it.
    pub owner_of: Option<u64>,
}

// Derived, they would ask as much of `K`.
impl<K> Clone for By<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for By<'_, K> {}

impl<'a, K> By<'a, K> {
    /// By the request.
    pub fn request(request: &'a K) -> Self {
        Self { request, owner_of: None }
    }
}

/// The same as [`choose`], or the owner of a key.
pub fn choose_by<K: Keys>(
    pool: &Pool,
    config: &PoolConfig,
    picker: &mut Picker,
    by: By<'_, K>,
    tried: &[usize],
    now: Time,
) -> Option<Chosen> {
    match by.owner_of {
        None => choose(pool, config, picker, by.request, tried, now),
        Some(key) => choose_owner(pool, key, tried),
    }
}

/// The owner of a key that is not among `tried`: servers in the key's own order, each key on one of them.
pub fn choose_owner(pool: &Pool, key: u64, tried: &[usize]) -> Option<Chosen> {
    let choice = pool.members.owner(key, tried)?;
    Some(Chosen { server: choice.server, why: Why::Algorithm(choice.reason), issue_cookie: false })
}

/// Chooses a server that is not among `tried`; `None` when there is none left.
pub fn choose(
    pool: &Pool,
    config: &PoolConfig,
    picker: &mut Picker,
    request: &impl Keys,
    tried: &[usize],
    now: Time,
) -> Option<Chosen> {
    choose_and(pool, config, (picker, Memory::Learns), request, tried, now)
}

/// What [`choose`] would return, for people: the pool remembers nothing of it.
pub fn preview(
    pool: &Pool,
    config: &PoolConfig,
    picker: &mut Picker,
    request: &impl Keys,
    tried: &[usize],
    now: Time,
) -> Option<Chosen> {
    choose_and(pool, config, (picker, Memory::Stays), request, tried, now)
}

/// Whether a choice is remembered for a client that moves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    Learns,
    Stays,
}

#[inline]
fn choose_and(
    pool: &Pool,
    config: &PoolConfig,
    (picker, memory): (&mut Picker, Memory),
    request: &impl Keys,
    tried: &[usize],
    now: Time,
) -> Option<Chosen> {
    let by_algorithm = |picker: &mut Picker| {
        let choice = picker.pick(&pool.members, key(&config.algorithm, request), tried, now)?;
        Some((choice.server, choice.reason))
    };
    match &config.sticky {
        None => by_algorithm(picker).map(|(server, reason)| Chosen {
            server,
            why: Why::Algorithm(reason),
            issue_cookie: false,
        }),
        Some(Sticky::Cookie { name, .. }) => {
            let cookie = pool.cookie.as_ref()?;
            let owner = request.cookie(name).and_then(|value| cookie.server(value));
            if let Some(server) = owner.filter(|s| available(pool, *s, tried)) {
                return Some(Chosen { server, why: Why::Sticky, issue_cookie: false });
            }
            let (server, reason) = by_algorithm(picker)?;
            let why = if owner.is_some() { Why::Moved(reason) } else { Why::Algorithm(reason) };
            Some(Chosen { server, why, issue_cookie: true })
        }
        Some(sticky @ (Sticky::Header(_) | Sticky::AppCookie(_))) => match affinity_key(sticky, request) {
            Some(key) => by_affinity(pool, key, tried, memory),
            None => by_algorithm(picker).map(|(server, reason)| Chosen {
                server,
                why: Why::Algorithm(reason),
                issue_cookie: false,
            }),
        },
    }
}

/// The choice for a queued request that took the first server with room, which is `server`.
pub fn waited<K: Keys>(pool: &Pool, config: &PoolConfig, by: By<'_, K>, server: usize) -> Chosen {
    let request = by.request;
    let issue_cookie = match &config.sticky {
        _ if by.owner_of.is_some() => false,
        Some(Sticky::Cookie { .. }) => true,
        Some(sticky) => {
            if let (Some(sessions), Some(key)) = (&pool.affinity, affinity_key(sticky, request)) {
                sessions.of(key).learn(key, &pool.members.server(server).id);
            }
            false
        }
        None => false,
    };
    Chosen { server, why: Why::Waited, issue_cookie }
}

/// Remembers that an application's cookie was set by a server, to which its bearer will belong.
pub fn learn(pool: &Pool, cookie_value: &[u8], server: usize) {
    if let Some(sessions) = &pool.affinity {
        let key = hash(cookie_value);
        sessions.of(key).learn(key, &pool.members.server(server).id);
    }
}

fn by_affinity(pool: &Pool, key: u64, tried: &[usize], memory: Memory) -> Option<Chosen> {
    let mut affinity = pool.affinity.as_ref()?.of(key);
    let learned = affinity.lookup(key).and_then(|id| pool.members.position(&id));
    if let Some(server) = learned.filter(|s| available(pool, *s, tried)) {
        return Some(Chosen { server, why: Why::Sticky, issue_cookie: false });
    }
    let choice = pool.members.owner(key, tried)?;
    // The hash finds the key's first choice again by itself; only who moved must be remembered.
    if choice.reason != Reason::KeyOwner || learned.is_some() {
        if memory == Memory::Learns {
            affinity.learn(key, &pool.members.server(choice.server).id);
        }
        return Some(Chosen { server: choice.server, why: Why::Moved(choice.reason), issue_cookie: false });
    }
    Some(Chosen { server: choice.server, why: Why::Sticky, issue_cookie: false })
}

fn available(pool: &Pool, server: usize, tried: &[usize]) -> bool {
    pool.members.availability(server) != Availability::Out && !tried.contains(&server)
}

fn affinity_key(sticky: &Sticky, request: &impl Keys) -> Option<u64> {
    match sticky {
        Sticky::Header(name) => request.header(name),
        Sticky::AppCookie(name) => request.cookie(name),
        Sticky::Cookie { .. } => None,
    }
    .map(hash)
}

/// The hash of what the algorithm goes by; 0 if it goes by nothing, or the request has none.
fn key(algorithm: &Algorithm, request: &impl Keys) -> u64 {
    let (Algorithm::ConsistentHash(key) | Algorithm::Maglev(key)) = algorithm else {
        return if *algorithm == Algorithm::IpHash { client_key(request.client()) } else { 0 };
    };
    match key {
        HashKey::ClientIp => client_key(request.client()),
        HashKey::Path => hash(request.path().as_bytes()),
        HashKey::Header(name) => request.header(name).map_or(0, hash),
        HashKey::Cookie(name) => request.cookie(name).map_or(0, hash),
    }
}

fn client_key(client: IpAddr) -> u64 {
    match client {
        IpAddr::V4(ip) => hash(&ip.octets()),
        IpAddr::V6(ip) => hash(&ip.octets()),
    }
}

#[cfg(test)]
#[path = "choose_tests.rs"]
mod tests;
