//! Dividing a route's requests between pools by weight, and sampling those that are mirrored.

use evenkeel_types::PoolName;

/// The index of the pool that a request goes to. Over evenly distributed `roll`s each pool is chosen in exact
/// proportion to its weight (to within one part in 2^32), and never at weight 0.
pub fn choose(split: &[(PoolName, u32)], roll: u64) -> usize {
    let total: u64 = split.iter().map(|(_, weight)| u64::from(*weight)).sum();
    // Lemire's multiply-shift: maps the roll onto 0..total without a division.
    let mut ticket = (u128::from(roll) * u128::from(total)) >> 64;
    for (i, (_, weight)) in split.iter().enumerate() {
        match ticket.checked_sub(u128::from(*weight)) {
            Some(rest) => ticket = rest,
            None => return i,
        }
    }
    // Only reached when all weights are 0, which the configuration refuses.
    0
}

/// True for `percent` of a hundred requests, over evenly distributed `roll`s.
pub fn is_sampled(percent: u32, roll: u64) -> bool {
    (u128::from(roll) * 100) >> 64 < u128::from(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_as_large_as_asked_for() {
        for percent in [0, 1, 5, 50, 99, 100] {
            let rolls = (0..10_000_u64).map(|i| i * (u64::MAX / 10_000) + u64::MAX / 20_000);
            assert_eq!(rolls.filter(|roll| is_sampled(percent, *roll)).count(), percent as usize * 100);
        }
    }

    fn counts(weights: &[u32], rolls: u64) -> Vec<u64> {
        let split: Vec<(PoolName, u32)> = weights.iter().map(|w| (PoolName::from("p"), *w)).collect();
        let mut counts = vec![0; weights.len()];
        let step = u64::MAX / rolls;
        for i in 0..rolls {
            counts[choose(&split, i * step + step / 2)] += 1;
        }
        counts
    }

    #[test]
    fn evenly_spread_rolls_divide_exactly_by_weight() {
        assert_eq!(counts(&[95, 5], 2000), [1900, 100]);
        assert_eq!(counts(&[5, 3, 2], 1000), [500, 300, 200]);
        assert_eq!(counts(&[1, 0, 1], 1000), [500, 0, 500]);
        assert_eq!(counts(&[0, 7], 1000), [0, 1000]);
        assert_eq!(counts(&[1], 10), [10]);
    }

    #[test]
    fn the_extremes_stay_within_the_split() {
        let split = [(PoolName::from("a"), 0), (PoolName::from("b"), 1), (PoolName::from("c"), 0)];
        assert_eq!((choose(&split, 0), choose(&split, u64::MAX)), (1, 1));
        let heavy = [(PoolName::from("a"), u32::MAX), (PoolName::from("b"), u32::MAX)];
        assert_eq!((choose(&heavy, 0), choose(&heavy, u64::MAX)), (0, 1));
    }
}
