//! The servers of a pool at one moment with the tables of its algorithm, made before any request needs them.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use evenkeel_config::Algorithm;

use super::consistent_hash::Ring;
use super::maglev;
use super::positions::Positions;
use super::reason::Choice;
use super::roster::{Roster, Server, Tier};
use super::round_robin::Schedule;
use super::shares::Shares;
use super::standing::{Availability, ServerStanding};
use crate::health::FULL;

/// The servers of one pool at one moment: immutable, made on the control thread when configuration, weights or
/// health change, and shared by all workers through an `Arc`.
#[derive(Debug)]
pub struct Members {
    roster: Roster,
    algorithm: Algorithm,
    ring: Arc<OnceLock<[Ring; 2]>>,
    pub(super) method: Method,
}

/// The algorithm with what it prepares. Tables that a key is looked up in come in pairs, for primaries and for
/// backups, and span all configured servers of weight, whatever their health: so health moves no key but those of
/// the server concerned.
#[derive(Debug)]
pub(super) enum Method {
    RoundRobin([Schedule; 4]),
    LeastConnections,
    LeastResponseTime,
    PowerOfTwo,
    Random,
    IpHash(Arc<[Shares; 2]>),
    ConsistentHash,
    Maglev(Arc<[maglev::MaglevTable; 2]>),
}

impl Members {
    /// The servers of a pool, in the order of its configuration; positions in that order name them from here on.
    /// Takes milliseconds for a thousand servers under the algorithms that go by a key.
    pub fn new(algorithm: &Algorithm, servers: Vec<(Server, Availability)>) -> Self {
        let each = servers.iter().map(|(server, _)| (server.id.clone(), server.load.key()));
        let positions = Positions::new(each);
        let parts = vec![FULL; servers.len()];
        Self::build(algorithm, servers, parts, Arc::new(positions), None)
    }

    /// The same servers with the weight and availability that `change` gives to each, from its position. Lookup
    /// tables are reused when no weight changed.
    pub fn with(&self, change: impl Fn(usize, &Server) -> (u32, Availability)) -> Self {
        self.with_parts(|at, server| {
            let (weight, availability) = change(at, server);
            (weight, FULL, availability)
        })
    }

    /// The same, where `change` also says how many parts of [`FULL`], at least one, of its weight a server gets for
    /// now. A key whose server does not take it goes where it would go if that server were out; so a server whose
    /// part grows moves no key but to itself, and no lookup table is made anew.
    pub fn with_parts(&self, change: impl Fn(usize, &Server) -> ServerStanding) -> Self {
        let mut parts = Vec::with_capacity(self.len());
        let servers: Vec<_> = self
            .servers()
            .iter()
            .enumerate()
            .map(|(at, server)| {
                let (weight, part, availability) = change(at, server);
                parts.push(part);
                (Server { weight, ..server.clone() }, availability)
            })
            .collect();
        let reweighted = servers.iter().zip(self.servers()).any(|((new, _), old)| new.weight != old.weight);
        Self::build(&self.algorithm, servers, parts, self.positions().clone(), (!reweighted).then_some(self))
    }

    /// The server that a key belongs to, whatever the pool's algorithm and however loaded the server is: for
    /// affinity. By consistent hashing, so few keys move when servers come and go; [`Reason::KeyOwner`] tells that
    /// it is the key's first choice.
    ///
    /// The ring is made at the first call, which takes milliseconds for a thousand servers: call it once on the
    /// control thread if the pool needs it.
    ///
    /// [`Reason::KeyOwner`]: super::Reason::KeyOwner
    pub fn owner(&self, key: u64, tried: &[usize]) -> Option<Choice> {
        Tier::ALL.into_iter().find_map(|tier| {
            let candidates = self.candidates(tier, tried)?;
            let choice = self.ring(tier).owner(&candidates, key)?;
            Some(candidates.explain(choice))
        })
    }

    pub(super) fn ring(&self, tier: Tier) -> &Ring {
        let rings =
            self.ring.get_or_init(|| GROUPS.map(|backup| Ring::new(&configured(self.servers(), backup))));
        &rings[tier.group()]
    }

    fn build(
        algorithm: &Algorithm,
        servers: Vec<(Server, Availability)>,
        parts: Vec<u32>,
        positions: Arc<Positions>,
        same_weights: Option<&Self>,
    ) -> Self {
        let roster = Roster::new(servers, parts, positions);
        let method = Method::new(algorithm, &roster, same_weights.map(|old| &old.method));
        let ring = same_weights.map_or_else(Arc::default, |old| old.ring.clone());
        let members = Self { roster, algorithm: algorithm.clone(), ring, method };
        if matches!(members.method, Method::ConsistentHash) {
            members.ring(Tier::Up);
        }
        members
    }
}

/// The members are read as their roster is.
impl Deref for Members {
    type Target = Roster;

    fn deref(&self) -> &Roster {
        &self.roster
    }
}

/// Primaries, backups.
const GROUPS: [bool; 2] = [false, true];

impl Method {
    fn new(algorithm: &Algorithm, roster: &Roster, same_weights: Option<&Self>) -> Self {
        let servers = roster.servers();
        match (algorithm, same_weights) {
            (Algorithm::RoundRobin, _) => Self::RoundRobin(roster.tiers().each_ref().map(Schedule::new)),
            (Algorithm::LeastConnections, _) => Self::LeastConnections,
            (Algorithm::LeastResponseTime, _) => Self::LeastResponseTime,
            (Algorithm::PowerOfTwo, _) => Self::PowerOfTwo,
            (Algorithm::Random, _) => Self::Random,
            (Algorithm::ConsistentHash(_), _) => Self::ConsistentHash,
            (Algorithm::IpHash, Some(Self::IpHash(tables))) => Self::IpHash(tables.clone()),
            (Algorithm::IpHash, _) => Self::IpHash(Arc::new(GROUPS.map(|backup| {
                let list = configured(servers, backup);
                Shares::new(&list.iter().map(|&(at, server)| (at, server.weight)).collect::<Vec<_>>())
            }))),
            (Algorithm::Maglev(_), Some(Self::Maglev(tables))) => Self::Maglev(tables.clone()),
            (Algorithm::Maglev(_), _) => Self::Maglev(Arc::new(
                GROUPS.map(|backup| maglev::MaglevTable::new(&configured(servers, backup))),
            )),
        }
    }
}

/// The primaries or backups that have weight, with their positions; by id, so that the order in which two
/// balancers list them does not matter.
fn configured(servers: &[Server], backup: bool) -> Vec<(usize, &Server)> {
    let mut list: Vec<_> =
        servers.iter().enumerate().filter(|(_, s)| s.backup == backup && s.weight > 0).collect();
    list.sort_by(|(_, a), (_, b)| a.id.cmp(&b.id));
    list
}
