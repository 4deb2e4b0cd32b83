//! http-cache-tests from npm, and what today's edition of it is made of.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::bench::install::find;

/// What is ours of it.
const OURS: &str = "tests/http-cache-tests";
/// The packages that npm installs, and their hashes.
const PACKAGES: [&str; 2] = ["package.json", "package-lock.json"];
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
    if find("node").is_none() || find("npm").is_none() {
        bail!(
            "http-cache-tests needs node and npm, of Node.js {}.{} or later: apt-get install nodejs npm",
            NODE_MIN.0,
            NODE_MIN.1
        );
    }
    let version = output(Command::new("node").arg("--version"))?;
    ensure!(is_new_enough(&version), "node is {version}; {}.{} or later is needed", NODE_MIN.0, NODE_MIN.1);

    let read = |name: &str| fs::read_to_string(root.join(OURS).join(name)).with_context(|| name.to_owned());
    let wanted = PACKAGES.map(read).into_iter().collect::<anyhow::Result<String>>()?;
    let installed = directory.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    eprintln!("installing http-cache-tests");
    fs::create_dir_all(directory)?;
    for name in PACKAGES {
        fs::copy(root.join(OURS).join(name), directory.join(name))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(directory);
    output(&mut npm)?;
    fs::write(installed, wanted)?;
    Ok(())
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

fn output(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} ended with {}:\n{errors}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// `version` as node prints it: `v20.18.0`.
fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.trim_start_matches('v').split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= NODE_MIN,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_node_is_refused() {
        assert!(is_new_enough("v18.11.0") && is_new_enough("v20.0.1"));
        assert!(!is_new_enough("v18.10.0") && !is_new_enough("v16.20.2") && !is_new_enough("?"));
    }
}
