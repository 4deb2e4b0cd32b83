//! The servers of a pool at one moment, sorted into tiers, without what an algorithm prepares; and what a pick may choose
//! from.

use std::sync::Arc;

use evenkeel_types::BackendId;

use super::hashing::{rehash, scale};
use super::load::Load;
use super::positions::Positions;
use super::reason::{Choice, Reason};
use super::shares::Shares;
use super::standing::{Availability, ServerStanding};
use crate::health::FULL;

/// Makes which keys a server takes independent of where they go instead.
const SALT: u64 = 0x5851_f42d_4c95_7f2d;

/// One server as the balancer sees it.
#[derive(Debug, Clone)]
pub struct Server {
    /// Unique within the pool.
    pub id: BackendId,
    /// Its share of the traffic relative to the others'; 0 takes no new request.
    pub weight: u32,
    /// Used only when no other server is up.
    pub backup: bool,
    /// What changes with traffic; shared by all that count requests and measure latency.
    pub load: Arc<Load>,
}

/// The servers of one pool at one moment, in the order of its configuration; positions in that order name them.
#[derive(Debug)]
pub struct Roster {
    servers: Box<[Server]>,
    availability: Box<[Availability]>,
    /// Weights as they count now: the servers' own, or their parts of [`FULL`] while one of them starts slowly.
    weights: Box<[u32]>,
    /// Of each server's keys how many parts of [`FULL`] it takes; empty when all take all.
    parts: Box<[u32]>,
    tier_of: Box<[Option<Tier>]>,
    tiers: [Shares; 4],
    positions: Arc<Positions>,
}

/// The order in which servers are considered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tier {
    Up,
    UpBackup,
    Unproven,
    UnprovenBackup,
}

/// The servers of one tier that a pick may still choose from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidates<'a> {
    pub roster: &'a Roster,
    pub shares: &'a Shares,
    pub tier: Tier,
    pub tried: &'a [usize],
    /// As [`Roster`] has it, or empty to disregard it.
    pub parts: &'a [u32],
}

impl Roster {
    /// These servers, each with its availability and the parts of [`FULL`] of its weight that it has.
    pub(super) fn new(
        servers: Vec<(Server, Availability)>,
        parts: Vec<u32>,
        positions: Arc<Positions>,
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
        Self {
            servers: servers.into(),
            availability: availability.into(),
            weights,
            parts: parts.into(),
            tier_of,
            tiers,
            positions,
        }
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

    /// What the server at `position`, below [`len`](Self::len), has got of [`with_parts`](super::Members::with_parts).
    pub fn standing(&self, position: usize) -> ServerStanding {
        let part = self.parts.get(position).copied().unwrap_or(FULL);
        (self.servers[position].weight, part, self.availability[position])
    }

    /// What identifies each server in memory, and how it stands, in order.
    pub(crate) fn standings(&self) -> impl Iterator<Item = (usize, ServerStanding)> {
        self.servers.iter().enumerate().map(|(at, server)| (server.load.key(), self.standing(at)))
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
        self.positions.of_id(id)
    }

    /// Where the server stands that has this `load`.
    pub fn position_of(&self, load: &Load) -> Option<usize> {
        self.positions.of_key(load.key())
    }

    /// Where each server stands.
    pub fn positions(&self) -> &Arc<Positions> {
        &self.positions
    }

    /// The servers, in order.
    pub(super) fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// What a pick may choose from in `tier`; `None` if that is empty.
    pub(super) fn candidates<'a>(&'a self, tier: Tier, tried: &'a [usize]) -> Option<Candidates<'a>> {
        let shares = self.shares(tier);
        (!shares.is_empty()).then_some(Candidates { roster: self, shares, tier, tried, parts: &self.parts })
    }

    /// The shares of all tiers.
    pub(super) fn tiers(&self) -> &[Shares; 4] {
        &self.tiers
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
}

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

impl Candidates<'_> {
    /// True if `server` belongs to this tier and was not tried.
    pub fn eligible(&self, server: usize) -> bool {
        self.roster.in_tier(server, self.tier) && self.untried(server)
    }

    /// True if `server` is eligible, and this key among the part of all keys that it takes for now. Which part
    /// depends on the key alone: where all start together, each keeps its own.
    pub fn takes(&self, server: usize, key: u64) -> bool {
        let spared = |part: u32| scale(rehash(key ^ SALT), FULL.into()) >= u64::from(part);
        self.eligible(server) && !self.parts.get(server).is_some_and(|&part| spared(part))
    }

    /// The same candidates, all of them taking all keys; `None` if they do already.
    pub fn regardless(&self) -> Option<Self> {
        (!self.parts.is_empty()).then_some(Self { parts: &[], ..*self })
    }

    /// Why another server gets a key that `owner` owns.
    pub fn in_place_of(&self, owner: usize) -> Reason {
        if self.eligible(owner) { Reason::OwnerWarming } else { Reason::OwnerOut }
    }

    /// True if `server` was not tried.
    pub fn untried(&self, server: usize) -> bool {
        !self.tried.contains(&server)
    }

    /// Requests in flight at `server`.
    pub fn in_flight(&self, server: usize) -> u32 {
        self.roster.server(server).load.in_flight()
    }

    /// The first untried server from `place` on, in order and around.
    pub fn first_untried(&self, place: usize) -> Option<usize> {
        let len = self.shares.len();
        (0..len).map(|step| self.shares.server((place + step) % len)).find(|&server| self.untried(server))
    }

    /// In the lower tiers what matters about a choice is that it came to this.
    pub fn explain(&self, choice: Choice) -> Choice {
        let reason = match self.tier {
            Tier::Up => choice.reason,
            Tier::UpBackup if self.roster.shares(Tier::Up).is_empty() => Reason::Backup,
            Tier::UpBackup => Reason::BackupAfterRetries,
            Tier::Unproven | Tier::UnprovenBackup => Reason::Unproven,
        };
        Choice { reason, ..choice }
    }
}
