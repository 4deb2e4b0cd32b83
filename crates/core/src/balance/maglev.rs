//! Maglev hashing: use it when many balancers stand in front of the same servers and every one of them must send
//! a key to the same server; evener and faster than a ring. A server that fails moves its own keys only; one that
//! is removed from the list moves a few others as well: of ten servers' keys, 0.2 % beyond its own tenth.
//!
//! Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", 2016, section 3.4.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Choice;
use super::hashing::scale;
use super::ip_hash::probe;
use super::roster::{Candidates, Server};
use super::shares::Shares;

/// Slots of the table: prime, and 65 times more than the largest pool we are made for. 256 KiB.
const SLOTS: u64 = 65_537;

/// Which server a hash belongs to.
#[derive(Debug)]
pub(super) struct MaglevTable {
    /// A server for each slot; empty without servers.
    slots: Box<[u32]>,
    servers: Shares,
}

impl MaglevTable {
    /// Fills the table with the servers' preferences in turn, a server of less than the largest weight missing
    /// turns in proportion. Each gets one slot at least. `list` is in an order that all balancers share.
    pub fn new(list: &[(usize, &Server)]) -> Self {
        let servers = Shares::new(&list.iter().map(|&(at, server)| (at, server.weight)).collect::<Vec<_>>());
        if list.is_empty() {
            return Self { slots: Box::default(), servers };
        }
        const FREE: u32 = u32::MAX;
        let mut slots = vec![FREE; SLOTS as usize];
        let mut preferences: Vec<_> = list.iter().map(|(_, server)| Preference::of(server)).collect();
        let weight_max = list.iter().map(|(_, server)| u64::from(server.weight)).max().unwrap_or(1);
        let mut free = slots.len();
        for round in 0.. {
            for (&(at, server), preference) in list.iter().zip(&mut preferences) {
                // A turn whenever the sum of its weights passes a multiple of the largest one.
                let weight = u64::from(server.weight);
                if round > 0 && (round * weight) / weight_max == ((round - 1) * weight) / weight_max {
                    continue;
                }
                let slot = preference.find(|&slot| slots[slot] == FREE).unwrap_or(0);
                slots[slot] = at as u32;
                free -= 1;
                if free == 0 {
                    return Self { slots: slots.into(), servers };
                }
            }
        }
        unreachable!("each round fills a slot")
    }

    pub fn pick(&self, among: &Candidates<'_>, key: u64) -> Option<Choice> {
        probe(among, key, |hash| self.slots[scale(hash, SLOTS) as usize] as usize, &self.servers)
    }
}

/// The order in which a server wants slots: a permutation of all of them, from its id alone.
struct Preference {
    next: u64,
    skip: u64,
}

impl Preference {
    fn of(server: &Server) -> Self {
        let id = server.id.as_str().as_bytes();
        Self { next: xxh3_64_with_seed(id, 1) % SLOTS, skip: xxh3_64_with_seed(id, 2) % (SLOTS - 1) + 1 }
    }
}

impl Iterator for Preference {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let slot = self.next;
        self.next = (slot + self.skip) % SLOTS;
        Some(slot as usize)
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_config::{Algorithm, HashKey};

    use super::super::tests::{
        assert_health_moves_only_own_keys, assert_shares, counts, key, pick, pool, server,
    };
    use super::super::{Availability, Members, Picker};

    const MAGLEV: Algorithm = Algorithm::Maglev(HashKey::ClientIp);

    #[test]
    fn keys_spread_by_weight() {
        for weights in [&[1; 10][..], &[5, 3, 2], &[1_000, 10, 500]] {
            assert_shares(&counts(&pool(&MAGLEV, weights), 400_000), weights, 0.05);
        }
    }

    #[test]
    fn a_failed_server_moves_only_its_own_keys_for_as_long_as_it_is_out() {
        assert_health_moves_only_own_keys(&MAGLEV, &[1; 5]);
        assert_health_moves_only_own_keys(&MAGLEV, &[5, 3, 2]);
    }

    #[test]
    fn balancers_that_list_the_servers_otherwise_agree() {
        let list = |order: &[usize]| {
            let servers = order.iter().map(|&at| (server(at, 1 + at as u32 % 3), Availability::Up));
            Members::new(&MAGLEV, servers.collect())
        };
        let (one, other) = (list(&[0, 1, 2, 3, 4, 5]), list(&[3, 5, 1, 0, 2, 4]));
        for nth in 0..1_000 {
            let by =
                |members: &Members| members.server(pick(&mut Picker::new(nth), members, key(nth))).id.clone();
            assert_eq!(by(&one), by(&other));
        }
    }

    #[test]
    fn a_server_removed_from_the_list_moves_few_other_keys() {
        let all = pool(&MAGLEV, &[1; 10]);
        let rest = all.with(|at, _| (u32::from(at != 4), Availability::Up));
        let mut picker = Picker::new(1);
        let (mut own, mut others) = (0, 0);
        for nth in 0..100_000 {
            let (before, after) = (pick(&mut picker, &all, key(nth)), pick(&mut picker, &rest, key(nth)));
            own += u32::from(before == 4);
            others += u32::from(before != 4 && before != after);
        }
        assert!((9_000..11_000).contains(&own), "{own}");
        assert!(others < 400, "{others} of 100,000");
    }
}
