//! Node.js and packages of npm, pinned by a lock file in the repository and installed below the target directory.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::bench::install::find;

/// What npm reads, and the hashes of the packages.
const PACKAGES: [&str; 2] = ["package.json", "package-lock.json"];

/// Installs into `directory` the packages that the files in `ours` name, unless the same ones are there. `purpose` is what needs
/// them, and `oldest` the first Node.js that will do.
///
/// # Errors
/// Node.js or npm are missing or too old, or npm fails.
pub fn install(purpose: &str, oldest: (u32, u32), ours: &Path, directory: &Path) -> anyhow::Result<()> {
    let (major, minor) = oldest;
    if find("node").is_none() || find("npm").is_none() {
        bail!(
            "{purpose} needs node and npm, of Node.js {major}.{minor} or later: apt-get install nodejs npm"
        );
    }
    let version = output(Command::new("node").arg("--version"))?;
    ensure!(is_new_enough(&version, oldest), "node is {version}; {major}.{minor} or later is needed");

    let read = |name: &str| fs::read_to_string(ours.join(name)).with_context(|| name.to_owned());
    let wanted = PACKAGES.map(read).into_iter().collect::<anyhow::Result<String>>()?;
    let installed = directory.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    eprintln!("installing the packages of {purpose}");
    fs::create_dir_all(directory)?;
    for name in PACKAGES {
        fs::copy(ours.join(name), directory.join(name))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(directory);
    output(&mut npm)?;
    fs::write(installed, wanted)?;
    Ok(())
}

/// Runs a command to its end; what it printed.
///
/// # Errors
/// It does not start, or fails.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} ended with {}:\n{errors}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// `version` as node prints it: `v20.18.0`.
fn is_new_enough(version: &str, oldest: (u32, u32)) -> bool {
    let mut numbers = version.trim_start_matches('v').split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= oldest,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_node_is_refused() {
        assert!(is_new_enough("v18.11.0", (18, 11)) && is_new_enough("v20.0.1", (18, 11)));
        assert!(!is_new_enough("v18.10.0", (18, 11)) && !is_new_enough("?", (18, 11)));
    }
}
