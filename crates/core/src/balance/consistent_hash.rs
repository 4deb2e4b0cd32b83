//! Consistent hashing with bounded load: use it when a key should stay on its server, as for caches, while servers
//! come and go and some keys are far hotter than others.
//!
//! A ring after Karger et al., "Consistent Hashing and Random Trees", 1997; the bound after Mirrokni et al.,
//! "Consistent Hashing with Bounded Loads", 2016, with c = 1.25.

use std::iter;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::hashing::scale;
use super::roster::{Candidates, Server};
use super::shares::Shares;
use super::{Choice, Reason};

/// Points of the heaviest server, if its weight is a power of two; at least half of it otherwise. The share that a
/// server gets strays from its weight by about 1 / sqrt(points).
const POINTS: u64 = 256;

/// Points that a pick walks before it takes the servers in order.
const WALK_MAX: usize = 512;

/// How many servers the mean load is taken from. A larger tier is sampled: the window moves on with each pick.
const SAMPLE: usize = 64;

/// The servers' points on the circle of hashes.
#[derive(Debug)]
pub(super) struct Ring {
    /// Sorted by hash.
    points: Box<[Point]>,
    /// Where the points of each slice of the circle begin.
    slices: Box<[u32]>,
    /// What shifts a hash to its slice.
    shift: u32,
    servers: Shares,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    hash: u64,
    server: u32,
}

impl Ring {
    /// Places each server by its id, with as many points as its weight has of [`POINTS`], the largest weight being
    /// rounded up to a power of two: so the points of a server do not depend on the others, except when that power
    /// changes. One point at least. `list` is in an order that all balancers share.
    pub fn new(list: &[(usize, &Server)]) -> Self {
        let servers = Shares::new(&list.iter().map(|&(at, server)| (at, server.weight)).collect::<Vec<_>>());
        let weight_max = list.iter().map(|(_, server)| u64::from(server.weight)).max().unwrap_or(1);
        let whole = weight_max.next_power_of_two();
        let mut points: Vec<Point> = list
            .iter()
            .flat_map(|&(at, server)| {
                let count = (u64::from(server.weight) * POINTS / whole).max(1);
                let id = server.id.as_str().as_bytes();
                (0..count).map(move |nth| Point { hash: xxh3_64_with_seed(id, nth), server: at as u32 })
            })
            .collect();
        points.sort_unstable_by_key(|point| point.hash);
        let bits = points.len().max(2).next_power_of_two().ilog2();
        let shift = u64::BITS - bits;
        let begin = |slice: u64| points.partition_point(|point| point.hash >> shift < slice) as u32;
        Self { slices: (0..1 << bits).map(begin).collect(), points: points.into(), shift, servers }
    }

    /// The first eligible server in the order of `key`, however loaded.
    pub fn owner(&self, among: &Candidates<'_>, key: u64) -> Option<Choice> {
        let owner = self.order(key).next()?;
        let Some(server) = self.order(key).find(|&server| among.takes(server, key)) else {
            return self.owner(&among.regardless()?, key);
        };
        Some(Choice { server, reason: reason(among, owner, server, server) })
    }

    /// The servers in the order that belongs to `key`, some of them many times: clockwise from its hash; far along,
    /// all of them from a point that it determines.
    fn order(&self, key: u64) -> impl Iterator<Item = usize> {
        let (before, after) = self.points.split_at(self.begin(key));
        let clockwise = after.iter().chain(before).take(WALK_MAX).map(|point| point.server as usize);
        let start = scale(key, self.servers.len() as u64) as usize;
        clockwise.chain(self.servers.servers().skip(start)).chain(self.servers.servers().take(start))
    }

    /// The place of the first point at or behind `key`.
    fn begin(&self, key: u64) -> usize {
        let start = self.slices[(key >> self.shift) as usize] as usize;
        start + self.points[start..].iter().take_while(|point| point.hash < key).count()
    }
}

/// The first eligible server in the order of `key` that has room; if none has, the first.
pub(super) fn pick(among: &Candidates<'_>, ring: &Ring, key: u64, turn: &mut u64) -> Option<Choice> {
    let mut order = ring.order(key);
    let owner = order.next()?;
    let mut first = None;
    let mut bound = None;
    for server in iter::once(owner).chain(order).filter(|&server| among.takes(server, key)) {
        let first = *first.get_or_insert(server);
        // An idle server always has room, and in a quiet pool that answers most picks.
        if among.in_flight(server) == 0
            || bound.get_or_insert_with(|| Bound::measure(among, turn)).has_room(among, server)
        {
            return Some(Choice { server, reason: reason(among, owner, first, server) });
        }
    }
    match first {
        Some(server) => Some(Choice { server, reason: reason(among, owner, server, server) }),
        None => pick(&among.regardless()?, ring, key, turn),
    }
}

/// Why `server`, where `owner` is the first in the key's order and `first` the first one that takes the key.
fn reason(among: &Candidates<'_>, owner: usize, first: usize, server: usize) -> Reason {
    match server {
        _ if server != first => Reason::OwnerFull,
        _ if server == owner => Reason::KeyOwner,
        _ => among.in_place_of(owner),
    }
}

