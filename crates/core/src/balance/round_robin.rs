//! Round robin, weighted and smooth: use it when requests cost about the same. The default.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::roster::Candidates;
use super::shares::Shares;
use super::{Choice, Reason};

/// The longest sequence that is written out; any 16 servers of the configuration's weights fit.
const SLOTS_MAX: u64 = 16_384;

/// Slots looked at for a server that was not tried, before the tier is scanned in plain order.
const LOOK_AHEAD_MAX: usize = 64;

/// Which server has which turn.
#[derive(Debug)]
pub(super) enum Schedule {
    /// All weigh the same: in order, exactly even.
    Plain,
    /// One full round, written out: each server stands in it as often as its weight says, exactly.
    Round(Box<[u32]>),
    /// Weights whose full round would be too long: the van der Corput sequence (1935) over the running sums. After
    /// n picks no server is more than about log2(n) picks away from its share.
    Scattered,
}

impl Schedule {
    pub fn new(shares: &Shares) -> Self {
        if shares.is_equal() {
            Self::Plain
        } else if shares.total() <= SLOTS_MAX {
            Self::Round(smooth_round(shares))
        } else {
            Self::Scattered
        }
    }

    fn server(&self, shares: &Shares, turn: u64) -> usize {
        match self {
            Self::Plain => shares.server((turn % shares.len() as u64) as usize),
            Self::Round(slots) => slots[(turn % slots.len() as u64) as usize] as usize,
            Self::Scattered => {
                let point = (u128::from((turn as u32).reverse_bits()) * u128::from(shares.total())) >> 32;
                shares.server(shares.place(point as u64))
            }
        }
    }
}

pub(super) fn pick(among: &Candidates<'_>, schedule: &Schedule, turn: &mut u64) -> Option<Choice> {
    let chosen = |server| Choice { server, reason: Reason::InTurn };
    for _ in 0..LOOK_AHEAD_MAX {
        let server = schedule.server(among.shares, *turn);
        *turn = turn.wrapping_add(1);
        if among.untried(server) {
            return Some(chosen(server));
        }
    }
    among.first_untried((*turn % among.shares.len() as u64) as usize).map(chosen)
}

/// A round in which every server comes as evenly as integers allow: at each point it has had the floor or the
/// ceiling of its share so far. By earliest deadline first among those not ahead of their share (Baruah et al.,
/// "Proportionate Progress", 1996).
fn smooth_round(shares: &Shares) -> Box<[u32]> {
    let total = shares.total();
    let mut waiting: BinaryHeap<_> = (0..shares.len()).map(|place| Reverse((0, place, 0))).collect();
    let mut ready = BinaryHeap::new();
    let mut slots = Vec::with_capacity(total as usize);
    for slot in 0..total {
        while let Some(&Reverse((release, place, nth))) = waiting.peek() {
            if release > slot {
                break;
            }
            waiting.pop();
            let deadline = ((nth + 1) * total).div_ceil(shares.weight(place));
            ready.push(Reverse((deadline, place, nth)));
        }
        let Some(Reverse((_, place, nth))) = ready.pop() else {
            unreachable!("the windows of the first n slots hold at least n turns");
        };
        slots.push(shares.server(place) as u32);
        waiting.push(Reverse(((nth + 1) * total / shares.weight(place), place, nth + 1)));
    }
    slots.into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use evenkeel_config::Algorithm::RoundRobin;
    use evenkeel_types::Time;
    use proptest::prelude::*;

    use super::super::tests::{counts, pick, pool, without};
    use super::super::{Members, Picker};

    fn picks(picker: &mut Picker, members: &Members, number: usize) -> Vec<usize> {
        (0..number).map(|_| pick(picker, members, 0)).collect()
    }

    #[test]
    fn equal_servers_come_in_order_exactly_evenly() {
        let got = picks(&mut Picker::new(5), &pool(&RoundRobin, &[1, 1, 1]), 300);
        assert!(got.windows(2).all(|pair| pair[1] == (pair[0] + 1) % 3), "{got:?}");
        assert_eq!(counts(&pool(&RoundRobin, &[40; 10]), 1_000), [100; 10]);
    }

    #[test]
    fn weights_5_3_2_are_exact_and_no_server_comes_twice_running() {
        for seed in 0..10 {
            let got = picks(&mut Picker::new(seed), &pool(&RoundRobin, &[5, 3, 2]), 100);
            let count = |server| got.iter().filter(|&&s| s == server).count();
            assert_eq!([count(0), count(1), count(2)], [50, 30, 20]);
            assert!(got.windows(2).all(|pair| pair[0] != pair[1]), "{got:?}");
        }
    }

    #[test]
    fn a_changed_pool_stays_even_from_the_change_on() {
        let mut picker = Picker::new(9);
        let all = pool(&RoundRobin, &[1; 4]);
        for out in [vec![1], vec![0, 3], vec![], vec![2]] {
            let members = without(&all, &out);
            let got = picks(&mut picker, &members, 7 * (4 - out.len()));
            for server in (0..4).filter(|server| !out.contains(server)) {
                assert_eq!(got.iter().filter(|&&s| s == server).count(), 7, "without {out:?}: {got:?}");
            }
        }
    }

    #[test]
    fn workers_together_are_as_even_as_their_number() {
        let members = pool(&RoundRobin, &[1; 7]);
        let mut workers: Vec<_> = (0..4).map(Picker::new).collect();
        let mut counts = [0; 7];
        for nth in 0..10_001 {
            counts[pick(&mut workers[nth % 4], &members, 0)] += 1;
        }
        assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 4, "{counts:?}");
    }

    #[test]
    fn retries_use_up_no_turn() {
        let members = pool(&RoundRobin, &[1, 1, 1]);
        let mut picker = Picker::new(2);
        let (mut first, mut again) = ([0; 3], [0; 3]);
        for _ in 0..300 {
            let server = pick(&mut picker, &members, 0);
            first[server] += 1;
            if server == 0 {
                again[picker.pick(&members, 0, &[0], Time::ZERO).unwrap().server] += 1;
            }
        }
        assert_eq!((first, again), ([100; 3], [0, 50, 50]));
    }

    #[test]
    fn weights_without_a_short_round_keep_close_to_their_shares() {
        let weights: Vec<u32> = (961..=1_000).collect();
        let total = f64::from(weights.iter().sum::<u32>());
        for picked in [1_000, 10_000, 100_000_u32] {
            for (count, &weight) in counts(&pool(&RoundRobin, &weights), picked.into()).iter().zip(&weights) {
                let share = f64::from(picked) * f64::from(weight) / total;
                assert!((*count as f64 - share).abs() < f64::from(picked).log2(), "{count} for {share}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_stretch_gives_each_server_its_share_to_within_two(
            weights in proptest::collection::vec(1..100u32, 1..12), seed: u64,
        ) {
            let total = f64::from(weights.iter().sum::<u32>());
            let members = pool(&RoundRobin, &weights);
            let mut got = vec![0.0; weights.len()];
            for (nth, server) in picks(&mut Picker::new(seed), &members, total as usize).into_iter().enumerate() {
                got[server] += 1.0;
                for (&count, &weight) in got.iter().zip(&weights) {
                    let share = (nth + 1) as f64 * f64::from(weight) / total;
                    prop_assert!((count - share).abs() < 2.0, "{count} instead of {share} for {weights:?}");
                }
            }
            prop_assert_eq!(got, weights.iter().map(|&weight| f64::from(weight)).collect::<Vec<_>>());
        }
    }
}
