//! `cargo xtask failover`: for how long a client of PostgreSQL cannot write when the primary dies, is shut down or hangs, through
//! Evenkeel and through HAProxy.

mod proxy;
mod round;

/// Real servers, from the tests, which need more of them.
#[path = "../../../tests/support/engines/mod.rs"]
#[allow(clippy::unwrap_used, dead_code, unused_imports)]
mod engines;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::Context;

use self::engines::{Cluster, Writer};
use self::proxy::{Kind, Proxy};
use self::round::{Event, Gap, round};
use crate::bench::{install, readme};
use crate::vtc;

/// How often both check their servers, and how long they wait for an answer.
const INTERVAL: &str = "200ms";
/// How long the proxies may take to see all servers as they are, between two rounds.
const SETTLE: Duration = Duration::from_secs(2);

/// What `cargo xtask failover` takes.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The evenkeel to test [default: a debug build].
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Rounds of each event.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rounds: u64,
    /// Puts the table into docs/databases.md as well.
    #[arg(long)]
    write: bool,
}

/// Runs the rounds and prints a table of them, in Markdown. Both proxies stand in front of the same servers at the same time, each
/// with a client of its own, so that each round compares them in one event.
///
/// # Errors
/// Something does not start, or does not come back.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let binary = match &options.binary {
        Some(binary) => binary.canonicalize().with_context(|| binary.display().to_string())?,
        None => vtc::build(root)?,
    };
    install::missing(&["haproxy"])?;
    let mut table = String::from(
        "| the primary | through | no writes for, median | worst | after the new primary takes writes, median | worst | failed tries of the client |\n\
         |---|---|---:|---:|---:|---:|---:|\n",
    );
    for event in [Event::Crash, Event::ShutDown, Event::Hang] {
        let gaps = rounds(&binary, event, options.rounds)?;
        for (kind, gaps) in Kind::ALL.into_iter().zip(gaps) {
            writeln!(table, "| {event} | {kind} | {} |", cells(&gaps))?;
        }
    }
    println!("{} rounds of each, checks every {INTERVAL}:\n\n{table}", options.rounds);
    if options.write { readme::write_to(&root.join("docs/databases.md"), "failover", &table) } else { Ok(()) }
}

/// The gaps of each proxy.
fn rounds(binary: &Path, event: Event, count: u64) -> anyhow::Result<[Vec<Gap>; 2]> {
    let mut cluster = Cluster::start(1);
    let ports: Vec<u16> = cluster.nodes.iter().map(|node| node.port()).collect();
    let proxies =
        [Proxy::start(Kind::Evenkeel, binary, &ports)?, Proxy::start(Kind::HaProxy, binary, &ports)?];
    let mut gaps = [Vec::new(), Vec::new()];
    for number in 1..=count {
        sleep(SETTLE);
        let writers = proxies.each_ref().map(|proxy| Writer::start(proxy.address));
        let [primary, standby] = &mut cluster.nodes[..] else { anyhow::bail!("two servers were started") };
        let found =
            round(event, primary, standby, &writers).with_context(|| format!("{event}, round {number}"))?;
        eprintln!("{event}, round {number}: {found:?}");
        gaps.iter_mut().zip(found).for_each(|(gaps, found)| gaps.push(found));
        drop(writers);
        primary.kill();
        primary.copy(standby);
        primary.start();
        // The one that was promoted is the primary of the next round.
        cluster.nodes.swap(0, 1);
    }
    Ok(gaps)
}

fn cells(gaps: &[Gap]) -> String {
    let of = |value: fn(&Gap) -> f64| {
        let mut values: Vec<f64> = gaps.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        let worst = values.last().copied().unwrap_or_default();
        format!("{:.0} ms | {worst:.0} ms", values.get(values.len() / 2).copied().unwrap_or_default())
    };
    let failed: usize = gaps.iter().map(|gap| gap.failed).sum();
    format!(
        "{} | {} | {:.1}",
        of(|gap| gap.whole_ms),
        of(|gap| gap.after_ready_ms),
        failed as f64 / gaps.len().max(1) as f64
    )
}
