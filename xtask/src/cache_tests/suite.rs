//! http-cache-tests from npm, and what today's edition of it is made of.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::npm::{self, output};

/// What is ours of it.
const OURS: &str = "tests/http-cache-tests";
/// The first Node.js that sends interim responses as the suite wants them.
const NODE_MIN: (u32, u32) = (18, 11);

/// The suites of which `cargo xtask cache-tests` keeps results.
#[derive(Debug, Clone, Copy)]
pub enum Edition {
    /// As it is published today, after RFC 9111: made from the package of npm.
    Current,
    /// As npm has it: version 0.4.5, of 2021.
    Npm,
}

/// A suite that can be run.
pub struct Suite {
    /// Where it is.
    pub directory: PathBuf,
    /// Where our part of it is.
    ours: PathBuf,
}

/// Installs the packages below `directory`, unless the same ones are there.
///
/// # Errors
/// Node.js or npm are missing or too old, or npm fails.
pub fn install(root: &Path, directory: &Path) -> anyhow::Result<()> {
    npm::install("http-cache-tests", NODE_MIN, &root.join(OURS), directory)
}

impl Suite {
    /// Makes the `edition` anew from the installed package.
    ///
    /// # Errors
    /// The package is another one than our changes to it were made for.
    pub fn make(root: &Path, directory: &Path, edition: Edition) -> anyhow::Result<Self> {
        let ours = root.join(OURS);
        let (script, name) = match edition {
            Edition::Current => ("make.mjs", "current"),
            Edition::Npm => ("plain.mjs", "npm"),
        };
        let suite = Self { directory: directory.join(name), ours };
        let package = directory.join("node_modules/http-cache-tests");
        output(Command::new("node").arg(suite.ours.join(script)).arg(package).arg(&suite.directory))?;
        Ok(suite)
    }

    /// The origin, on a free port of the loopback that it prints.
    pub fn origin(&self) -> Command {
        let mut command = Command::new("node");
        command.arg(self.directory.join("server/server.mjs"));
        command.env("npm_config_protocol", "http").env("npm_config_port", "0");
        command.env("npm_config_pidfile", self.directory.join("server.pid"));
        command
    }

    /// The client of the cache at `base`. It prints what every test came to, or how the `only` one went.
    pub fn client(&self, base: &str, only: Option<&str>) -> Command {
        let mut command = Command::new("node");
        command.arg("--no-warnings").arg(self.ours.join("run.mjs")).arg(&self.directory).arg(base).args(only);
        command
    }
}
