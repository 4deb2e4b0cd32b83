//! `cargo xtask bench`: what evenkeel costs per request, beside nginx, HAProxy and Varnish, round by round on the same
//! machine.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::ValueEnum;

mod budget;
pub(crate) mod certificate;
mod chart;
pub(crate) mod connection;
pub(crate) mod feature;
pub(crate) mod generator;
pub(crate) mod install;
pub(crate) mod machine;
pub(crate) mod process;
pub(crate) mod procfs;
pub(crate) mod proxy;
pub mod readme;
mod report;
pub(crate) mod results;
pub(crate) mod rig;
pub(crate) mod scenario;

use machine::Machine;
use proxy::Proxy;
use results::{Outcome, Results, Scenario};
use rig::{Programs, Rig};

use crate::dist;

/// What `cargo xtask bench` takes.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Two rounds of one second, to see that all works; results go to the target directory.
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    quick: bool,
    /// Only this scenario; may be given several times.
    #[arg(long = "scenario", value_name = "NAME")]
    scenarios: Vec<Scenario>,
    /// Only these proxies.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    only: Vec<Proxy>,
    /// Rounds per scenario.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// Seconds per round.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Measure a build with profile-guided optimisation, as `cargo xtask dist` makes it.
    #[arg(long)]
    pgo: bool,
    /// Where the results go [default: bench/results].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Measures, writes the results and prints them. A missed budget is a result, not an error.
///
/// # Errors
/// A program is missing, does not compile, does not start or dies.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let (rounds, seconds) =
        if options.quick { (2, 1) } else { (usize::from(options.rounds), options.seconds) };
    let mut proxies = chosen(&options.only);
    let mut scenarios = chosen(&options.scenarios);
    if !proxies.contains(&Proxy::Evenkeel) {
        scenarios.retain(|scenario| !scenario.is_ours_alone());
        ensure!(!scenarios.is_empty(), "these scenarios are for evenkeel alone");
    }
    proxies.retain(|proxy| scenarios.iter().any(|scenario| scenario.compares(*proxy)));
    let out = match &options.out {
        Some(dir) => dir.clone(),
        None if options.quick => rig::target_directory(root)?.join("bench"),
        None => root.join("bench/results"),
    };
    let with_pgo = options.pgo && proxies.contains(&Proxy::Evenkeel);
    proxies.retain(|proxy| *proxy != Proxy::Evenkeel || !with_pgo);
    let mut programs = Programs::prepare(root, &proxies, rig::build(root, "xtask", "release")?)?;
    if with_pgo {
        programs.proxies.insert(0, (Proxy::Evenkeel, dist::build(root, false)?));
    }
    let build = if with_pgo { "`cargo xtask dist`" } else { "the profile `dist`" };
    let machine = Machine::read(&programs.files());
    let mut results = Results { machine, build, rounds, seconds, scenarios: Vec::new() };
    for scenario in scenarios {
        eprintln!("measuring {}", scenario.name());
        let workers = if scenario == Scenario::Workers { 2 } else { 1 };
        let rig = Rig::start(&programs, workers)?;
        let (rows, notes) = scenario::measure(&rig, scenario, rounds, seconds)?;
        let verdict = budget::judge(scenario, &rows);
        results.scenarios.push(Outcome { scenario, rows, notes, verdict });
    }
    print!("{}", report::write(&out, &set_name(&options.scenarios), &results)?);
    // Only figures that are kept, and of all at once, so that the README never mixes two runs.
    let complete = options.scenarios.is_empty() && options.only.is_empty();
    if complete && out == root.join("bench/results") {
        readme::update(root, &results)?;
    }
    eprintln!("results are in {}", out.display());
    Ok(())
}

/// What was asked for, each once; all when nothing was.
pub(crate) fn chosen<T: ValueEnum + PartialEq>(asked: &[T]) -> Vec<T> {
    T::value_variants().iter().filter(|t| asked.is_empty() || asked.contains(t)).cloned().collect()
}

/// The name of the files: `all`, or the scenarios that were asked for.
fn set_name(scenarios: &[Scenario]) -> String {
    if scenarios.is_empty() {
        return "all".into();
    }
    chosen(scenarios).iter().map(|scenario| scenario.name()).collect::<Vec<_>>().join("+")
}
