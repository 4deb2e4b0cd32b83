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
    /// CPU time per request is at most this share of that of the better of nginx and HAProxy.
    ShareOfBetterPeer(f64),
    /// Less than this.
    Below(Metric, f64),
    /// This or more.
    AtLeast(Metric, f64),
}

/// Judges a scenario's rows; `None` when the scenario has no budget, or a row that it needs is missing.
pub fn judge(scenario: Scenario, rows: &[Row]) -> Option<Verdict> {
    let (_, rule) = budget(scenario)?;
    let (measured, pass) = match rule {
        Rule::ShareOfBetterPeer(share) => {
            let measured = self::share(rows)?;
            (measured, measured <= share)
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

/// The share of the better peer's CPU time that evenkeel may take; `None` when the budget is another, or none.
pub fn share_allowed(scenario: Scenario) -> Option<f64> {
    match budget(scenario)? {
        (_, Rule::ShareOfBetterPeer(share)) => Some(share),
        _ => None,
    }
}

/// The share that it took, the median over the rounds; `None` unless all three took part.
pub fn share(rows: &[Row]) -> Option<f64> {
    median(&shares(rows)?)
}

fn budget(scenario: Scenario) -> Option<(&'static str, Rule)> {
    match scenario {
        Scenario::H1Few
        | Scenario::Features
        | Scenario::TlsHandshakePq
        | Scenario::IdleTls
        | Scenario::IdleH2 => None,
        Scenario::H1Many => {
            Some(("at most 0.65 x the CPU time of the better peer", Rule::ShareOfBetterPeer(0.65)))
        }
        Scenario::TlsHandshake => {
            Some(("at most 0.75 x the CPU time of the better peer", Rule::ShareOfBetterPeer(0.75)))
        }
        Scenario::H1Some | Scenario::H1Guarded | Scenario::Tls | Scenario::H2Clear | Scenario::H2Tls => {
            Some(("at most 0.80 x the CPU time of the better peer", Rule::ShareOfBetterPeer(0.80)))
        }
        Scenario::Large => {
            Some(("at most 1.00 x the CPU time of the better peer", Rule::ShareOfBetterPeer(1.0)))
        }
        Scenario::Idle => Some(("below 4,096 bytes per connection", Rule::Below(Metric::IdleBytes, 4096.0))),
        Scenario::Overhead => Some(("p99 below 1,000 us more", Rule::Below(Metric::AddedP99Us, 1000.0))),
        Scenario::Workers => Some(("two workers at least 1.80 x one", Rule::AtLeast(Metric::SpeedUp, 1.8))),
    }
}

fn ours(rows: &[Row], value: impl Fn(&Row) -> Option<f64>) -> Option<f64> {
    rows.iter().filter(|row| row.proxy == Proxy::Evenkeel).filter_map(value).reduce(f64::max)
}

/// For each round, evenkeel's CPU time per request over that of the peer that did better in that round.
/// `None` unless both peers took part: with one alone, "the better" would flatter.
fn shares(rows: &[Row]) -> Option<Vec<f64>> {
    let cpu = |proxy| rows.iter().find(|row| row.proxy == proxy).map(|row| row.values(Metric::CpuUs));
    let (ours, nginx, haproxy) = (cpu(Proxy::Evenkeel)?, cpu(Proxy::Nginx)?, cpu(Proxy::Haproxy)?);
    let better = nginx.iter().zip(&haproxy).map(|(a, b)| a.min(*b));
    Some(ours.iter().zip(better).map(|(ours, better)| ours / better).collect())
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
    fn the_better_peer_is_chosen_round_by_round() {
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
        assert!(judge(Scenario::Tls, &rows(&[8.0, 8.0, 8.0])).unwrap().pass);
        assert!(judge(Scenario::TlsHandshake, &rows(&[7.5, 7.5, 7.5])).unwrap().pass);
        assert!(!judge(Scenario::TlsHandshake, &rows(&[7.6, 7.6, 7.6])).unwrap().pass);
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
        assert!(pass(Scenario::Idle, Metric::IdleBytes, 4095.0));
        assert!(!pass(Scenario::Idle, Metric::IdleBytes, 4096.0));
        assert!(pass(Scenario::Overhead, Metric::AddedP99Us, 999.0));
        assert!(!pass(Scenario::Overhead, Metric::AddedP99Us, 1000.0));
        assert!(pass(Scenario::Workers, Metric::SpeedUp, 1.8));
        assert!(!pass(Scenario::Workers, Metric::SpeedUp, 1.79));
    }
}
