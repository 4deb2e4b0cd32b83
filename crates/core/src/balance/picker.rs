//! The state that one worker needs to pick from one pool: how far its turn has come, and its random source.

use evenkeel_types::Time;
use fastrand::Rng;

use super::members::Method;
use super::roster::{Candidates, Tier};
use super::{
    Choice, Members, Reason, consistent_hash, ip_hash, least_connections, least_response_time, power_of_two,
    random, round_robin,
};

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
            Some(among.explain(self.pick_among(members, &among, key, now)?))
        })
    }

    fn pick_among(
        &mut self,
        members: &Members,
        among: &Candidates<'_>,
        key: u64,
        now: Time,
    ) -> Option<Choice> {
        if among.shares.len() == 1 {
            let server = among.shares.server(0);
            return among.untried(server).then_some(Choice { server, reason: Reason::Only });
        }
        let turn = if among.tried.is_empty() { &mut self.turn } else { &mut self.retry_turn };
        let group = among.tier.group();
        match &members.method {
            Method::RoundRobin(schedules) => round_robin::pick(among, &schedules[among.tier as usize], turn),
            Method::LeastConnections => least_connections::pick(among, turn),
            Method::LeastResponseTime => least_response_time::pick(among, &mut self.rng, now),
            Method::PowerOfTwo => power_of_two::pick(among, &mut self.rng),
            Method::Random => random::pick(among, &mut self.rng, Reason::Random),
            Method::IpHash(_) | Method::ConsistentHash | Method::Maglev(_) if key == 0 => {
                random::pick(among, &mut self.rng, Reason::NoKey)
            }
            Method::IpHash(tables) => ip_hash::pick(among, &tables[group], key),
            Method::ConsistentHash => consistent_hash::pick(among, members.ring(among.tier), key, turn),
            Method::Maglev(tables) => tables[group].pick(among, key),
        }
    }
}
