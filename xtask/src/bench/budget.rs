//! What evenkeel has to reach in each scenario, and whether it did.

use serde::Serialize;

use super::proxy::Proxy;
use super::results::{Metric, Row, Scenario, median};

/// A budget compared to what was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// In the budget's unit; the median over the rounds.
    pub measured: f64,
    /// True when the budget is kept, and evenkeel answered every request without an error.
    pub pass: bool,
}

enum Rule {
    /// CPU time per request is at most this share of that of the best of the scenario's peers.
    ShareOfBestPeer(f64),
    /// This is at most as much as for the best of the scenario's peers.
    NoMoreThanBestPeer(Metric),
    /// Less than this.
    Below(Metric, f64),
    /// This or more.
    AtLeast(Metric, f64),
}

/// Judges a scenario's rows; `None` when the scenario has no budget, or a row that it needs is missing.
pub fn judge(scenario: Scenario, rows: &[Row]) -> Option<Verdict> {
    let (_, rule) = budget(scenario)?;
    let (measured, pass) = match rule {
        Rule::ShareOfBestPeer(share) => {
            let measured = self::share(scenario, rows)?;
            (measured, measured <= share)
        }
        Rule::NoMoreThanBestPeer(metric) => {
            let measured = median(&shares(scenario.peers(), rows, metric)?)?;
            (measured, measured <= 1.0)
        }
        Rule::Below(metric, limit) => {
            let measured = ours(rows, |row| row.median(metric))?;
            (measured, measured < limit)
        }
        Rule::AtLeast(metric, limit) => {
            let measured = ours(rows, |row| row.median(metric))?;
            (measured, measured >= limit)
        }
    };
    let good = ours(rows, |row| row.values(Metric::Errors).into_iter().reduce(f64::max))
        .is_none_or(|most| most == 0.0);
    Some(Verdict { measured, pass: pass && good })
}

/// The budget in words; `None` when the scenario has none.
pub fn words(scenario: Scenario) -> Option<&'static str> {
    budget(scenario).map(|(words, _)| words)
}

/// The share of the best peer's CPU time that evenkeel may take; `None` when the budget is another, or none.
pub fn share_allowed(scenario: Scenario) -> Option<f64> {
    match budget(scenario)? {
        (_, Rule::ShareOfBestPeer(share)) => Some(share),
        _ => None,
    }
}

/// The share that it took, the median over the rounds; `None` unless all of the scenario's peers took part.
pub fn share(scenario: Scenario, rows: &[Row]) -> Option<f64> {
    median(&shares(scenario.peers(), rows, Metric::CpuUs)?)
}

fn budget(scenario: Scenario) -> Option<(&'static str, Rule)> {
    match scenario {
        Scenario::H1Few
        | Scenario::Features
        | Scenario::TlsHandshakePq
        | Scenario::GrpcUnary
        | Scenario::GrpcStream
        | Scenario::IdleTls => None,
        Scenario::H1Many => {
            Some(("at most 0.65 x the CPU time of the best peer", Rule::ShareOfBestPeer(0.65)))
        }
        Scenario::Tls | Scenario::TlsHandshake => {
            Some(("at most 0.75 x the CPU time of the best peer", Rule::ShareOfBestPeer(0.75)))
        }
        Scenario::H1Some | Scenario::H1Guarded => {
            Some(("at most 0.80 x the CPU time of the best peer", Rule::ShareOfBestPeer(0.80)))
        }
        Scenario::H2Clear => {
            Some(("at most 0.60 x the CPU time of the best peer", Rule::ShareOfBestPeer(0.60)))
        }
        Scenario::H2Tls => {
            Some(("at most 0.65 x the CPU time of the best peer", Rule::ShareOfBestPeer(0.65)))
        }
        Scenario::HitSmall => {
            Some(("at most 0.85 x the CPU time of the best peer", Rule::ShareOfBestPeer(0.85)))
        }
        Scenario::FileSmall | Scenario::FileLarge => {
            Some(("at most 0.90 x the CPU time of nginx", Rule::ShareOfBestPeer(0.9)))
        }
        Scenario::Gzip | Scenario::Brotli => {
            Some(("at most 1.00 x the CPU time of nginx", Rule::ShareOfBestPeer(1.0)))
        }
        Scenario::Large
        | Scenario::Upload
        | Scenario::H2Large
        | Scenario::H2Upload
        | Scenario::HitMedium
        | Scenario::HitLarge => {
            Some(("at most 1.00 x the CPU time of the best peer", Rule::ShareOfBestPeer(1.0)))
        }
        Scenario::TcpMessages => {
            Some(("at most 0.95 x the CPU time of the best peer", Rule::ShareOfBestPeer(0.95)))
        }
        // 1.2 times as many bytes for a CPU second.
        Scenario::TcpLarge => {
            Some(("at most 1/1.2 of the CPU time of the best peer", Rule::ShareOfBestPeer(1.0 / 1.2)))
        }
        Scenario::TcpShort => {
            Some(("at most 1/1.1 of the CPU time of the best peer", Rule::ShareOfBestPeer(1.0 / 1.1)))
        }
        Scenario::Udp => Some(("at most 1/1.2 of the CPU time of nginx", Rule::ShareOfBestPeer(1.0 / 1.2))),
        Scenario::IdleTcp => {
            Some(("no more bytes than the best peer", Rule::NoMoreThanBestPeer(Metric::IdleBytes)))
        }
        Scenario::Idle => Some(("below 2,049 bytes per connection", Rule::Below(Metric::IdleBytes, 2049.0))),
        Scenario::IdleH2Clear => {
            Some(("below 4,097 bytes per connection", Rule::Below(Metric::IdleBytes, 4097.0)))
        }
        Scenario::IdleH2 => {
            Some(("below 14,337 bytes per connection", Rule::Below(Metric::IdleBytes, 14337.0)))
        }
        Scenario::Overhead => Some(("p99 below 1,000 us more", Rule::Below(Metric::AddedP99Us, 1000.0))),
        Scenario::Workers => Some(("two workers at least 1.80 x one", Rule::AtLeast(Metric::SpeedUp, 1.8))),
    }
}

