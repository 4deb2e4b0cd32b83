//! IP hash: use it when one client must stay on one server and the list of servers hardly ever changes.
//!
//! The cheapest of the algorithms that go by a key: weighted hash modulo over the configured servers. A server that
//! fails moves its own keys only, and gets them back; but a change of the list or of a weight reshuffles most keys.
//! Where that matters, use consistent hashing.

use super::hashing::{rehash, scale};
use super::roster::Candidates;
use super::shares::Shares;
use super::{Choice, Reason};

/// How often a key is rehashed before the servers are taken in order.
const PROBES_MAX: usize = 32;

pub(super) fn pick(among: &Candidates<'_>, table: &Shares, key: u64) -> Option<Choice> {
    let owner = |hash| table.server(table.place(scale(hash, table.total())));
    probe(among, key, owner, table)
}

/// The first eligible server in the order that belongs to `key`: its owner, the owners of its rehashes, then
/// `servers` from a point that it determines. As the order depends on nothing but the key, a server that comes or
/// goes moves only the keys for which it is the first.
pub(super) fn probe(
    among: &Candidates<'_>,
    key: u64,
    owner: impl Fn(u64) -> usize,
    servers: &Shares,
) -> Option<Choice> {
    let first = owner(key);
    if among.takes(first, key) {
        return Some(Choice { server: first, reason: Reason::KeyOwner });
    }
    let mut hash = key;
    let probed = (1..PROBES_MAX).find_map(|_| {
        hash = rehash(hash);
        Some(owner(hash)).filter(|&server| among.takes(server, key))
    });
    let found = probed.or_else(|| {
        let len = servers.len();
        let start = scale(rehash(hash), len as u64) as usize;
        (0..len).map(|step| servers.server((start + step) % len)).find(|&server| among.takes(server, key))
    });
    match found {
        Some(server) => Some(Choice { server, reason: among.in_place_of(first) }),
        None => probe(&among.regardless()?, key, owner, servers),
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_config::Algorithm::IpHash;

    use super::super::tests::{
        assert_health_moves_only_own_keys, assert_shares, counts, key, pick, pool, without,
    };
    use super::super::{Availability, Members, Picker, hash};

    #[test]
    fn an_address_always_reaches_the_same_server() {
        let members = pool(&IpHash, &[1, 1, 1]);
        for address in ["10.1.2.3", "2001:db8::1"] {
            let owner = pick(&mut Picker::new(0), &members, hash(address.as_bytes()));
            for worker in 0..100 {
                assert_eq!(pick(&mut Picker::new(worker), &members, hash(address.as_bytes())), owner);
            }
        }
    }

    #[test]
    fn addresses_spread_by_weight() {
        for weights in [&[1, 1, 1][..], &[5, 3, 2]] {
            assert_shares(&counts(&pool(&IpHash, weights), 100_000), weights, 0.03);
        }
    }

    #[test]
    fn a_failed_server_moves_only_its_own_addresses_for_as_long_as_it_is_out() {
        assert_health_moves_only_own_keys(&IpHash, &[1; 5]);
        assert_health_moves_only_own_keys(&IpHash, &[5, 3, 2]);
    }

    #[test]
    fn the_last_of_many_servers_takes_everything() {
        let members = pool(&IpHash, &[1; 500]);
        let rest = without(&members, &(0..499).collect::<Vec<_>>());
        let two = without(&members, &(0..498).collect::<Vec<_>>());
        assert!((0..100).all(|nth| pick(&mut Picker::new(0), &rest, key(nth)) == 499));
        let counts = counts(&two, 10_000);
        assert!(counts[498] > 0 && counts[499] > 0 && counts[498] + counts[499] == 10_000);
    }

    #[test]
    fn the_order_of_the_list_does_not_matter() {
        let members = pool(&IpHash, &[1, 2, 3]);
        let servers = (0..3).rev().map(|at| (members.server(at).clone(), Availability::Up));
        let reversed = Members::new(&IpHash, servers.collect());
        for nth in 0..500 {
            let one = pick(&mut Picker::new(0), &members, key(nth));
            assert_eq!(pick(&mut Picker::new(0), &reversed, key(nth)), 2 - one);
        }
    }
}
