//! The balancer's binary: built from the workspace that this program comes from, or found.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, ensure};
use tokio::process::Command;

/// A program as cargo builds it.
#[derive(Debug, PartialEq, Eq)]
struct Built {
    /// Of the workspace.
    manifest: PathBuf,
    /// `target`, wherever it is.
    target: PathBuf,
    /// `dev`, `release`, or another one.
    profile: String,
}

/// The balancer's binary. If this program was built by cargo in a workspace that is still there, cargo brings the binary up
/// to date first, by the same profile, and shows what it does. Otherwise it is the one beside this program, or the one in `PATH`.
///
/// # Errors
/// The build fails, or there is none.
pub async fn evenkeel() -> anyhow::Result<PathBuf> {
    let this = env::current_exe().context("the path of this program is not known")?;
    if let Some(built) = built(&this, Path::new(env!("CARGO_MANIFEST_DIR"))) {
        return build(&built).await;
    }
    let beside = this.with_file_name("evenkeel");
    if beside.is_file() {
        return Ok(beside);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder| folder.join("evenkeel")).find(|file| file.is_file()).context(
        "the program `evenkeel` is neither beside this one nor in PATH: name it with `--evenkeel FILE`",
    )
}

/// How cargo built `this`, if its workspace is there.
fn built(this: &Path, package: &Path) -> Option<Built> {
    let manifest = package.parent()?.join("Cargo.toml");
    let folder = this.parent()?;
    let target = folder.parent()?;
    // Cargo marks the directory so that backups leave it out.
    if !manifest.is_file() || !target.join("CACHEDIR.TAG").is_file() {
        return None;
    }
    let profile = match folder.file_name()?.to_str()? {
        "debug" => "dev",
        other => other,
    };
    Some(Built { manifest, target: target.to_owned(), profile: profile.to_owned() })
}

async fn build(built: &Built) -> anyhow::Result<PathBuf> {
    let Built { manifest, target, profile } = built;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--package", "evenkeel", "--bin", "evenkeel", "--profile", profile])
        .arg("--manifest-path")
        .arg(manifest)
        .arg("--target-dir")
        .arg(target)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .context("cargo cannot be started to build the balancer: name a binary with `--evenkeel FILE`")?;
    ensure!(status.success(), "the balancer cannot be built ({status})");
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(target.join(folder).join("evenkeel"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_folder_of_a_program_says_how_it_was_built() {
        let root = tempfile::tempdir().unwrap();
        let (target, package) = (root.path().join("target"), root.path().join("minigram"));
        for folder in [&target, &package] {
            fs::create_dir(folder).unwrap();
        }
        let profile =
            |folder: &str| built(&target.join(folder).join("minigram"), &package).map(|built| built.profile);
        assert_eq!(profile("debug"), None);
        fs::write(root.path().join("Cargo.toml"), "").unwrap();
        assert_eq!(profile("debug"), None);
        fs::write(target.join("CACHEDIR.TAG"), "").unwrap();
        assert_eq!(profile("debug").as_deref(), Some("dev"));
        assert_eq!(profile("release").as_deref(), Some("release"));
        assert_eq!(built(Path::new("/usr/bin/minigram"), &package), None);
    }
}