/// What the servers that were looked at have in flight and weigh, together.
struct Bound {
    in_flight: u64,
    weight: u64,
}

impl Bound {
    fn measure(among: &Candidates<'_>, turn: &mut u64) -> Self {
        let len = among.shares.len();
        let looked_at = len.min(SAMPLE);
        let start = (*turn % len as u64) as usize;
        *turn = turn.wrapping_add(looked_at as u64);
        let mut sum = Self { in_flight: 0, weight: 0 };
        for step in 0..looked_at {
            let server = among.shares.server((start + step) % len);
            sum.in_flight += u64::from(among.in_flight(server));
            sum.weight += u64::from(among.roster.weight(server));
        }
        sum
    }

    /// True while `server` has less than 1.25 times its share of what is in flight, this request included.
    fn has_room(&self, among: &Candidates<'_>, server: usize) -> bool {
        let in_flight = u128::from(among.in_flight(server));
        let weight = u128::from(among.roster.weight(server));
        in_flight * u128::from(self.weight) * 4 < u128::from(self.in_flight + 1) * weight * 5
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use evenkeel_config::{Algorithm, HashKey};
    use evenkeel_types::Time;

    use super::super::tests::{
        assert_health_moves_only_own_keys, assert_shares, counts, key, pick, pool, server,
    };
    use super::super::{Availability, Members, Picker, Reason};

    const RING: Algorithm = Algorithm::ConsistentHash(HashKey::ClientIp);

    #[test]
    fn keys_spread_by_weight() {
        for weights in [&[1; 10][..], &[5, 3, 2], &[1_000, 100, 500]] {
            assert_shares(&counts(&pool(&RING, weights), 100_000), weights, 0.25);
        }
    }

    #[test]
    fn a_failed_server_moves_only_its_own_keys_for_as_long_as_it_is_out() {
        assert_health_moves_only_own_keys(&RING, &[1; 5]);
        assert_health_moves_only_own_keys(&RING, &[5, 3, 2]);
    }

    #[test]
    fn a_server_removed_from_the_list_moves_its_own_keys_alone_about_a_tenth() {
        let list = |numbers: &[usize]| {
            let servers = numbers.iter().map(|&number| (server(number, 1), Availability::Up));
            Members::new(&RING, servers.collect())
        };
        let (all, rest) = (list(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), list(&[9, 0, 1, 2, 3, 5, 6, 7, 8]));
        let mut picker = Picker::new(1);
        let mut moved = 0;
        for nth in 0..20_000 {
            let (before, after) = (pick(&mut picker, &all, key(nth)), pick(&mut picker, &rest, key(nth)));
            let (before, after) = (&all.server(before).id, &rest.server(after).id);
            moved += u32::from(before != after);
            assert!(before == after || before.as_str() == "10.0.0.4:3000", "{before} lost a key to {after}");
        }
        assert!((1_600..2_400).contains(&moved), "{moved} of 20,000");
    }

    #[test]
    fn one_hot_key_loads_no_server_beyond_the_bound() {
        for weights in [&[1; 10][..], &[5, 3, 2], &[1; 60]] {
            let members = pool(&RING, weights);
            let mut picker = Picker::new(1);
            let owner = pick(&mut picker, &members, key(1));
            let total: u32 = weights.iter().sum();
            for nth in 1..=1_000 {
                let choice = picker.pick(&members, key(1), &[], Time::ZERO).unwrap();
                let expected = if choice.server == owner { Reason::KeyOwner } else { Reason::OwnerFull };
                assert_eq!(choice.reason, expected);
                members.server(choice.server).load.begin();
                let bound = (1.25 * f64::from(nth * weights[choice.server]) / f64::from(total)).ceil();
                let in_flight = members.server(choice.server).load.in_flight();
                assert!(f64::from(in_flight) <= bound, "{in_flight} of {nth}, weights {weights:?}");
            }
            let in_flight = members.server(owner).load.in_flight();
            let share = 1_000.0 * f64::from(weights[owner]) / f64::from(total);
            assert!(f64::from(in_flight) > 1.2 * share, "the owner is filled to its bound: {in_flight}");
        }
    }

    #[test]
    fn in_a_large_pool_the_sampled_bound_holds_roughly() {
        let members = pool(&RING, &[1; 500]);
        let mut picker = Picker::new(1);
        for _ in 0..10_000 {
            members.server(pick(&mut picker, &members, key(1))).load.begin();
        }
        let fullest = (0..500).map(|at| members.server(at).load.in_flight()).max().unwrap();
        assert!(fullest <= 50, "the mean is 20, the bound 25, the fullest has {fullest}");
    }

    #[test]
    fn an_owner_with_room_again_gets_its_key_back() {
        let members = pool(&RING, &[1; 3]);
        let mut picker = Picker::new(1);
        let owner = pick(&mut picker, &members, key(1));
        (0..3).for_each(|_| members.server(owner).load.begin());
        assert_ne!(pick(&mut picker, &members, key(1)), owner);
        (0..3).for_each(|_| members.server(owner).load.end());
        assert_eq!(pick(&mut picker, &members, key(1)), owner);
    }
}
