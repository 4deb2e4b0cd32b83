//! Least connections, weighted: use it when requests differ much in how long they take, as with WebSockets,
//! uploads and layer 4.

use super::roster::Candidates;
use super::{Choice, Reason};

/// How many servers one pick compares. A larger tier is looked at through a window of this size that begins behind
/// the server chosen last, so that it moves on with each pick; the least loaded of 64 is nearly as good as that of
/// all, and the time of a pick stays bounded.
const WINDOW: usize = 64;

/// The server with the least `(in flight + 1) / weight`; of equals, the next in turn.
pub(super) fn pick(among: &Candidates<'_>, turn: &mut u64) -> Option<Choice> {
    let len = among.shares.len();
    let mut place = (*turn % len as u64) as usize;
    let mut best: Option<Least> = None;
    let mut compared = 0;
    for _ in 0..len {
        let server = among.shares.server(place);
        if among.untried(server) {
            let in_flight = among.in_flight(server);
            let weight = among.roster.weight(server);
            if best.as_ref().is_none_or(|best| best.exceeds(in_flight, weight)) {
                best = Some(Least { server, place, in_flight, weight });
            }
            compared += 1;
            if compared == WINDOW {
                break;
            }
        }
        place = if place + 1 == len { 0 } else { place + 1 };
    }
    let Least { server, place, in_flight, weight } = best?;
    *turn = place as u64 + 1;
    Some(Choice { server, reason: Reason::FewestInFlight { in_flight, weight } })
}

struct Least {
    server: usize,
    place: usize,
    in_flight: u32,
    weight: u32,
}

impl Least {
    fn exceeds(&self, in_flight: u32, weight: u32) -> bool {
        (u64::from(self.in_flight) + 1) * u64::from(weight)
            > (u64::from(in_flight) + 1) * u64::from(self.weight)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use evenkeel_config::Algorithm::LeastConnections;
    use evenkeel_types::Time;

    use super::super::tests::{counts, pick, pool};
    use super::super::{Members, Picker, Reason};

    fn busy(weights: &[u32], in_flight: &[u32]) -> Members {
        let members = pool(&LeastConnections, weights);
        for (at, &number) in in_flight.iter().enumerate() {
            (0..number).for_each(|_| members.server(at).load.begin());
        }
        members
    }

    #[test]
    fn the_least_loaded_per_weight_is_chosen() {
        for (weights, in_flight, expected) in [
            (&[1, 1, 1][..], &[3, 1, 2][..], 1),
            (&[1, 2, 1], &[1, 2, 2], 1),
            (&[1, 10, 1], &[0, 10, 1], 0),
            (&[1, 0, 1], &[5, 0, 4], 2),
        ] {
            let choice = Picker::new(1).pick(&busy(weights, in_flight), 0, &[], Time::ZERO).unwrap();
            assert_eq!(choice.server, expected, "{weights:?} {in_flight:?}");
            let reason = Reason::FewestInFlight { in_flight: in_flight[expected], weight: weights[expected] };
            assert_eq!(choice.reason, reason);
        }
    }

    #[test]
    fn equals_take_turns() {
        assert_eq!(counts(&pool(&LeastConnections, &[1; 5]), 100), [20; 5]);
        let members = busy(&[1; 5], &[1, 0, 1, 0, 0]);
        assert_eq!(counts(&members, 300), [0, 100, 0, 100, 100]);
    }

    #[test]
    fn requests_that_stay_spread_by_weight() {
        let members = pool(&LeastConnections, &[5, 3, 2]);
        let mut picker = Picker::new(3);
        for _ in 0..100 {
            members.server(pick(&mut picker, &members, 0)).load.begin();
        }
        assert_eq!([0, 1, 2].map(|at| members.server(at).load.in_flight()), [50, 30, 20]);
    }

    #[test]
    fn a_large_pool_fills_evenly_through_its_window() {
        let members = pool(&LeastConnections, &[1; 200]);
        let mut picker = Picker::new(4);
        for _ in 0..2_000 {
            members.server(pick(&mut picker, &members, 0)).load.begin();
        }
        let in_flight: Vec<_> = (0..200).map(|at| members.server(at).load.in_flight()).collect();
        assert_eq!(in_flight, [10; 200]);
    }
}
