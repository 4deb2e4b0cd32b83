//! `cargo xtask dist`: evenkeel as packages ship it, optimised by a profile of what it does under load.
//!
//! It is built twice. The first build counts what is executed while the scenarios of the benchmark load it; by these counts
//! the second one is laid out and inlined (profile-guided optimisation).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::bench::install;
use crate::bench::proxy::Proxy;
use crate::bench::results::Scenario;
use crate::bench::rig::{PROFILE, Programs, Rig, target_directory};
use crate::bench::scenario;

/// What the profile is made of: what proxies do most, and with it what they do with large bodies, over TLS, and below HTTP.
const SCENARIOS: [Scenario; 14] = [
    Scenario::H1Some,
    Scenario::H1Guarded,
    Scenario::Large,
    Scenario::Tls,
    Scenario::TlsHandshake,
    Scenario::H2Clear,
    Scenario::H2Tls,
    Scenario::HitSmall,
    Scenario::HitLarge,
    Scenario::FileSmall,
    Scenario::Gzip,
    Scenario::TcpMessages,
    Scenario::TcpLarge,
    Scenario::Udp,
];
/// How long each of them loads it.
const SECONDS: u64 = 2;

/// What `cargo xtask dist` takes.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Leave the demo, `top` and `bench` out, as the Debian package does.
    #[arg(long)]
    no_default_features: bool,
}

/// Builds it and prints its path.
///
/// # Errors
/// A tool is missing, or it does not compile or serve.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    println!("{}", build(root, options.no_default_features)?.display());
    Ok(())
}

/// Builds it; its path.
///
/// # Errors
/// A tool is missing, or it does not compile or serve.
pub fn build(root: &Path, no_default_features: bool) -> anyhow::Result<PathBuf> {
    let compiler = Compiler::ask()?;
    let profdata = compiler.profdata()?;
    let target = target_directory(root)?.join("pgo");
    let (raw, profile) = (target.join("raw"), target.join("evenkeel.profdata"));
    let build = |flag: String, directory: &str| {
        compile(root, &compiler.host, (&flag, &target.join(directory)), no_default_features)
    };
    let counting = build(format!("-Cprofile-generate={}", raw.display()), "counting")?;
    // What was counted of another build does not fit.
    let _ = fs::remove_dir_all(&raw);
    train(root, counting)?;
    let mut merge = Command::new(&profdata);
    merge.args(["merge", "--output"]).arg(&profile).arg(&raw);
    ensure!(merge.status().with_context(|| profdata.display().to_string())?.success(), "{merge:?} failed");
    build(format!("-Cprofile-use={}", profile.display()), "optimised")
}

/// Has the scenarios load a build that counts.
fn train(root: &Path, counting: PathBuf) -> anyhow::Result<()> {
    let mut programs = Programs::prepare(root, &[], std::env::current_exe()?)?;
    programs.proxies.push((Proxy::Evenkeel, counting));
    let rig = Rig::start(&programs, 1)?;
    for of in SCENARIOS {
        eprintln!("counting what is executed: {}", of.title());
        scenario::measure(&rig, of, 1, SECONDS)?;
    }
    Ok(())
}

/// Builds evenkeel with one more flag for the compiler. `host` is named so that build scripts are compiled without the flag.
fn compile(
    root: &Path,
    host: &str,
    (flag, target): (&str, &Path),
    no_default_features: bool,
) -> anyhow::Result<PathBuf> {
    eprintln!("building evenkeel with the profile {PROFILE} and {flag}");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--locked", "--quiet", "--package", "evenkeel", "--profile", PROFILE]);
    command.args(["--target", host, "--target-dir"]).arg(target);
    command.args(no_default_features.then_some("--no-default-features"));
    let compiled = command.current_dir(root).env("RUSTFLAGS", flag).status()?;
    ensure!(compiled.success(), "evenkeel does not compile with {flag}");
    Ok(target.join(host).join(PROFILE).join("evenkeel"))
}

/// The Rust compiler.
struct Compiler {
    /// What it compiles for if nothing else is asked for.
    host: String,
    /// The major version of its LLVM, whose profiles only tools of that version or a later one read.
    llvm: String,
    sysroot: PathBuf,
}

impl Compiler {
    fn ask() -> anyhow::Result<Self> {
        let output = |arguments: &[&str]| {
            let output = Command::new("rustc").args(arguments).output().context("rustc")?;
            ensure!(output.status.success(), "rustc {arguments:?} failed");
            Ok(String::from_utf8(output.stdout)?)
        };
        let (version, sysroot) = (output(&["--version", "--verbose"])?, output(&["--print", "sysroot"])?);
        let said = |key: &str| {
            let value = version.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
            value.with_context(|| format!("rustc does not say its {key}"))
        };
        let llvm = said("LLVM version")?.split('.').next().unwrap_or_default().to_owned();
        Ok(Self { host: said("host")?.to_owned(), llvm, sysroot: sysroot.trim().into() })
    }

    /// The program that makes a profile of counts: the toolchain's own, or Debian's of the same version.
    fn profdata(&self) -> anyhow::Result<PathBuf> {
        let own = self.sysroot.join("lib/rustlib").join(&self.host).join("bin/llvm-profdata");
        let named = format!("llvm-profdata-{}", self.llvm);
        match own.is_file().then_some(own).or_else(|| install::find(&named)) {
            Some(found) => Ok(found),
            None => bail!(
                "{named} is not installed: `rustup component add llvm-tools`, or `apt-get install llvm-{}`",
                self.llvm
            ),
        }
    }
}