fn ours(rows: &[Row], value: impl Fn(&Row) -> Option<f64>) -> Option<f64> {
    rows.iter().filter(|row| row.proxy == Proxy::Evenkeel).filter_map(value).reduce(f64::max)
}

/// For each round, evenkeel's `metric` over that of the peer that did best in that round.
/// `None` unless all `peers` took part: with some of them, "the best" would flatter.
fn shares(peers: &[Proxy], rows: &[Row], metric: Metric) -> Option<Vec<f64>> {
    let values = |proxy| rows.iter().find(|row| row.proxy == proxy).map(|row| row.values(metric));
    let ours = values(Proxy::Evenkeel)?;
    let theirs = peers.iter().map(|peer| values(*peer)).collect::<Option<Vec<_>>>()?;
    let best = |round| theirs.iter().filter_map(|values| values.get(round).copied()).reduce(f64::min);
    ours.iter().enumerate().map(|(round, ours)| Some(ours / best(round)?)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::bench::results::Sample;

    fn row(proxy: Proxy, metric: Metric, values: &[f64]) -> Row {
        let rounds = values.iter().map(|value| Sample::from([(metric, *value)])).collect();
        Row { rounds, ..Row::new(proxy) }
    }

    #[test]
    fn the_best_peer_is_chosen_round_by_round() {
        let rows = |ours: &[f64]| {
            [
                row(Proxy::Evenkeel, Metric::CpuUs, ours),
                row(Proxy::Nginx, Metric::CpuUs, &[10.0, 20.0, 10.0]),
                row(Proxy::Haproxy, Metric::CpuUs, &[12.0, 10.0, 12.0]),
            ]
        };
        let verdict = judge(Scenario::H1Some, &rows(&[8.0, 8.0, 8.0])).unwrap();
        assert!((verdict.measured - 0.8).abs() < 1e-9 && verdict.pass);
        assert!(!judge(Scenario::H1Some, &rows(&[8.1, 8.1, 8.1])).unwrap().pass);
        assert!(!judge(Scenario::H1Many, &rows(&[8.0, 8.0, 8.0])).unwrap().pass);
        assert!(judge(Scenario::Large, &rows(&[10.0, 10.0, 10.0])).unwrap().pass);
        assert_eq!(judge(Scenario::HitSmall, &rows(&[8.0, 8.0, 8.0])), None, "without Varnish");
        assert!(judge(Scenario::FileSmall, &rows(&[9.0, 18.0, 9.0])).unwrap().pass, "nginx is the only peer");
        assert!(!judge(Scenario::Tls, &rows(&[8.0, 8.0, 8.0])).unwrap().pass);
        assert!(judge(Scenario::TlsHandshake, &rows(&[7.5, 7.5, 7.5])).unwrap().pass);
        assert!(!judge(Scenario::TlsHandshake, &rows(&[7.6, 7.6, 7.6])).unwrap().pass);
    }

    #[test]
    fn memory_is_compared_to_the_peer_that_takes_least() {
        let rows = |ours| {
            [
                row(Proxy::Evenkeel, Metric::IdleBytes, &[ours]),
                row(Proxy::Nginx, Metric::IdleBytes, &[1000.0]),
                row(Proxy::Haproxy, Metric::IdleBytes, &[2000.0]),
            ]
        };
        assert!(judge(Scenario::IdleTcp, &rows(1000.0)).unwrap().pass);
        assert!(!judge(Scenario::IdleTcp, &rows(1001.0)).unwrap().pass);
    }

    #[test]
    fn nothing_is_judged_without_all_that_it_takes() {
        let ours = row(Proxy::Evenkeel, Metric::CpuUs, &[1.0]);
        let nginx = row(Proxy::Nginx, Metric::CpuUs, &[9.0]);
        assert_eq!(judge(Scenario::H1Some, &[ours, nginx]), None);
        assert_eq!(judge(Scenario::Idle, &[row(Proxy::Nginx, Metric::IdleBytes, &[1.0])]), None);
    }

    #[test]
    fn errors_are_never_a_pass() {
        let sample = |errors| Sample::from([(Metric::IdleBytes, 1.0), (Metric::Errors, errors)]);
        let rows =
            |errors: [f64; 2]| [Row { rounds: errors.map(sample).into(), ..Row::new(Proxy::Evenkeel) }];
        assert!(judge(Scenario::Idle, &rows([0.0, 0.0])).unwrap().pass);
        assert!(!judge(Scenario::Idle, &rows([0.0, 3.0])).unwrap().pass);
    }

    #[test]
    fn limits_are_held_on_the_right_side() {
        let pass = |scenario, metric, value| {
            judge(scenario, &[row(Proxy::Evenkeel, metric, &[value])]).unwrap().pass
        };
        assert!(pass(Scenario::Idle, Metric::IdleBytes, 2048.0));
        assert!(!pass(Scenario::Idle, Metric::IdleBytes, 2049.0));
        assert!(pass(Scenario::Overhead, Metric::AddedP99Us, 999.0));
        assert!(!pass(Scenario::Overhead, Metric::AddedP99Us, 1000.0));
        assert!(pass(Scenario::Workers, Metric::SpeedUp, 1.8));
        assert!(!pass(Scenario::Workers, Metric::SpeedUp, 1.79));
    }
}
