//! Least response time: use it when servers differ in speed, or become slow at times; peak EWMA over two random
//! choices, as in Finagle and Linkerd.

use evenkeel_types::Time;
use fastrand::Rng;

use super::roster::Candidates;
use super::{Choice, Reason, random};

/// A server without a sample counts this much of its rival's latency: preferred, so that it gets tried, but no
/// longer as soon as it has more in flight, so that a new server is not flooded before its first answer.
const UNTIMED: f64 = 0.9;

/// Latencies below count as this: a server that answers within a millisecond is quick, and a smaller difference is noise that
/// would send an idle pool's traffic all to one server.
const QUICK_NS: f32 = 1_000_000.0;

/// Of two servers drawn by weight, the one where a request is expected to cost less time: its average latency
/// times one more than its requests in flight per weight, a pool's mean weight counting as one. Of equals the
/// first drawn, so that an idle pool of like servers shares by weight.
pub(super) fn pick(among: &Candidates<'_>, rng: &mut Rng, now: Time) -> Option<Choice> {
    let (first, second) = random::draw_two(among, rng)?;
    let here = Candidate::at(among, first, now);
    let Some(second) = second else {
        return Some(here.chosen());
    };
    let there = Candidate::at(among, second, now);
    let here_cost = here.queue * here.latency_beside(&there);
    let there_cost = there.queue * there.latency_beside(&here);
    Some(if there_cost < here_cost { there.chosen() } else { here.chosen() })
}

struct Candidate {
    server: usize,
    latency_ns: f32,
    in_flight: u32,
    queue: f64,
}

impl Candidate {
    fn at(among: &Candidates<'_>, place: usize, now: Time) -> Self {
        let server = among.shares.server(place);
        let load = &among.roster.server(server).load;
        let in_flight = load.in_flight();
        let mean = among.shares.total() as f64 / among.shares.len() as f64;
        let queue = 1.0 + f64::from(in_flight) * mean / among.shares.weight(place) as f64;
        Self { server, latency_ns: load.latency(now), in_flight, queue }
    }

    /// This server's latency for a comparison with `rival`; only the ratio counts.
    fn latency_beside(&self, rival: &Self) -> f64 {
        match (self.latency_ns, rival.latency_ns) {
            (0.0, 0.0) => 1.0,
            (0.0, known) => f64::from(known.max(QUICK_NS)) * UNTIMED,
            (known, _) => f64::from(known.max(QUICK_NS)),
        }
    }

    fn chosen(&self) -> Choice {
        let &Self { server, latency_ns, in_flight, .. } = self;
        let reason =
            if latency_ns == 0.0 { Reason::Untimed } else { Reason::QuickerOfTwo { latency_ns, in_flight } };
        Choice { server, reason }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use evenkeel_config::Algorithm::LeastResponseTime;

    use super::super::tests::{assert_shares, counts, pool};
    use super::super::{Members, Picker, Reason};
    use super::*;

    fn timed(latency_ms: &[u64]) -> Members {
        let members = pool(&LeastResponseTime, &vec![1; latency_ms.len()]);
        for (at, &ms) in latency_ms.iter().enumerate().filter(|(_, ms)| **ms > 0) {
            members.server(at).load.observe_latency(Duration::from_millis(ms), Time::ZERO);
        }
        members
    }

    #[test]
    fn of_two_the_quicker_is_chosen_until_it_has_more_in_flight_than_it_is_quicker() {
        let members = timed(&[10, 35]);
        let mut picker = Picker::new(1);
        let mut chosen = || picker.pick(&members, 0, &[], Time::ZERO).unwrap();
        for in_flight in 0..3 {
            assert_eq!(
                chosen(),
                Choice { server: 0, reason: Reason::QuickerOfTwo { latency_ns: 1e7, in_flight } }
            );
            members.server(0).load.begin();
        }
        assert_eq!(chosen().server, 1, "10 ms x (3 + 1) > 35 ms x (0 + 1)");
    }

    #[test]
    fn below_a_millisecond_all_are_quick() {
        let members = timed(&[0, 0, 0]);
        for (at, us) in [50, 400, 900].into_iter().enumerate() {
            members.server(at).load.observe_latency(Duration::from_micros(us), Time::ZERO);
        }
        assert_shares(&counts(&members, 100_000), &[1, 1, 1], 0.05);
    }

    #[test]
    fn an_untimed_server_goes_first_but_one_request_at_a_time() {
        let members = timed(&[10, 0]);
        let mut picker = Picker::new(1);
        let mut chosen = || picker.pick(&members, 0, &[], Time::ZERO).unwrap();
        assert_eq!(chosen(), Choice { server: 1, reason: Reason::Untimed });
        members.server(1).load.begin();
        assert_eq!(chosen().server, 0);
    }

    #[test]
    fn a_slow_answer_is_forgiven_in_time() {
        let members = timed(&[10, 100]);
        let later = Time::from_millis(30_000);
        members.server(0).load.observe_latency(Duration::from_millis(10), later);
        let choice = Picker::new(1).pick(&members, 0, &[], later).unwrap();
        assert_eq!(choice.server, 1, "100 ms faded over 30 s to 5 ms");
    }

    #[test]
    fn an_idle_pool_of_like_servers_shares_by_weight() {
        assert_shares(&counts(&pool(&LeastResponseTime, &[5, 3, 2]), 100_000), &[5, 3, 2], 0.05);
    }
}
