//! The state that one worker needs to pick from one pool: how far its turn has come, and its random source.

use evenkeel_types::Time;
use fastrand::Rng;

use super::members::{Candidates, Method, Tier};
use super::{
    Choice, Members, Reason, consistent_hash, ip_hash, least_connections, least_response_time, power_of_two,
    random, rehash, round_robin, scale,
};
use crate::health::FULL;

/// Makes which keys a server takes independent of where they go instead.
const SALT: u64 = 0x5851_f42d_4c95_7f2d;

/// Picks servers for one worker and one pool; outlives the [`Members`] it picks from.
#[derive(Debug, Clone)]
pub struct Picker {
    /// Where the next first attempt looks first; taken modulo whatever it walks, so that it needs no reset when
    /// the members change.
    turn: u64,
    /// The same for retries. Of its own: else, with two servers of which one fails, each retry would use up the
    /// good one's turn and every request would start at the bad one.
    retry_turn: u64,
    rng: Rng,
}

impl Picker {
    /// A picker whose starting point and random draws follow from `seed`; each worker is given another one.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        // From the lower half of the range, so that the turn never wraps around.
        Self { turn: u64::from(rng.u32(..)), retry_turn: u64::from(rng.u32(..)), rng }
    }

    /// A random number, for decisions beside the choice of a server.
    pub fn random(&mut self) -> u64 {
        self.rng.u64(..)
    }

    /// Chooses a server, or none if all usable ones were tried.
    ///
    /// `key` is the [`hash`](super::hash) of what the pool's algorithm goes by, 0 if the request has none: then the
    /// algorithms that go by a key draw at random. `tried` holds the positions of servers that this request has
    /// already failed at.
    pub fn pick(&mut self, members: &Members, key: u64, tried: &[usize], now: Time) -> Option<Choice> {
        Tier::ALL.into_iter().find_map(|tier| {
            let among = members.candidates(tier, tried)?;
            Some(among.explain(self.pick_among(&among, key, now)?))
        })
    }

    fn pick_among(&mut self, among: &Candidates<'_>, key: u64, now: Time) -> Option<Choice> {
        if among.shares.len() == 1 {
            let server = among.shares.server(0);
            return among.untried(server).then_some(Choice { server, reason: Reason::Only });
        }
        let turn = if among.tried.is_empty() { &mut self.turn } else { &mut self.retry_turn };
        let group = among.tier.group();
        match &among.members.method {
            Method::RoundRobin(schedules) => round_robin::pick(among, &schedules[among.tier as usize], turn),
            Method::LeastConnections => least_connections::pick(among, turn),
            Method::LeastResponseTime => least_response_time::pick(among, &mut self.rng, now),
            Method::PowerOfTwo => power_of_two::pick(among, &mut self.rng),
            Method::Random => random::pick(among, &mut self.rng, Reason::Random),
            Method::IpHash(_) | Method::ConsistentHash | Method::Maglev(_) if key == 0 => {
                random::pick(among, &mut self.rng, Reason::NoKey)
            }
            Method::IpHash(tables) => ip_hash::pick(among, &tables[group], key),
            Method::ConsistentHash => consistent_hash::pick(among, among.members.ring(among.tier), key, turn),
            Method::Maglev(tables) => tables[group].pick(among, key),
        }
    }
}

impl Candidates<'_> {
    /// True if `server` belongs to this tier and was not tried.
    pub fn eligible(&self, server: usize) -> bool {
        self.members.in_tier(server, self.tier) && self.untried(server)
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
        self.members.server(server).load.in_flight()
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
            Tier::UpBackup if self.members.shares(Tier::Up).is_empty() => Reason::Backup,
            Tier::UpBackup => Reason::BackupAfterRetries,
            Tier::Unproven | Tier::UnprovenBackup => Reason::Unproven,
        };
        Choice { reason, ..choice }
    }
}
