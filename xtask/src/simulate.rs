//! `cargo xtask simulate`: the deciding core in a simulated world, in virtual time and with seeded faults. Looks for
//! what must never happen, and measures which algorithm does how well when.
//!
//! It lives here and not beside `core`, whose tests are of one decision at a time: a world of clients and servers is
//! a program of its own, as the benchmark is, and shares its figures with the documentation as that does.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;

use anyhow::bail;

mod balancer;
mod cache;
mod chance;
mod outcome;
mod page;
mod pool;
mod scenario;
mod server;
mod storm;
mod world;

use outcome::{Counts, Outcome};
use world::Setup;

/// Storms that one run looks at, and requests of each.
const STORMS: u64 = 40;
const STORMS_QUICK: u64 = 10;
const STORM_REQUESTS: usize = 20_000;

/// What `cargo xtask simulate` takes.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Repeat the storm of this seed, and nothing else.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Fewer storms.
    #[arg(long)]
    quick: bool,
    /// Fail when the tables in docs/choosing-an-algorithm.md and docs/caching.md are others.
    #[arg(long, conflicts_with = "seed")]
    check: bool,
    /// Put the tables into docs/choosing-an-algorithm.md and docs/caching.md.
    #[arg(long, conflicts_with_all = ["seed", "check"])]
    write: bool,
}

/// Runs storms, then the scenarios of the tables.
///
/// # Errors
/// Something happened that must not, which names the seed that repeats it; or a table is stale.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    if let Some(seed) = options.seed {
        return weather(seed);
    }
    let began = Instant::now();
    let first = fastrand::u64(..1 << 32);
    let storms = if options.quick { STORMS_QUICK } else { STORMS };
    for seed in first..first + storms {
        weather(seed)?;
    }
    let table = page::table(|setup, name, shares| {
        let outcome = watched(setup, page::SEED, || format!("{name}: `cargo xtask simulate` repeats it"))?;
        if let Some((scenario, algorithm)) = shares {
            scenario.check_shares(algorithm, &outcome)?;
        }
        Ok(outcome)
    })?;
    let cache = cache::tables(page::SEED);
    println!("{table}{cache}");
    eprintln!("simulated in {:.1} s", began.elapsed().as_secs_f64());
    for (page, table) in [(page::ALGORITHMS_PAGE, &table), (page::CACHE_PAGE, &cache)] {
        if options.write {
            page::write(root, page, table)?;
        } else if options.check {
            page::check(root, page, table)?;
        }
    }
    Ok(())
}

/// Runs the storm of a seed.
fn weather(seed: u64) -> anyhow::Result<()> {
    let (name, setup) = storm::draw(seed, STORM_REQUESTS);
    let outcome =
        watched(&setup, seed, || format!("{name}: `cargo xtask simulate --seed {seed}` repeats it"))?;
    let (errors, refused) = (outcome.errors() * 100.0, outcome.refused() * 100.0);
    let Counts { ejections, panics, opened, retries, hedges, hedges_won } = outcome.counts;
    println!(
        "held    seed {seed}: {name}; {errors:.1} % errors, {refused:.1} % refused, {ejections} ejections, \
         {panics} panics, {retries} retries, {hedges} hedges of which {hedges_won} won, {opened} circuits opened"
    );
    Ok(())
}

/// Runs a world. What must not happen is a panic there, and an error here that says how to see it again.
fn watched(setup: &Setup, seed: u64, name: impl Fn() -> String) -> anyhow::Result<Outcome> {
    match catch_unwind(AssertUnwindSafe(|| world::run(setup, seed))) {
        Ok(outcome) => Ok(outcome),
        Err(_) => bail!("the simulation broke under {}", name()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
