//! `cargo xtask browser`: the dashboard in a real Chromium, before a real evenkeel with traffic and before made-up figures; and the pages
//! of MiniGram, before a mock and before the whole system.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::bench::install::{self, find};
use crate::bench::rig::target_directory;
use crate::{npm, vtc};

/// The tests, the mock and their packages.
const OURS: &str = "tests/browser";
/// The files of tests.
const TESTS: [&str; 5] =
    ["mocked.test.mjs", "pages.test.mjs", "real.test.mjs", "answers.test.mjs", "records.test.mjs"];
/// The tests of MiniGram's pages, which share Chromium and packages.
const MINIGRAM: [&str; 2] = ["minigram/tests/browser/pages.test.mjs", "minigram/tests/browser/real.test.mjs"];
/// Where screenshots go.
const PICTURES: &str = "docs/img";
/// The first Node.js that playwright-core runs on.
const NODE_MIN: (u32, u32) = (20, 0);

/// What `cargo xtask browser` takes.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Only tests whose name contains this.
    only: Option<String>,
    /// Make the pictures in docs/img anew, and run no tests.
    #[arg(long)]
    screenshots: bool,
    /// The evenkeel to test [default: a debug build].
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// Runs the tests, or makes the screenshots.
///
/// # Errors
/// A test fails, or Node.js, npm, Chromium or evenkeel are missing and cannot be installed or built.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    install::missing(&["chromium"])?;
    let chromium = find("chromium").context("chromium is nowhere in PATH")?;
    let ours = root.join(OURS);
    let directory = target_directory(root)?.join("browser");
    npm::install("the browser tests", NODE_MIN, &ours, &directory)?;
    let binary = match &options.binary {
        Some(binary) => binary.canonicalize().with_context(|| binary.display().to_string())?,
        None => vtc::build(root)?,
    };

    let mut node = Command::new("node");
    node.env("EVENKEEL", binary)
        .env("EVENKEEL_BROWSER_MODULES", directory)
        .env("EVENKEEL_CHROMIUM", chromium);
    if options.screenshots {
        node.arg(ours.join("screenshots.mjs")).arg(root.join(PICTURES));
    } else {
        // One after the other: they measure frames.
        node.args(["--test", "--test-concurrency=1", "--test-reporter=spec"]);
        node.args(options.only.iter().map(|only| format!("--test-name-pattern={only}")));
        node.env("MINIGRAM", vtc::build_package(root, "minigram")?);
        node.args(TESTS.map(|test| ours.join(test))).args(MINIGRAM.map(|test| root.join(test)));
    }
    let status = node.status().context("cannot start node")?;
    ensure!(status.success(), "node ended with {status}");
    Ok(())
}
