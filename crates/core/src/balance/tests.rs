//! Properties that hold whatever the algorithm, and pools for the algorithms' own tests.

use std::sync::Arc;

use evenkeel_config::{Algorithm, HashKey};
use evenkeel_types::Time;
use proptest::prelude::*;

use super::*;

mod parts;
mod simulation;

pub(super) const ALGORITHMS: [Algorithm; 8] = [
    Algorithm::RoundRobin,
    Algorithm::LeastConnections,
    Algorithm::LeastResponseTime,
    Algorithm::PowerOfTwo,
    Algorithm::Random,
    Algorithm::IpHash,
    Algorithm::ConsistentHash(HashKey::ClientIp),
    Algorithm::Maglev(HashKey::ClientIp),
];

pub(super) fn server(number: usize, weight: u32) -> Server {
    let id = format!("10.0.0.{number}:3000").as_str().into();
    Server { id, weight, backup: false, load: Arc::default() }
}

/// Servers of these weights, all up.
pub(super) fn pool(algorithm: &Algorithm, weights: &[u32]) -> Members {
    let servers = weights.iter().enumerate().map(|(at, &weight)| (server(at, weight), Availability::Up));
    Members::new(algorithm, servers.collect())
}

/// The same with the servers `out` out.
pub(super) fn without(members: &Members, out: &[usize]) -> Members {
    members.with(|at, server| {
        (server.weight, if out.contains(&at) { Availability::Out } else { Availability::Up })
    })
}

/// The server that `picker` gives a request without a past.
pub(super) fn pick(picker: &mut Picker, members: &Members, key: u64) -> usize {
    picker.pick(members, key, &[], Time::ZERO).unwrap().server
}

/// The `nth` of many keys.
pub(super) fn key(nth: u64) -> u64 {
    hash(&nth.to_le_bytes())
}

/// How often each server is picked for `picks` keys.
pub(super) fn counts(members: &Members, picks: u64) -> Vec<u64> {
    let mut picker = Picker::new(7);
    let mut counts = vec![0; members.len()];
    for nth in 0..picks {
        counts[pick(&mut picker, members, key(nth))] += 1;
    }
    counts
}

/// Asserts that each count is within `tolerance` (a part of one) of its share by weight.
pub(super) fn assert_shares(counts: &[u64], weights: &[u32], tolerance: f64) {
    let (picks, total) = (counts.iter().sum::<u64>() as f64, weights.iter().sum::<u32>());
    for (&count, &weight) in counts.iter().zip(weights) {
        let share = picks * f64::from(weight) / f64::from(total);
        assert!((count as f64 - share).abs() <= tolerance * share, "{counts:?} for weights {weights:?}");
    }
}

/// Asserts what every algorithm that goes by a key promises: the key's server does not change from pick to pick
/// and worker to worker; a server that fails moves its own keys only, and gets them all back.
pub(super) fn assert_health_moves_only_own_keys(algorithm: &Algorithm, weights: &[u32]) {
    let all = pool(algorithm, weights);
    for dead in 0..weights.len() {
        let rest = without(&all, &[dead]);
        let back = without(&rest, &[]);
        let mut heirs = vec![0; weights.len()];
        for nth in 0..3_000 {
            let before = pick(&mut Picker::new(nth), &all, key(nth));
            let meanwhile = pick(&mut Picker::new(nth + 1), &rest, key(nth));
            if before == dead {
                assert_ne!(meanwhile, dead);
                heirs[meanwhile] += 1;
            } else {
                assert_eq!(before, meanwhile, "key {nth} moved though its server is up");
            }
            assert_eq!(
                before,
                pick(&mut Picker::new(nth + 2), &back, key(nth)),
                "key {nth} did not come back"
            );
        }
        let idle = heirs.iter().filter(|&&keys| keys == 0).count();
        assert_eq!(idle, 1, "all others share the keys of server {dead}: {heirs:?}");
    }
}

/// The tier of a server, from the rules as they are written: lower comes first.
fn rank(server: &Server, availability: Availability) -> Option<u8> {
    match (availability, server.backup) {
        _ if server.weight == 0 => None,
        (Availability::Up, false) => Some(0),
        (Availability::Up, true) => Some(1),
        (Availability::Unproven, false) => Some(2),
        (Availability::Unproven, true) => Some(3),
        (Availability::Out, _) => None,
    }
}

fn any_server() -> impl Strategy<Value = (u32, bool, Availability, u32, bool)> {
    let weight = prop_oneof![Just(0), Just(1), 1..10u32, 0..=1_000u32, Just(u32::MAX)];
    let availability = prop_oneof![4 => Just(Availability::Up), 1 => Just(Availability::Unproven), 1 => Just(Availability::Out)];
    (weight, proptest::bool::weighted(0.2), availability, 0..20u32, proptest::bool::weighted(0.3))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_pick_is_the_best_tier_that_has_an_untried_server(
        servers in proptest::collection::vec(any_server(), 0..90),
        algorithm in 0..ALGORITHMS.len(),
        seed: u64,
        keys in proptest::collection::vec(any::<u64>(), 1..40),
    ) {
        let tried: Vec<usize> = (0..servers.len()).filter(|&at| servers[at].4).collect();
        let list: Vec<_> = servers.iter().enumerate().map(|(at, &(weight, backup, availability, busy, _))| {
            let server = Server { backup, ..server(at, weight) };
            (0..busy).for_each(|_| server.load.begin());
            (server, availability)
        }).collect();
        let ranks: Vec<_> = list.iter().map(|(server, availability)| rank(server, *availability)).collect();
        let members = Members::new(&ALGORITHMS[algorithm], list);
        let mut picker = Picker::new(seed);
        for key in keys {
            for tried in [&tried[..], &[]] {
                let best = (0..ranks.len()).filter(|at| !tried.contains(at)).filter_map(|at| ranks[at]).min();
                let choice = picker.pick(&members, key, tried, Time::from_millis(5));
                prop_assert_eq!(choice.and_then(|choice| ranks[choice.server]), best);
                prop_assert!(choice.is_none_or(|choice| !tried.contains(&choice.server)));
                let owner = members.owner(key, tried);
                prop_assert_eq!(owner.and_then(|choice| ranks[choice.server]), best);
                prop_assert!(owner.is_none_or(|choice| !tried.contains(&choice.server)));
            }
        }
        prop_assert_eq!(members.usable_count(), ranks.iter().flatten().count());
    }
}

