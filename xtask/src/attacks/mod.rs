//! `cargo xtask attacks`: what attacks over HTTP/2 cost another client of the proxy, beside nginx and HAProxy.

mod attack;
mod foe;
mod measure;
mod polite;
mod report;
mod server;
mod tally;

/// Frames by hand, from the tests.
#[path = "../../../tests/support/h2/frames.rs"]
#[allow(clippy::unwrap_used, dead_code)]
mod frames;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use self::attack::Attack;
use self::measure::Stand;
use crate::bench::machine::{self, Machine};
use crate::bench::proxy::Proxy;
use crate::bench::rig::{self, PROFILE};
use crate::bench::{chosen, install};

/// What `cargo xtask attacks` takes.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Only these attacks. The page keeps what it has of the others.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    only: Vec<Attack>,
    /// Only these proxies; nothing is written then.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    proxy: Vec<Proxy>,
    /// How long each attack takes [default: 5, or 15 for those that wait for a timeout].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: Option<u64>,
    /// The evenkeel to attack [default: one with the profile `dist` is built].
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// Attacks the proxies one after the other, prints what was measured and renews `bench/results/attacks.md`.
///
/// # Errors
/// A program is missing or does not start.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let proxies: Vec<Proxy> =
        chosen(&options.proxy).into_iter().filter(|proxy| *proxy != Proxy::Varnish).collect();
    ensure!(!proxies.is_empty(), "none of these proxies takes part");
    let programs =
        proxies.iter().map(|proxy| program(root, *proxy, options)).collect::<anyhow::Result<Vec<_>>>()?;
    let files: Vec<&Path> = programs.iter().map(|(_, file)| file.as_path()).collect();
    let machine = Machine::read(&files);
    let stand = Stand::start(&machine::usable_cores())?;
    let mut sections = Vec::new();
    for attack in chosen(&options.only) {
        let seconds = options.seconds.unwrap_or(attack.seconds());
        let mut rows = Vec::new();
        for (proxy, file) in &programs {
            eprintln!("{}: {}", attack.title(), proxy.name());
            let measured = stand.measure(attack, *proxy, file, seconds);
            rows.push(measured.with_context(|| format!("{}, {}", attack.title(), proxy.name()))?);
        }
        let section = report::section(attack, seconds, &machine, &rows);
        println!("{section}");
        sections.push((attack, section));
    }
    if options.proxy.is_empty() {
        report::write(&root.join("bench/results/attacks.md"), &machine, &sections)?;
    }
    Ok(())
}

/// The program of a proxy.
fn program(root: &Path, proxy: Proxy, options: &Options) -> anyhow::Result<(Proxy, PathBuf)> {
    let file = match (proxy, &options.binary) {
        (Proxy::Evenkeel, Some(file)) => file.canonicalize().with_context(|| file.display().to_string())?,
        (Proxy::Evenkeel, None) => rig::build(root, "evenkeel", PROFILE)?,
        (peer, _) => {
            install::missing(&[peer.program(), "openssl"])?;
            match install::find(peer.program()) {
                Some(file) => file,
                None => bail!("{} is not installed", peer.program()),
            }
        }
    };
    Ok((proxy, file))
}
