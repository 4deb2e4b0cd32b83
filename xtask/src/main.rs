//! The tasks of the house that cargo itself has no command for: tidy, bench, attacks, vtc, peers, contrib, cache-tests, browser, fuzz, soak, changes, simulate.

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod attacks;
mod bench;
mod browser;
mod cache_tests;
mod changes;
mod contrib;
mod dist;
mod exchanges;
mod failover;
mod failures;
mod fuzz;
mod handshakes;
mod instructions;
mod load;
mod npm;
mod origin;
mod package;
mod peers;
mod python;
mod reload;
mod simulate;
mod soak;
mod tidy;
mod tls;
mod vtc;

/// The tasks of the house.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check the rules that clippy does not know: imports, circles of them, lengths, headers, links.
    Tidy {
        /// Print the files that import each other in circles, and the paths by which they do, instead.
        #[arg(long)]
        circles: bool,
    },
    /// Compare evenkeel with nginx and HAProxy.
    Bench(bench::Options),
    /// Attack evenkeel, nginx and HAProxy over HTTP/2, and show what another client notices.
    Attacks(attacks::Options),
    /// Count the instructions that a request takes, beside nginx and HAProxy.
    Instructions(instructions::Options),
    /// Run the scripts of raw HTTP/1.1 in tests/varnishtest.
    Vtc(vtc::Options),
    /// Run independent clients, servers and scanners against the debug build.
    Peers(peers::Options),
    /// Run http-cache-tests through a route with a cache, and compare the results with those kept in the repository.
    CacheTests(cache_tests::Options),
    /// Run the dashboard in Chromium, before a real evenkeel with traffic and before made-up figures.
    Browser(browser::Options),
    /// Have Prometheus, systemd, logrotate and others read and run what lies in contrib, against the debug build.
    Contrib(contrib::Options),
    /// Build evenkeel as packages ship it, with profile-guided optimisation.
    Dist(dist::Options),
    /// Make the Debian package.
    Package(package::Options),
    /// Run the fuzz targets, each for some seconds.
    Fuzz(fuzz::Options),
    /// Reload, add and drain servers and replace the binary under traffic, of which nothing may fail.
    Changes(changes::Options),
    /// Send mixed traffic for minutes while servers die, stall and come back.
    Soak(soak::Options),
    /// The server behind the soak.
    #[command(hide = true)]
    SoakOrigin(soak::origin::Options),
    /// Show what clients notice when servers die, slow down or fail all at once.
    Failures(failures::Options),
    /// Measure reloads of many routes and pools: their time, what they add to latency, and memory.
    Reload(reload::Options),
    /// Show for how long a client of PostgreSQL cannot write when the primary fails, beside HAProxy.
    Failover(failover::Options),
    /// Let the deciding core run in a simulated world, and measure the algorithms.
    Simulate(simulate::Options),
    /// Serve 128-byte answers (1 MiB at /large) to measure proxies with.
    Origin(origin::Options),
    /// Send requests at a constant rate and print latencies as JSON.
    Load(load::Options),
    /// Exchange small messages or datagrams and print how many there were as JSON.
    Exchanges(exchanges::Options),
    /// Make a full TLS handshake for each request and print how many there were as JSON.
    Handshakes(handshakes::Options),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Tidy { circles: false } => return tidy(),
        Task::Tidy { circles: true } => show_circles(repository()),
        Task::Bench(options) => bench::run(repository(), &options),
        Task::Attacks(options) => attacks::run(repository(), &options),
        Task::Instructions(options) => instructions::run(repository(), &options),
        Task::Vtc(options) => vtc::run(repository(), &options),
        Task::Peers(options) => peers::run(repository(), &options),
        Task::CacheTests(options) => cache_tests::run(repository(), &options),
        Task::Browser(options) => browser::run(repository(), &options),
        Task::Contrib(options) => contrib::run(repository(), &options),
        Task::Dist(options) => dist::run(repository(), &options),
        Task::Package(options) => package::run(repository(), &options),
        Task::Fuzz(options) => fuzz::run(repository(), &options),
        Task::Changes(options) => changes::run(repository(), &options),
        Task::Soak(options) => soak::run(repository(), &options),
        Task::SoakOrigin(options) => soak::origin::run(&options),
        Task::Reload(options) => reload::run(repository(), &options),
        Task::Failures(options) => failures::run(repository(), &options),
        Task::Failover(options) => failover::run(repository(), &options),
        Task::Simulate(options) => simulate::run(repository(), &options),
        Task::Origin(options) => origin::run(&options),
        Task::Load(options) => load::run(&options),
        Task::Exchanges(options) => exchanges::run(&options),
        Task::Handshakes(options) => handshakes::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn tidy() -> ExitCode {
    let root = repository();
    let found = tidy::check(root);
    match found.and_then(|f| Ok([f, tidy::circles::check(root)?].concat())) {
        Ok(findings) if findings.is_empty() => ExitCode::SUCCESS,
        Ok(findings) => {
            for finding in &findings {
                println!("{finding}");
            }
            eprintln!("tidy: {} to mend", findings.len());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("tidy: {error}");
            ExitCode::FAILURE
        }
    }
}

fn show_circles(root: &Path) -> anyhow::Result<()> {
    for circle in tidy::circles::all(root)? {
        println!("{}\n", circle.describe());
    }
    Ok(())
}

/// The checkout that this program was built from.
fn repository() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}
