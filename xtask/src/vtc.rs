//! `cargo xtask vtc`: HTTP/1.1 on both sides of the proxy, byte by byte, as the scripts in `tests/varnishtest` tell it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::bench::install;
use crate::bench::process::Process;
use crate::bench::rig::target_directory;

/// Where the scripts are.
const SCRIPTS: &str = "tests/varnishtest";
/// Begins a line of configuration in a script; varnishtest takes it for a comment.
const CONFIGURATION: &str = "#| ";
/// Scripts at a time. They wait most of the time.
const JOBS: usize = 4;
/// For one script.
const SECONDS_MAX: u32 = 20;

/// What `cargo xtask vtc` takes.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Only scripts whose path contains one of these.
    only: Vec<String>,
    /// The evenkeel to test [default: a debug build].
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Show what varnishtest says of scripts that pass, too.
    #[arg(long)]
    verbose: bool,
}

/// Runs the scripts, each against an evenkeel of its own.
///
/// # Errors
/// A script fails, varnishtest cannot be installed, or evenkeel does not compile or start.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    install::missing(&["varnishtest"])?;
    let binary = match &options.binary {
        Some(binary) => binary.canonicalize().with_context(|| binary.display().to_string())?,
        None => build(root)?,
    };
    let mut scripts = Vec::new();
    for feature in fs::read_dir(root.join(SCRIPTS))? {
        let feature = feature?.path();
        if feature.is_dir() {
            let files = fs::read_dir(feature)?.map(|file| Ok(file?.path()));
            scripts.extend(files.collect::<std::io::Result<Vec<_>>>()?);
        }
    }
    scripts.retain(|path| path.extension().is_some_and(|e| e == "vtc") && is_wanted(path, &options.only));
    ensure!(!scripts.is_empty(), "there is no such script in {SCRIPTS}");
    scripts.sort();

    let failed = run_all(root, &binary, &scripts, options.verbose);
    ensure!(failed == 0, "{failed} of {} scripts failed", scripts.len());
    println!("{} scripts passed", scripts.len());
    Ok(())
}

fn is_wanted(path: &Path, only: &[String]) -> bool {
    only.is_empty() || only.iter().any(|part| path.to_string_lossy().contains(part.as_str()))
}

/// Runs the scripts a few at a time, and yields how many failed.
fn run_all(root: &Path, binary: &Path, scripts: &[PathBuf], verbose: bool) -> usize {
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let printing = Mutex::new(());
    let work = || {
        while let Some(script) = scripts.get(next.fetch_add(1, Ordering::Relaxed)) {
            let started = Instant::now();
            let result = run_one(binary, script);
            let seconds = started.elapsed().as_secs_f64();
            let name = script.strip_prefix(root.join(SCRIPTS)).unwrap_or(script).display();
            let _one_at_a_time = printing.lock();
            match result {
                Ok(said) => {
                    println!("ok      {name} ({seconds:.1} s)");
                    if verbose {
                        println!("{said}");
                    }
                }
                Err(error) => {
                    failed.fetch_add(1, Ordering::Relaxed);
                    println!("FAILED  {name} ({seconds:.1} s)\n{error:#}");
                }
            }
        }
    };
    thread::scope(|scope| (0..JOBS).for_each(|_| drop(scope.spawn(work))));
    failed.into_inner()
}

fn run_one(binary: &Path, script: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(script)?;
    let name = script.file_stem().unwrap_or_default().to_string_lossy();
    let directory = Directory::new(&name)?;
    let origin = directory.0.join("origin.sock");
    let configuration = directory.0.join("evenkeel.toml");
    fs::write(&configuration, configure(&text, &origin))?;

    let mut command = Command::new(binary);
    command.args(["run", "-c"]).arg(&configuration);
    let mut evenkeel = Process::start("evenkeel", &command, &None, &directory.0)?;
    let said = directory.0.join("evenkeel.err");
    let read = || fs::read_to_string(&said).unwrap_or_default();
    evenkeel.wait_until(|| read().contains("ready"))?;
    let port = port(&read()).with_context(|| format!("evenkeel listens nowhere:\n{}", read()))?;

    let output = Command::new("varnishtest")
        .args(["-v", "-t", &SECONDS_MAX.to_string()])
        .args(["-D", &format!("evenkeel=127.0.0.1 {port}")])
        .args(["-D", &format!("origin={}", origin.display())])
        .arg(script)
        .current_dir(&directory.0)
        .env("TMPDIR", &directory.0)
        .output()
        .context("cannot start varnishtest")?;
    let heard = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{heard}\n--- evenkeel said:\n{}", read());
    // A connection that fails with a panic ends like one that was closed: only the messages tell.
    ensure!(!read().contains("panicked"), "evenkeel panicked:\n{}", read());
    ensure!(
        Path::new(&format!("/proc/{}/exe", evenkeel.id())).exists(),
        "evenkeel is no longer there:\n{}",
        read()
    );
    Ok(heard.into_owned())
}

/// What all scripts share, and the lines of configuration that a script brings along.
fn configure(script: &str, origin: &Path) -> String {
    let own: Vec<&str> = script.lines().filter_map(|line| line.strip_prefix(CONFIGURATION)).collect();
    format!(
        "[server]\nworkers = 1\n[admin]\nbind = \"off\"\n[log]\naccess = \"off\"\n\
         [listener.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n\
         [pool.app]\nbackends = [\"unix:{}\"]\n{}\n",
        origin.display(),
        own.join("\n")
    )
}

/// The port of the listener, from the messages of a process that is ready.
fn port(messages: &str) -> Option<u16> {
    let (_, rest) = messages.split_once("listening on 127.0.0.1:")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Builds evenkeel for debugging; its program.
///
/// # Errors
/// It does not compile.
pub fn build(root: &Path) -> anyhow::Result<PathBuf> {
    build_package(root, "evenkeel")
}

/// Builds the program of another package of the workspace, without optimisation. A variable of the package's name (`EVENKEEL`,
/// `MINIGRAM`) names a program that is built already.
///
/// # Errors
/// It does not compile.
pub fn build_package(root: &Path, package: &str) -> anyhow::Result<PathBuf> {
    if let Some(built) = std::env::var_os(package.to_uppercase()) {
        return Path::new(&built).canonicalize().with_context(|| PathBuf::from(built).display().to_string());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    let status = command.current_dir(root).args(["build", "--quiet", "--package", package]).status()?;
    if !status.success() {
        bail!("{package} does not compile");
    }
    Ok(target_directory(root)?.join("debug").join(package))
}

/// A directory of one script, removed with all that is in it.
struct Directory(PathBuf);

impl Directory {
    /// Short, because the address of a unix socket has room for 107 bytes.
    fn new(name: &str) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("vtc-{}-{name}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Evenkeel may still be writing its last lines while it leaves.
        let deadline = Instant::now() + Duration::from_secs(1);
        while fs::remove_dir_all(&self.0).is_err() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_script_brings_its_own_configuration() {
        let script = "vtest \"x\"\n#| [limits]\n#| uri = \"1KiB\"\n# no configuration\n";
        let text = configure(script, Path::new("/run/o.sock"));
        assert!(text.ends_with("[\"unix:/run/o.sock\"]\n[limits]\nuri = \"1KiB\"\n"), "{text}");
    }

    #[test]
    fn the_port_is_read_from_the_messages() {
        assert_eq!(port("listening on 127.0.0.1:8080 listener=web\nready"), Some(8080));
        assert_eq!(port("ready"), None);
    }
}