#[test]
fn retries_visit_every_usable_server_once_then_none() {
    for algorithm in &ALGORITHMS {
        let members = without(&pool(algorithm, &[3, 1, 0, 2, 1]), &[3]);
        let mut tried = Vec::new();
        let mut picker = Picker::new(1);
        while let Some(choice) = picker.pick(&members, key(1), &tried, Time::ZERO) {
            tried.push(choice.server);
        }
        tried.sort_unstable();
        assert_eq!(tried, [0, 1, 4], "{algorithm:?}");
    }
}

#[test]
fn the_lower_tiers_say_why_they_are_used() {
    let list = |first, second| {
        let backup = Server { backup: true, ..server(9, 1) };
        vec![(server(0, 1), first), (server(1, 1), second), (backup, Availability::Up)]
    };
    let reason = |servers, tried: &[usize]| {
        let members = Members::new(&Algorithm::RoundRobin, servers);
        Picker::new(0).pick(&members, 0, tried, Time::ZERO).unwrap().reason.to_string()
    };
    use Availability::{Out, Unproven, Up};
    assert_eq!(reason(list(Up, Up), &[]), "next in turn");
    assert_eq!(reason(list(Up, Out), &[]), "the only server that is up");
    assert_eq!(reason(list(Out, Unproven), &[]), "backup: no other server is up");
    assert_eq!(reason(list(Up, Up), &[0, 1]), "backup: every other server was tried");
    assert_eq!(reason(list(Out, Unproven), &[2]), "no server proven healthy yet");
}

#[test]
fn a_request_without_a_key_does_not_pile_up_on_one_server() {
    for algorithm in &ALGORITHMS[5..] {
        let members = pool(algorithm, &[1, 1, 1]);
        let mut picker = Picker::new(3);
        let mut counts = [0; 3];
        for _ in 0..3_000 {
            counts[pick(&mut picker, &members, 0)] += 1;
        }
        assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{algorithm:?}: {counts:?}");
    }
}

#[test]
fn servers_are_found_by_id_and_keep_their_load_through_changes() {
    let members = pool(&Algorithm::RoundRobin, &[1, 1]);
    members.server(1).load.begin();
    let changed = members.with(|at, _| (at as u32, Availability::Up));
    assert_eq!(changed.position(&"10.0.0.1:3000".into()), Some(1));
    assert_eq!(changed.position(&"10.0.0.7:3000".into()), None);
    assert_eq!(changed.server(1).load.in_flight(), 1);
    assert_eq!((changed.usable(0), changed.usable(1), changed.usable(2)), (false, true, false));
    assert_eq!((changed.len(), changed.usable_count()), (2, 1));
}

#[test]
fn equal_keys_hash_equally_for_all_time() {
    assert_eq!(hash(b""), 0x2d06_8005_38d3_94c2);
    assert_eq!(hash(b"10.0.0.1"), 13_122_814_183_507_453_510);
}

#[test]
fn keys_keep_their_servers_from_release_to_release() {
    for (algorithm, expected) in ALGORITHMS[5..].iter().zip([
        "311133233041331403003234",
        "131343431314342324331121",
        "234241333041303113223303",
    ]) {
        let members = pool(algorithm, &[1, 2, 1, 3, 1]);
        let owners: String =
            (0..24).map(|nth| pick(&mut Picker::new(0), &members, key(nth)).to_string()).collect();
        assert_eq!(owners, expected, "{algorithm:?}");
    }
}

#[test]
fn new_weights_take_effect() {
    for algorithm in ALGORITHMS.iter().filter(|&algorithm| *algorithm != Algorithm::LeastConnections) {
        let before = pool(algorithm, &[1, 1, 1, 1]);
        assert_shares(&counts(&before, 40_000), &[1; 4], 0.2);
        let after = before.with(|at, _| ([5, 0, 3, 2][at], Availability::Up));
        assert_shares(&counts(&after, 40_000), &[5, 0, 3, 2], 0.2);
    }
}

#[test]
fn affinity_finds_the_same_server_under_any_algorithm() {
    let pools: Vec<_> = ALGORITHMS.iter().map(|algorithm| pool(algorithm, &[1, 2, 1, 1])).collect();
    for nth in 0..500 {
        let first = pools[0].owner(key(nth), &[]).unwrap();
        assert_eq!(first.reason, Reason::KeyOwner);
        assert!(pools.iter().all(|pool| pool.owner(key(nth), &[]) == Some(first)));
        let next = without(&pools[0], &[first.server]).owner(key(nth), &[]).unwrap();
        assert_eq!(next.reason, Reason::OwnerOut);
        assert_eq!(
            pools[0].owner(key(nth), &[first.server]),
            Some(next),
            "a retry goes where the failover goes"
        );
    }
}
