//! An environment of Python with what a file of requirements names, for tests that other people's programs run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// The Python of an environment in `directory` that has what the file `requirements` names; made anew when that has changed.
///
/// # Errors
/// There is no Python with `venv`, or pip cannot install something.
pub fn environment(requirements: &Path, directory: &Path) -> anyhow::Result<PathBuf> {
    let shown = || requirements.display().to_string();
    let required = fs::read_to_string(requirements).with_context(shown)?;
    let python = directory.join("bin/python");
    let installed = directory.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == required) {
        return Ok(python);
    }
    eprintln!("installing what {} names", shown());
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--clear"]).arg(directory);
    ensure!(venv.status().context("cannot start python3")?.success(), "python3 -m venv failed");
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    pip.arg(requirements);
    ensure!(pip.status().context("cannot start pip")?.success(), "pip install failed");
    fs::write(installed, required)?;
    Ok(python)
}
