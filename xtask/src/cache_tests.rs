//! `cargo xtask cache-tests`: http-cache-tests through a route with a cache, against the results kept in the repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::bench::process::Process;
use crate::bench::rig::target_directory;
use crate::vtc;
use results::{Results, Scores};
use suite::{Edition, Suite};

mod results;
mod suite;

/// The configuration of evenkeel, and the origin in it.
const CONFIGURATION: &str = "tests/http-cache-tests/evenkeel.toml";
const ORIGIN: &str = "127.0.0.1:1";
/// The results that were last accepted.
const RESULTS: &str = "tests/http-cache-tests/results.json";
/// For all tests of one edition, which take 20 seconds.
const RUN_MAX: Duration = Duration::from_secs(180);

/// What `cargo xtask cache-tests` takes.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Show the requests and responses of this test alone, and compare nothing.
    only: Option<String>,
    /// Only today's edition of the suite, not that of 2021 as npm has it, which is for information.
    #[arg(long)]
    fast: bool,
    /// Accept the results: write them to the file that later runs are compared with.
    #[arg(long)]
    update: bool,
    /// The evenkeel to test [default: a debug build].
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// Runs the suite.
///
/// # Errors
/// A test that passed before does not pass, too few pass, node or npm are missing, or something does not start.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let directory = target_directory(root)?.join("http-cache-tests");
    suite::install(root, &directory)?;
    let binary = match &options.binary {
        Some(binary) => binary.canonicalize().with_context(|| binary.display().to_string())?,
        None => vtc::build(root)?,
    };
    let run = Run { root, directory: &directory, binary: &binary };
    if let Some(only) = &options.only {
        print!("{}", run.edition(Edition::Current, Some(only))?);
        return Ok(());
    }

    let file = root.join(RESULTS);
    let before = match fs::read_to_string(&file) {
        Ok(text) => serde_json::from_str(&text).context(RESULTS)?,
        Err(_) if options.update => Results::default(),
        Err(error) => return Err(error).context(RESULTS),
    };
    println!("Today's edition:");
    let current = scores(&run.edition(Edition::Current, None)?)?;
    let npm = match options.fast {
        true => before.npm.clone(),
        false => {
            println!("The edition of 2021, which contradicts RFC 9111 in some tests:");
            scores(&run.edition(Edition::Npm, None)?)?
        }
    };
    let lost = current.lost_since(&before.current);
    let gained = before.current.lost_since(&current);
    if options.update {
        current.are_enough()?;
        let mut text = serde_json::to_string_pretty(&Results { current, npm })?;
        text.push('\n');
        fs::write(&file, text)?;
        return Ok(());
    }
    if !gained.is_empty() {
        println!("now passed, to be accepted with --update: {}", gained.join(", "));
    }
    ensure!(lost.is_empty(), "passed before, and not now: {}", lost.join(", "));
    current.are_enough()
}

/// Reads what the suite printed, and shows it.
fn scores(printed: &str) -> anyhow::Result<Scores> {
    let (scores, failed) = results::read(printed)?;
    println!("{scores}\n{}", failed.join("\n"));
    Ok(scores)
}

struct Run<'r> {
    root: &'r Path,
    directory: &'r Path,
    binary: &'r Path,
}

impl Run<'_> {
    /// Runs one edition, or one of its tests, between an origin and an evenkeel of its own; what it prints.
    fn edition(&self, edition: Edition, only: Option<&str>) -> anyhow::Result<String> {
        let suite = Suite::make(self.root, self.directory, edition)?;
        let read = |name: &str| fs::read_to_string(suite.directory.join(name)).unwrap_or_default();

        let mut origin = Process::start("origin", &suite.origin(), &None, &suite.directory)?;
        origin.wait_until(|| port(&read("origin.out"), "http://127.0.0.1:").is_some())?;
        let origin_port = port(&read("origin.out"), "http://127.0.0.1:").context("the origin has no port")?;

        let template = fs::read_to_string(self.root.join(CONFIGURATION)).context(CONFIGURATION)?;
        let configuration = suite.directory.join("evenkeel.toml");
        fs::write(&configuration, configure(&template, origin_port)?)?;
        let mut command = Command::new(self.binary);
        command.args(["run", "-c"]).arg(&configuration);
        let mut evenkeel = Process::start("evenkeel", &command, &None, &suite.directory)?;
        evenkeel.wait_until(|| read("evenkeel.err").contains("ready"))?;
        let said = read("evenkeel.err");
        let port = port(&said, "listening on 127.0.0.1:").with_context(|| format!("no listener:\n{said}"))?;

        let client = suite.client(&format!("http://127.0.0.1:{port}"), only);
        let printed = Process::start("client", &client, &None, &suite.directory)?.finish(RUN_MAX)?;
        let said = read("evenkeel.err");
        ensure!(!said.contains("panicked"), "evenkeel panicked:\n{said}");
        Ok(printed)
    }
}

/// The configuration with the origin at `port`.
fn configure(template: &str, port: u16) -> anyhow::Result<String> {
    ensure!(template.matches(ORIGIN).count() == 1, "{CONFIGURATION} has to name {ORIGIN} once");
    Ok(template.replace(ORIGIN, &format!("127.0.0.1:{port}")))
}

/// The port after `before`, once its line is whole.
fn port(text: &str, before: &str) -> Option<u16> {
    let (_, rest) = text.split_once(before)?;
    let (digits, _) = rest.split_once(|c: char| !c.is_ascii_digit())?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_template_gets_the_port_of_the_origin() {
        let template = "bind = \"127.0.0.1:0\"\nbackends = [\"127.0.0.1:1\"]\n";
        assert!(configure(template, 4711).unwrap().ends_with("[\"127.0.0.1:4711\"]\n"));
        assert!(configure("backends = []", 4711).is_err());
    }

    #[test]
    fn a_port_is_read_once_its_line_is_whole() {
        assert_eq!(port("Listening on http://127.0.0.1:8000/\n", "http://127.0.0.1:"), Some(8000));
        assert_eq!(port("Listening on http://127.0.0.1:80", "http://127.0.0.1:"), None);
        assert_eq!(port("", "http://127.0.0.1:"), None);
    }
}
