//! The servers of a pool at one moment, sorted into tiers and lookup tables before any request needs them.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use evenkeel_config::Algorithm;
use evenkeel_types::BackendId;

use super::consistent_hash::Ring;
use super::round_robin::Schedule;
use super::shares::Shares;
use super::{Choice, Load, maglev};
use crate::health::FULL;

/// One server as the balancer sees it.
#[derive(Debug, Clone)]
pub struct Server {
    /// Unique within the pool.
    pub id: BackendId,
    /// Its share of the traffic relative to the others'; 0 takes no new request.
    pub weight: u32,
    /// Used only when no other server is up.
    pub backup: bool,
    /// What changes with traffic; shared with whoever counts requests and measures latency.
    pub load: Arc<Load>,
}

/// Whether a server may be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// It may.
    Up,
    /// Neither seen healthy nor failed so far: only when nothing else is left.
    Unproven,
    /// It may not.
    Out,
}

/// What of a server may change while the servers of its pool are the same: its weight, how many parts of [`FULL`] of it
/// the server gets for now, and whether it may be chosen.
pub type Standing = (u32, u32, Availability);

/// The servers of one pool at one moment: immutable, made on the control thread when configuration, weights or
/// health change, and shared by all workers through an `Arc`.
#[derive(Debug)]
pub struct Members {
    algorithm: Algorithm,
    servers: Box<[Server]>,
    availability: Box<[Availability]>,
    /// Weights as they count now: the servers' own, or their parts of [`FULL`] while one of them starts slowly.
    weights: Box<[u32]>,
    /// Of each server's keys how many parts of [`FULL`] it takes; empty when all take all.
    parts: Box<[u32]>,
    tier_of: Box<[Option<Tier>]>,
    tiers: [Shares; 4],
    positions: Arc<Positions>,
    ring: Arc<OnceLock<[Ring; 2]>>,
    pub(super) method: Method,
}

/// Where each server stands.
#[derive(Debug)]
struct Positions {
    by_id: HashMap<BackendId, usize>,
    by_load: HashMap<usize, usize>,
}

/// The order in which servers are considered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tier {
    Up,
    UpBackup,
    Unproven,
    UnprovenBackup,
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
    Maglev(Arc<[maglev::Table; 2]>),
}

/// The servers of one tier that a pick may still choose from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidates<'a> {
    pub members: &'a Members,
    pub shares: &'a Shares,
    pub tier: Tier,
    pub tried: &'a [usize],
    /// As [`Members`] has it, or empty to disregard it.
    pub parts: &'a [u32],
}

