//! `cargo xtask fuzz`: runs the fuzz targets with the stable compiler, each for so many seconds.

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, anyhow, bail, ensure};

use crate::bench::rig::target_directory;

/// What `cargo fuzz` passes, less the address sanitizer: that one needs a nightly compiler, and there is no unsafe code.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0";

/// What `cargo xtask fuzz` takes.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Only these targets.
    only: Vec<String>,
    /// Seconds per target.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Build them all, and run none.
    #[arg(long)]
    build_only: bool,
}

/// Builds the targets, and runs as many at a time as there are processors. What is found lies in `fuzz/artifacts`; inputs that
/// reach new code stay in the target directory for the next run.
///
/// # Errors
/// A target does not compile, there is none of that name, or an input breaks one.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let fuzz = root.join("fuzz");
    let mut targets = targets(&fuzz)?;
    if let Some(unknown) = options.only.iter().find(|name| !targets.contains(name)) {
        bail!("there is no target {unknown}; there are {}", targets.join(", "));
    }
    targets.retain(|name| options.only.is_empty() || options.only.contains(name));

    let programs = build(&fuzz)?;
    if options.build_only {
        return Ok(());
    }
    let next = AtomicUsize::new(0);
    let run_some = || -> anyhow::Result<Vec<String>> {
        let mut broken = Vec::new();
        while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
            match run_one(&fuzz, &programs, target, options.seconds)? {
                Outcome::Held { inputs } => {
                    println!("ok      {target} ({inputs} inputs in {} s)", options.seconds)
                }
                Outcome::Broken { messages } => {
                    println!("BROKEN  {target}\n{messages}");
                    broken.push(target.clone());
                }
            }
        }
        Ok(broken)
    };
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let broken = thread::scope(|scope| {
        let runs: Vec<_> = (0..processors).map(|_| scope.spawn(run_some)).collect();
        runs.into_iter()
            .map(|run| run.join().map_err(|_| anyhow!("a run panicked"))?)
            .collect::<Result<Vec<_>, _>>()
    })?;
    let broken = broken.concat();
    ensure!(broken.is_empty(), "broken: {}; the inputs are in fuzz/artifacts", broken.join(", "));
    Ok(())
}

/// One target a file.
fn targets(fuzz: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for file in fs::read_dir(fuzz.join("fuzz_targets"))? {
        let file = file?.path();
        if file.extension().is_some_and(|e| e == "rs")
            && let Some(name) = file.file_stem()
        {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Builds all targets, and yields the directory that they are in.
fn build(fuzz: &Path) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let host = host()?;
    let mut command = Command::new(cargo);
    command.current_dir(fuzz).env("RUSTFLAGS", FLAGS).args(["build", "--release", "--locked", "--quiet"]);
    // Named, the flags leave build scripts and macros alone.
    let status = command.args(["--target", &host]).status()?;
    ensure!(status.success(), "the fuzz targets do not compile");
    Ok(target_directory(fuzz)?.join(host).join("release"))
}

/// The triple that the compiler runs on.
fn host() -> anyhow::Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().context("cannot start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say what it runs on")
}

/// What came of a run.
enum Outcome {
    /// Nothing was found.
    Held { inputs: String },
    /// An input broke the target, which says how.
    Broken { messages: String },
}

fn run_one(fuzz: &Path, programs: &Path, target: &str, seconds: u32) -> anyhow::Result<Outcome> {
    let found = programs.join("corpus").join(target);
    let artifacts = fuzz.join("artifacts").join(target);
    fs::create_dir_all(&found)?;
    fs::create_dir_all(&artifacts)?;
    let mut command = Command::new(programs.join(target));
    command
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args(["-timeout=5", "-rss_limit_mb=2048", "-max_len=8192", "-print_final_stats=1"])
        // New inputs go to the first corpus; the seeds in the second are only read.
        .args([&found, &fuzz.join("corpus").join(target)]);
    let output = command.output().with_context(|| format!("cannot start {target}"))?;
    let messages = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Ok(Outcome::Broken { messages: messages.into_owned() });
    }
    let inputs = messages.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    Ok(Outcome::Held { inputs: inputs.unwrap_or_default().trim().to_owned() })
}
