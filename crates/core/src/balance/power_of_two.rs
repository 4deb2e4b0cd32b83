//! Power of two choices: use it for large pools and many balancers, where it comes close to least connections
//! without herding onto the one that looked idle (Mitzenmacher, "The Power of Two Choices in Randomized Load
//! Balancing", 2001).

use fastrand::Rng;

use super::roster::Candidates;
use super::{Choice, Reason, random};

/// Of two servers drawn by weight, the one with less in flight per unit of weight; of equals the first drawn, so
/// that an idle pool shares by weight.
pub(super) fn pick(among: &Candidates<'_>, rng: &mut Rng) -> Option<Choice> {
    let (first, second) = random::draw_two(among, rng)?;
    let Some(second) = second else {
        return Some(Choice { server: among.shares.server(first), reason: Reason::Random });
    };
    let load = |place| u64::from(among.in_flight(among.shares.server(place)));
    let (here, there) = (load(first), load(second));
    let weight = |place| among.shares.weight(place);
    let (place, in_flight, other) = if there * weight(first) < here * weight(second) {
        (second, there, here)
    } else {
        (first, here, there)
    };
    let reason = Reason::LessLoadedOfTwo { in_flight: in_flight as u32, other: other as u32 };
    Some(Choice { server: among.shares.server(place), reason })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use evenkeel_config::Algorithm::PowerOfTwo;
    use evenkeel_types::Time;

    use super::super::tests::{assert_shares, counts, pick, pool};
    use super::super::{Picker, Reason};

    #[test]
    fn an_idle_pool_shares_by_weight() {
        for weights in [&[1, 1, 1, 1][..], &[5, 3, 2]] {
            assert_shares(&counts(&pool(&PowerOfTwo, weights), 100_000), weights, 0.05);
        }
    }

    #[test]
    fn the_busiest_server_is_never_chosen() {
        let members = pool(&PowerOfTwo, &[1; 4]);
        (0..3).for_each(|_| members.server(2).load.begin());
        assert_eq!(counts(&members, 1_000)[2], 0);
        let choice = Picker::new(1).pick(&members, 0, &[0, 1], Time::ZERO).unwrap();
        assert_eq!((choice.server, choice.reason), (3, Reason::LessLoadedOfTwo { in_flight: 0, other: 3 }));
    }

    #[test]
    fn requests_that_stay_spread_far_more_evenly_than_at_random() {
        let members = pool(&PowerOfTwo, &[1; 100]);
        let mut picker = Picker::new(5);
        for _ in 0..10_000 {
            members.server(pick(&mut picker, &members, 0)).load.begin();
        }
        let fullest = (0..100).map(|at| members.server(at).load.in_flight()).max().unwrap();
        // About 100 + log2(log2(100)); random draws would reach some 125.
        assert!(fullest <= 105, "{fullest}");
    }
}
