//! `cargo xtask package`: the Debian package, with manual pages and completions that the binary itself writes.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::bench::install;
use crate::bench::rig::target_directory;
use crate::dist;

/// Where the package's metadata expects what is made here.
const MADE: &str = "target/package";
/// Shells, and the files in which their scripts are looked for.
const SHELLS: [(&str, &str); 3] =
    [("bash", "evenkeel.bash"), ("zsh", "_evenkeel"), ("fish", "evenkeel.fish")];

/// What `cargo xtask package` takes.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The profile that the binary is built with.
    #[arg(long, default_value = "dist")]
    profile: String,
    /// Pack the binary that is there.
    #[arg(long)]
    no_build: bool,
    /// Pack a binary that is built with profile-guided optimisation, as `cargo xtask dist` builds it.
    #[arg(long, conflicts_with_all = ["no_build", "profile"])]
    pgo: bool,
}

/// Makes the package and prints its path.
///
/// # Errors
/// cargo-deb is missing, or something cannot be built or written.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let has_cargo_deb = install::find("cargo-deb").is_some();
    ensure!(has_cargo_deb, "cargo-deb is not installed: cargo install cargo-deb --locked");
    let profile = ["--profile", options.profile.as_str()];
    let directory = if options.profile == "dev" { "debug" } else { &options.profile };
    let binary = target_directory(root)?.join(directory).join("evenkeel");
    if options.pgo {
        let built = dist::build(root, true)?;
        fs::create_dir_all(binary.parent().unwrap_or(root))?;
        fs::copy(&built, &binary).with_context(|| built.display().to_string())?;
    } else if !options.no_build {
        let build = ["build", "--locked", "--package", "evenkeel", "--no-default-features"];
        succeed(Command::new("cargo").args(build).args(profile).current_dir(root))?;
    }
    let made = root.join(MADE);
    // Pages of commands that are no more would be packed as well.
    let _ = fs::remove_dir_all(&made);
    fs::create_dir_all(made.join("man"))?;
    succeed(Command::new(&binary).arg("manual").arg(made.join("man")))?;
    for (shell, file) in SHELLS {
        let script = Command::new(&binary).args(["completions", shell]).output();
        let script = script.with_context(|| binary.display().to_string())?;
        ensure!(script.status.success(), "evenkeel completions {shell} failed");
        fs::write(made.join(file), script.stdout)?;
    }
    let pack = ["deb", "--quiet", "--package", "evenkeel", "--no-build", "--fast"];
    succeed(Command::new("cargo").args(pack).args(profile).current_dir(root))
}

fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let shown = format!("{command:?}");
    let status = command.status().with_context(|| shown.clone())?;
    ensure!(status.success(), "{shown} failed");
    Ok(())
}
