//! Random, by weight: use it when many balancers share servers and none should follow another's rhythm.

use fastrand::Rng;

use super::roster::Candidates;
use super::{Choice, Reason};

/// Draws that may hit a tried server before the rest is drawn from exactly.
const DRAWS_MAX: usize = 4;

pub(super) fn pick(among: &Candidates<'_>, rng: &mut Rng, reason: Reason) -> Option<Choice> {
    draw(among, rng).map(|place| Choice { server: among.shares.server(place), reason })
}

/// The places of one server, by weight, and of another one if there is another; neither was tried.
pub(super) fn draw_two(among: &Candidates<'_>, rng: &mut Rng) -> Option<(usize, Option<usize>)> {
    let first = draw(among, rng)?;
    let second = (0..DRAWS_MAX)
        .filter_map(|_| among.shares.draw_other(rng, first))
        .find(|&place| among.untried(among.shares.server(place)));
    Some((first, second))
}

/// The place of a server that was not tried, by weight.
fn draw(among: &Candidates<'_>, rng: &mut Rng) -> Option<usize> {
    let shares = among.shares;
    let untried = |&place: &usize| among.untried(shares.server(place));
    if let Some(place) = (0..DRAWS_MAX).map(|_| shares.draw(rng)).find(untried) {
        return Some(place);
    }
    let left: u64 = (0..shares.len()).filter(untried).map(|place| shares.weight(place)).sum();
    if left == 0 {
        return None;
    }
    let mut point = rng.u64(..left);
    (0..shares.len()).filter(untried).find(|&place| match point.checked_sub(shares.weight(place)) {
        Some(rest) => {
            point = rest;
            false
        }
        None => true,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use evenkeel_config::Algorithm::Random;
    use evenkeel_types::Time;

    use super::super::Picker;
    use super::super::tests::{assert_shares, counts, pool};

    #[test]
    fn draws_follow_the_weights() {
        for weights in [&[1, 1, 1, 1][..], &[5, 3, 2], &[100, 1_000, 400]] {
            assert_shares(&counts(&pool(&Random, weights), 100_000), weights, 0.05);
        }
    }

    #[test]
    fn retries_follow_the_weights_of_the_rest() {
        let members = pool(&Random, &[1_000, 1, 2, 1]);
        let mut picker = Picker::new(1);
        let mut counts = [0; 4];
        for _ in 0..100_000 {
            counts[picker.pick(&members, 0, &[0], Time::ZERO).unwrap().server] += 1;
        }
        assert_eq!(counts[0], 0);
        assert_shares(&counts[1..], &[1, 2, 1], 0.05);
    }

    #[test]
    fn seeds_decide_the_draws() {
        let members = pool(&Random, &[1; 10]);
        let draws = |seed| {
            let mut picker = Picker::new(seed);
            (0..50).map(|_| picker.pick(&members, 0, &[], Time::ZERO).unwrap().server).collect::<Vec<_>>()
        };
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
    }
}
