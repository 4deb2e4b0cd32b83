//! The balancer of a test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Evenkeel's binary: `$EVENKEEL`, or one that is built by the same profile as this test.
pub fn evenkeel() -> &'static Path {
    static EVENKEEL: OnceLock<PathBuf> = OnceLock::new();
    EVENKEEL.get_or_init(|| {
        if let Some(path) = std::env::var_os("EVENKEEL") {
            return path.into();
        }
        let minigram = Path::new(env!("CARGO_BIN_EXE_minigram"));
        let profile = minigram.parent().unwrap();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--package", "evenkeel", "--bin", "evenkeel", "--target-dir"]);
        build.arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success(), "evenkeel cannot be built");
        profile.join("evenkeel")
    })
}