impl Members {
    /// The servers of a pool, in the order of its configuration; positions in that order name them from here on.
    /// Takes milliseconds for a thousand servers under the algorithms that go by a key.
    pub fn new(algorithm: &Algorithm, servers: Vec<(Server, Availability)>) -> Self {
        let each = || servers.iter().map(|(server, _)| server).enumerate();
        let positions = Positions {
            by_id: each().map(|(at, server)| (server.id.clone(), at)).collect(),
            by_load: each().map(|(at, server)| (server.load.key(), at)).collect(),
        };
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
    pub fn with_parts(&self, change: impl Fn(usize, &Server) -> Standing) -> Self {
        let mut parts = Vec::with_capacity(self.servers.len());
        let servers: Vec<_> = self
            .servers
            .iter()
            .enumerate()
            .map(|(at, server)| {
                let (weight, part, availability) = change(at, server);
                parts.push(part);
                (Server { weight, ..server.clone() }, availability)
            })
            .collect();
        let reweighted = servers.iter().zip(&self.servers).any(|((new, _), old)| new.weight != old.weight);
        Self::build(&self.algorithm, servers, parts, self.positions.clone(), (!reweighted).then_some(self))
    }

    /// How many servers are configured.
    pub fn len(&self) -> usize {
        self.servers.len()
    }

    /// True without servers.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// The server at `position`, below [`len`](Self::len).
    pub fn server(&self, position: usize) -> &Server {
        &self.servers[position]
    }

    /// The weight that the server at `position`, below [`len`](Self::len), counts with now, in the unit of its
    /// configured weight.
    pub fn effective_weight(&self, position: usize) -> f64 {
        let (weight, part, _) = self.standing(position);
        f64::from(weight) * f64::from(part) / f64::from(FULL)
    }

    /// What the server at `position`, below [`len`](Self::len), has got of [`with_parts`](Self::with_parts).
    pub fn standing(&self, position: usize) -> Standing {
        let part = self.parts.get(position).copied().unwrap_or(FULL);
        (self.servers[position].weight, part, self.availability[position])
    }

    /// The availability of the server at `position`, below [`len`](Self::len).
    pub fn availability(&self, position: usize) -> Availability {
        self.availability[position]
    }

    /// True if a pick may choose the server at `position`: it has weight and is not out. False beyond the end.
    pub fn usable(&self, position: usize) -> bool {
        self.tier_of.get(position).is_some_and(Option::is_some)
    }

    /// True if the server at `position`, below [`len`](Self::len), takes a request, which may be of a client that belongs to
    /// it: for them a weight of 0 does not count.
    pub fn takes(&self, position: usize, is_its_own: bool) -> bool {
        self.usable(position) || (is_its_own && self.availability[position] != Availability::Out)
    }

    /// How many servers a pick may choose, over all tiers; 0 means that each pick is `None`.
    pub fn usable_count(&self) -> usize {
        self.tiers.iter().map(Shares::len).sum()
    }

    /// Where the server `id` stands.
    pub fn position(&self, id: &BackendId) -> Option<usize> {
        self.positions.by_id.get(id).copied()
    }

    /// Where the server stands that has this `load`.
    pub fn position_of(&self, load: &Load) -> Option<usize> {
        self.positions.by_load.get(&load.key()).copied()
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

    /// What a pick may choose from in `tier`; `None` if that is empty.
    pub(super) fn candidates<'a>(&'a self, tier: Tier, tried: &'a [usize]) -> Option<Candidates<'a>> {
        let shares = self.shares(tier);
        (!shares.is_empty()).then_some(Candidates { members: self, shares, tier, tried, parts: &self.parts })
    }

    /// What the server at `position` weighs beside the others now.
    pub(super) fn weight(&self, position: usize) -> u32 {
        self.weights[position]
    }

    pub(super) fn in_tier(&self, position: usize, tier: Tier) -> bool {
        self.tier_of[position] == Some(tier)
    }

    pub(super) fn shares(&self, tier: Tier) -> &Shares {
        &self.tiers[tier as usize]
    }

    pub(super) fn ring(&self, tier: Tier) -> &Ring {
        let rings =
            self.ring.get_or_init(|| GROUPS.map(|backup| Ring::new(&configured(&self.servers, backup))));
        &rings[tier.group()]
    }

    fn build(
        algorithm: &Algorithm,
        servers: Vec<(Server, Availability)>,
        parts: Vec<u32>,
        positions: Arc<Positions>,
        same_weights: Option<&Self>,
    ) -> Self {
        let (servers, availability): (Vec<_>, Vec<_>) = servers.into_iter().unzip();
        let tier_of: Box<[_]> = servers.iter().zip(&availability).map(|(s, &a)| Tier::of(s, a)).collect();
        let parts = if parts.iter().all(|&part| part == FULL) { Vec::new() } else { parts };
        let part = |at: usize| parts.get(at).copied().unwrap_or(1);
        let weights: Box<[u32]> =
            servers.iter().enumerate().map(|(at, server)| server.weight.saturating_mul(part(at))).collect();
        let tiers = Tier::ALL.map(|tier| {
            let within = (0..servers.len()).filter(|&at| tier_of[at] == Some(tier));
            Shares::new(&within.map(|at| (at, weights[at])).collect::<Vec<_>>())
        });
        let method = Method::new(algorithm, &servers, &tiers, same_weights.map(|old| &old.method));
        let members = Self {
            algorithm: algorithm.clone(),
            servers: servers.into(),
            availability: availability.into(),
            weights,
            parts: parts.into(),
            tier_of,
            tiers,
            positions,
            ring: same_weights.map_or_else(Arc::default, |old| old.ring.clone()),
            method,
        };
        if matches!(members.method, Method::ConsistentHash) {
            members.ring(Tier::Up);
        }
        members
    }
}

/// Primaries, backups.
const GROUPS: [bool; 2] = [false, true];

impl Tier {
    pub const ALL: [Self; 4] = [Self::Up, Self::UpBackup, Self::Unproven, Self::UnprovenBackup];

    fn of(server: &Server, availability: Availability) -> Option<Self> {
        match (availability, server.backup) {
            _ if server.weight == 0 => None,
            (Availability::Out, _) => None,
            (Availability::Up, false) => Some(Self::Up),
            (Availability::Up, true) => Some(Self::UpBackup),
            (Availability::Unproven, false) => Some(Self::Unproven),
            (Availability::Unproven, true) => Some(Self::UnprovenBackup),
        }
    }

    /// Which of a pair of tables serves this tier.
    pub fn group(self) -> usize {
        self as usize % 2
    }
}

impl Method {
    fn new(
        algorithm: &Algorithm,
        servers: &[Server],
        tiers: &[Shares; 4],
        same_weights: Option<&Self>,
    ) -> Self {
        match (algorithm, same_weights) {
            (Algorithm::RoundRobin, _) => Self::RoundRobin(tiers.each_ref().map(Schedule::new)),
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
            (Algorithm::Maglev(_), _) => {
                Self::Maglev(Arc::new(GROUPS.map(|backup| maglev::Table::new(&configured(servers, backup)))))
            }
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
