//! `cargo xtask contrib`: what lies in contrib, read and run by the programs that it is for, as `tests/contrib` has them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::bench::install;
use crate::bench::rig::target_directory;
use crate::python;

/// Where the tests are.
const TESTS: &str = "tests/contrib";
/// Programs that the tests start, and the Debian packages that bring them. None of their services is started.
const PROGRAMS: [(&str, &str); 7] = [
    ("logrotate", "logrotate"),
    ("prometheus", "prometheus"),
    ("promtool", "prometheus"),
    ("python3", "python3-venv"),
    ("rsyslogd", "rsyslog"),
    ("strace", "strace"),
    ("systemd-analyze", "systemd"),
];
/// The C compiler of the static binary.
const MUSL: (&str, &str) = ("musl-gcc", "musl-tools");
/// The version of cargo-deb, which makes the Debian package, for machines that have none.
const CARGO_DEB: &str = "3.8.0";

/// What `cargo xtask contrib` takes.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Only tests that match this, as `pytest -k` takes it.
    only: Option<String>,
    /// The evenkeel to test [default: the debug build, which must be there].
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Build the static binary of the image too, and test it: some minutes.
    #[arg(long = "static")]
    is_static: bool,
}

/// Runs the tests in a Python environment of their own, below the target directory.
///
/// # Errors
/// A test fails, there is no binary, or what the tests need cannot be installed.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let target = target_directory(root)?;
    let binary = options.binary.clone().unwrap_or_else(|| target.join("debug/evenkeel"));
    let binary = binary.canonicalize().with_context(|| binary.display().to_string())?;
    let mut packages: Vec<&str> = PROGRAMS
        .iter()
        .chain(options.is_static.then_some(&MUSL))
        .filter(|(program, _)| install::find(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    packages.dedup();
    install::missing(&packages)?;
    let path = path_with_cargo_deb(&target)?;
    let python = python::environment(&root.join(TESTS).join("requirements.txt"), &target.join("contrib"))?;
    let mut pytest = Command::new(python);
    pytest.args(["-m", "pytest", "--quiet", "--durations=5"]);
    pytest.args(options.only.iter().flat_map(|only| ["-k", only]));
    pytest.env("PATH", path);
    if options.is_static {
        pytest.env("EVENKEEL_STATIC", static_binary(root, &target)?);
    }
    // No compiled files beside the tests.
    pytest.env("EVENKEEL", &binary).env("PYTHONDONTWRITEBYTECODE", "1").current_dir(root.join(TESTS));
    ensure!(pytest.status().context("cannot start Python")?.success(), "tests of contrib failed");
    Ok(())
}

/// Builds the binary of the image as `contrib/docker/Dockerfile` does, but without optimisation.
fn static_binary(root: &Path, target: &Path) -> anyhow::Result<PathBuf> {
    let triple = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let added = Command::new("rustup").args(["--quiet", "target", "add", &triple]).status();
    ensure!(added.context("cannot start rustup")?.success(), "rustup target add {triple} failed");
    let mut cargo = Command::new("cargo");
    cargo.args([
        "build",
        "--quiet",
        "--locked",
        "--no-default-features",
        "--package",
        "evenkeel",
        "--target",
        &triple,
    ]);
    cargo.env("CARGO_PROFILE_DEV_DEBUG", "false").current_dir(root);
    ensure!(cargo.status().context("cannot start cargo")?.success(), "the static evenkeel does not compile");
    Ok(target.join(triple).join("debug/evenkeel"))
}

/// `PATH` with a cargo-deb in it. If there is none, it is installed below `target`, without optimisation, which takes half a minute.
fn path_with_cargo_deb(target: &Path) -> anyhow::Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if install::find("cargo-deb").is_some() {
        return Ok(path);
    }
    let root = target.join("cargo-deb");
    if !root.join("bin/cargo-deb").is_file() {
        eprintln!("installing cargo-deb {CARGO_DEB}");
        let mut cargo = Command::new("cargo");
        cargo.args(["install", "cargo-deb", "--debug", "--locked", "--quiet", "--version", CARGO_DEB]);
        cargo.arg("--root").arg(&root);
        ensure!(cargo.status().context("cannot start cargo")?.success(), "cargo install cargo-deb failed");
    }
    let places = std::env::split_paths(&path).chain([root.join("bin")]);
    Ok(std::env::join_paths(places)?)
}
