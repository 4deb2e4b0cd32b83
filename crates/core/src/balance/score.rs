//! What an algorithm compares of a server, as a number for people.

use evenkeel_config::Algorithm;
use evenkeel_types::Time;

use super::roster::Roster;

/// What `algorithm` goes by at the server at `position`, below [`len`](Roster::len): the least is chosen. `None` for
/// algorithms that compare nothing, and for a server without weight. The algorithms themselves compare without rounding.
pub fn score(algorithm: &Algorithm, roster: &Roster, position: usize, now: Time) -> Option<f64> {
    let (load, weight) = (&roster.server(position).load, roster.effective_weight(position));
    if weight <= 0.0 {
        return None;
    }
    let in_flight = f64::from(load.in_flight());
    match algorithm {
        Algorithm::LeastConnections => Some((in_flight + 1.0) / weight),
        Algorithm::PowerOfTwo => Some(in_flight / weight),
        Algorithm::LeastResponseTime => {
            let latency_ms = f64::from(load.latency(now)) / 1e6;
            (latency_ms > 0.0).then(|| latency_ms.max(1.0) * (1.0 + in_flight / weight))
        }
        Algorithm::RoundRobin
        | Algorithm::IpHash
        | Algorithm::ConsistentHash(_)
        | Algorithm::Maglev(_)
        | Algorithm::Random => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::pool;
    use super::*;

    #[test]
    fn the_busier_server_has_the_higher_score() {
        let members = pool(&Algorithm::LeastConnections, &[1, 2, 0]);
        members.server(0).load.begin();
        let of = |at| score(&Algorithm::LeastConnections, &members, at, Time::ZERO);
        assert_eq!([of(0), of(1), of(2)], [Some(2.0), Some(0.5), None]);
        assert_eq!(score(&Algorithm::RoundRobin, &members, 0, Time::ZERO), None);
    }
}
