//! `cargo xtask peers`: independent clients, servers and scanners against the binary, as `tests/peers` has them.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, ensure};

use crate::bench::install;
use crate::bench::rig::target_directory;
use crate::python;

/// Where the tests are, and what they need of Python.
const TESTS: &str = "tests/peers";
const REQUIREMENTS: &str = "tests/peers/requirements.txt";
/// Programs that the tests start, and the Debian packages that bring them.
const PROGRAMS: [(&str, &str); 8] = [
    ("curl", "curl"),
    ("dig", "bind9-dnsutils"),
    ("h2load", "nghttp2-client"),
    ("haproxy", "haproxy"),
    ("nginx", "nginx"),
    ("openssl", "openssl"),
    ("python3", "python3-venv"),
    ("testssl", "testssl.sh"),
];

/// The module by which nginx relays TCP.
const NGINX_STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// What `cargo xtask peers` takes.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Only tests that match this, as `pytest -k` takes it.
    only: Option<String>,
    /// Without the scanners, which take a minute.
    #[arg(long)]
    fast: bool,
    /// The evenkeel to test [default: the debug build, which must be there].
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
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
        .filter(|(program, _)| install::find(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    if !Path::new(NGINX_STREAM).exists() {
        packages.push("libnginx-mod-stream");
    }
    install::missing(&packages)?;
    let python = python::environment(&root.join(REQUIREMENTS), &target.join("peers"))?;

    let tests = |only: &[&str]| {
        let mut pytest = Command::new(&python);
        pytest.args(["-m", "pytest", "--quiet", "--durations=5"]).args(only);
        // No compiled files beside the tests.
        pytest.env("EVENKEEL", &binary).env("PYTHONDONTWRITEBYTECODE", "1").current_dir(root.join(TESTS));
        pytest
    };
    if let Some(only) = &options.only {
        return succeeded(tests(&["-k", only]).status()?);
    }
    // The scanners wait for one handshake after the other; meanwhile the others run.
    let scanners = match options.fast {
        true => None,
        false => {
            Some(tests(&["-m", "scanner"]).stdout(Stdio::piped()).spawn().context("cannot start Python")?)
        }
    };
    let others = tests(&["-m", "not scanner"]).status();
    if let Some(scanners) = scanners {
        let scanners = scanners.wait_with_output()?;
        print!("{}", String::from_utf8_lossy(&scanners.stdout));
        succeeded(scanners.status)?;
    }
    succeeded(others?)
}

fn succeeded(status: ExitStatus) -> anyhow::Result<()> {
    ensure!(status.success(), "tests of peers failed");
    Ok(())
}
