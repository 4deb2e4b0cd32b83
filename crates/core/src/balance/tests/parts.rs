//! Servers that have a part of their weight for now: what they get, whose keys they take, and what stays.

use evenkeel_types::Time;
use proptest::prelude::*;

use super::super::{Availability, Members, Picker, Reason};
use super::{ALGORITHMS, assert_shares, counts, key, pick, pool};
use crate::health::FULL;

/// The same servers, with these parts.
fn with_parts(members: &Members, parts: &[u32]) -> Members {
    members.with_parts(|at, server| (server.weight, parts[at], Availability::Up))
}

#[test]
fn a_server_gets_its_part_of_its_share_under_every_algorithm() {
    for algorithm in &ALGORITHMS {
        let members = with_parts(&pool(algorithm, &[2, 2, 2, 2]), &[FULL, FULL, FULL, FULL / 4]);
        // Requests that stay, so that those which go by requests in flight show their weights.
        let mut picker = Picker::new(7);
        let mut counts = [0; 4];
        for nth in 0..13_000 {
            let server = pick(&mut picker, &members, key(nth));
            members.server(server).load.begin();
            counts[server] += 1;
        }
        let share = counts[3] as f64 / 13_000.0;
        // By weight 1 of 13; of the keys that it owns a quarter, which is 1 of 16.
        assert!((0.05..0.09).contains(&share), "{algorithm:?}: {counts:?}");
        assert!(counts[..3].iter().all(|&count| count > 3_500), "{algorithm:?}: {counts:?}");
        assert!((members.effective_weight(3) - 0.5).abs() < 1e-9);
    }
}

#[test]
fn servers_that_all_have_the_same_part_share_as_ever() {
    for algorithm in &ALGORITHMS {
        let all = pool(algorithm, &[3, 2, 1]);
        let slow = with_parts(&all, &[3; 3]);
        let (mut one, mut other) = (Picker::new(3), Picker::new(3));
        for nth in 0..2_000 {
            assert_eq!(pick(&mut one, &all, key(nth)), pick(&mut other, &slow, key(nth)), "{algorithm:?}");
        }
        assert!((0..2_000).all(|nth| all.owner(key(nth), &[]) == slow.owner(key(nth), &[])), "{algorithm:?}");
    }
}

#[test]
fn a_growing_part_moves_no_key_but_to_its_server() {
    for algorithm in &ALGORITHMS[5..] {
        let all = pool(algorithm, &[1, 2, 1, 1]);
        let owner = |members: &Members, nth| pick(&mut Picker::new(0), members, key(nth));
        let mut before = with_parts(&all, &[FULL, 1, FULL, FULL]);
        for part in 2..=FULL {
            let after = with_parts(&before, &[FULL, part, FULL, FULL]);
            for nth in 0..300 {
                let (was, is) = (owner(&before, nth), owner(&after, nth));
                assert!(was == is || is == 1, "{algorithm:?}: key {nth} went from {was} to {is}");
            }
            before = after;
        }
        assert!(
            (0..2_000).all(|nth| owner(&before, nth) == owner(&all, nth)),
            "{algorithm:?}: not as before"
        );
    }
}

#[test]
fn the_reason_says_that_the_owner_starts_slowly() {
    for algorithm in &ALGORITHMS[5..] {
        let members = with_parts(&pool(algorithm, &[1, 1]), &[FULL, 1]);
        let mut picker = Picker::new(0);
        let moved = (0..100).filter_map(|nth| picker.pick(&members, key(nth), &[], Time::ZERO));
        assert!(moved.filter(|choice| choice.reason == Reason::OwnerWarming).count() > 10, "{algorithm:?}");
    }
}

#[test]
fn idle_pools_share_by_part_too() {
    for algorithm in ALGORITHMS.iter().filter(|it| !matches!(it, super::Algorithm::LeastConnections)).take(4)
    {
        let members = with_parts(&pool(algorithm, &[1, 1]), &[FULL, FULL / 2]);
        assert_shares(&counts(&members, 60_000), &[2, 1], 0.05);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_parts_every_server_is_found_in_the_end(
        parts in prop::collection::vec(1..=FULL, 1..40), algorithm in 0..ALGORITHMS.len(), key: u64,
    ) {
        let members = with_parts(&pool(&ALGORITHMS[algorithm], &vec![1; parts.len()]), &parts);
        let (mut tried, mut picker) = (Vec::new(), Picker::new(key));
        while let Some(choice) = picker.pick(&members, key, &tried, Time::ZERO) {
            prop_assert!(!tried.contains(&choice.server));
            tried.push(choice.server);
        }
        prop_assert_eq!(tried.len(), parts.len());
        prop_assert!(members.owner(key, &[]).is_some());
    }
}
