//! `cargo xtask instructions`: how many instructions a proxied request takes in user space, beside nginx and HAProxy.
//!
//! Callgrind counts them one by one, so the figure has next to no noise: it shows what a change of a hundredth costs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use crate::bench::proxy::{Proxy, Running};
use crate::bench::rig::{self, Programs, Rig};
use crate::bench::{chosen, install, readme};

mod callgrind;
mod load;
mod page;

use callgrind::{Counter, Tools};
use load::Load;

/// Requests before anything is counted, so that connections to servers are open and memory is allocated.
const WARM_UP: u64 = 3000;
/// How often each proxy is counted with each load; the median is the result.
const ROUNDS: usize = 5;

/// What `cargo xtask instructions` takes.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Only these proxies.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    only: Vec<Proxy>,
    /// Only these loads.
    #[arg(long = "load", value_name = "LIST", value_delimiter = ',')]
    loads: Vec<Load>,
    /// Requests that are counted, in each of five rounds.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(2000..=1_000_000))]
    requests: u64,
    /// Fail if evenkeel takes more than this for a request of the load `h1`.
    #[arg(long, value_name = "N")]
    max_h1: Option<u64>,
    /// Fail if evenkeel takes more than this for a request of the load `h2`.
    #[arg(long, value_name = "N")]
    max_h2: Option<u64>,
    /// Count this program of evenkeel, such as one that `cargo xtask dist` has built, instead of building one.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Show the functions that take most in evenkeel, and keep callgrind's files for kcachegrind.
    #[arg(long)]
    profile: bool,
}

/// What a proxy takes with a load.
struct Row {
    proxy: Proxy,
    load: Load,
    /// Instructions for each request, one number a round, in ascending order.
    rounds: Vec<f64>,
}

impl Row {
    fn median(&self) -> f64 {
        self.rounds[self.rounds.len() / 2]
    }
}

/// Counts, prints the figures and, when everything was counted, renews the README's.
///
/// # Errors
/// A program is missing, does not compile or does not answer every request, or a bound is exceeded.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let (mut proxies, loads) = (chosen(&options.only), chosen(&options.loads));
    proxies.retain(|proxy| loads.iter().any(|load| load.is_for(*proxy)));
    for (bound, load) in bounds(options) {
        let counted = proxies.contains(&Proxy::Evenkeel) && loads.contains(&load);
        ensure!(bound.is_none() || counted, "a bound is given for what is not counted: {}", load.name());
    }
    install::missing(&["valgrind"])?;
    let tools = Tools::find()?;
    // A debug build makes load enough: callgrind slows the proxy down fiftyfold.
    let mut built = proxies.clone();
    built.retain(|proxy| *proxy != Proxy::Evenkeel || options.program.is_none());
    let mut programs = Programs::prepare(root, &built, std::env::current_exe()?)?;
    programs.proxies.extend(options.program.iter().map(|program| (Proxy::Evenkeel, program.clone())));
    let rig = Rig::start(&programs, 1)?;
    fs::write(rig.dir().join(load::BODY_FILE), [b'x'; load::BODY])?;
    fs::write(rig.dir().join(load::FILE_NAME), [b'x'; load::FILE])?;
    let mut rows = Vec::new();
    for load in loads {
        for proxy in proxies.iter().copied().filter(|proxy| load.is_for(*proxy)) {
            let (row, profile) = count(&rig, &tools, proxy, load, options.requests)
                .with_context(|| format!("{} with the load {}", proxy.program(), load.name()))?;
            println!("{}", page::line(&row));
            if options.profile && proxy == Proxy::Evenkeel {
                let kept = rig::target_directory(root)?.join(format!("callgrind.out.{}", load.name()));
                fs::copy(&profile, &kept)?;
                println!("\n{}\nkcachegrind shows more: {}\n", tools.annotate(&kept)?, kept.display());
            }
            rows.push(row);
        }
    }
    if options.only.is_empty() && options.loads.is_empty() {
        readme::write(root, "instructions", &page::table(&rows, &tools))?;
    }
    judge(&rows, options)
}

/// Counts what `proxy` takes with `load`; also the last profile, which has all requests of a round.
///
/// What is the same for a few requests and for many is left out by taking the difference of both: the start, and the
/// opening and closing of the clients' connections.
fn count(
    rig: &Rig,
    tools: &Tools,
    proxy: Proxy,
    load: Load,
    requests: u64,
) -> anyhow::Result<(Row, PathBuf)> {
    let running = rig.run_under(&tools.runner(rig.dir()), proxy, load.wire(), 1, load.feature())?;
    let mut counter = Counter::attach(tools, running.process.id(), rig.dir());
    send(rig, &running, load, WARM_UP)?;
    counter.zero()?;
    let few = requests / 4;
    let mut rounds = Vec::new();
    let mut profile = PathBuf::new();
    for _ in 0..ROUNDS {
        send(rig, &running, load, few)?;
        let (less, _) = counter.take()?;
        send(rig, &running, load, few + requests)?;
        let (more, file) = counter.take()?;
        rounds.push((more as f64 - less as f64) / requests as f64);
        profile = file;
    }
    running.empty_log()?;
    rounds.sort_by(f64::total_cmp);
    Ok((Row { proxy, load, rounds }, profile))
}

/// Sends exactly `requests`, every one of which has to be answered well.
fn send(rig: &Rig, proxy: &Running, load: Load, requests: u64) -> anyhow::Result<()> {
    let command = load.command(rig.generators(), rig.dir(), proxy.address, requests);
    // At least 100 requests a second, even on a machine with much else to do.
    let printed = rig.output("load", &command, requests / 100)?;
    load.check(&printed, requests)
}

fn bounds(options: &Options) -> [(Option<u64>, Load); 2] {
    [(options.max_h1, Load::H1), (options.max_h2, Load::H2)]
}

fn judge(rows: &[Row], options: &Options) -> anyhow::Result<()> {
    let mut exceeded = Vec::new();
    for (bound, load) in bounds(options) {
        let row = rows.iter().find(|row| row.proxy == Proxy::Evenkeel && row.load == load);
        if let (Some(bound), Some(row)) = (bound, row)
            && row.median() > bound as f64
        {
            exceeded.push(format!("{} takes {:.0} instructions, at most {bound}", load.name(), row.median()));
        }
    }
    if exceeded.is_empty() { Ok(()) } else { bail!("{}", exceeded.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_held_by_the_median_of_evenkeel_alone() {
        let options = |max_h1| Options {
            only: Vec::new(),
            loads: Vec::new(),
            requests: 2000,
            max_h1: Some(max_h1),
            max_h2: None,
            program: None,
            profile: false,
        };
        let row = |proxy, load, rounds: [f64; 3]| Row { proxy, load, rounds: rounds.into() };
        let rows = [
            row(Proxy::Nginx, Load::H1, [900.0; 3]),
            row(Proxy::Evenkeel, Load::H2, [900.0; 3]),
            row(Proxy::Evenkeel, Load::H1, [1.0, 100.0, 900.0]),
        ];
        assert!(judge(&rows, &options(100)).is_ok());
        let error = judge(&rows, &options(99)).err().map(|e| e.to_string());
        assert_eq!(error.as_deref(), Some("h1 takes 100 instructions, at most 99"));
    }
}
