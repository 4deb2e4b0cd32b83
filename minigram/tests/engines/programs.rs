//! The programs that the tests start.

use std::path::{Path, PathBuf};
use std::process::Command;

pub const MINIGRAM: &str = env!("CARGO_BIN_EXE_minigram");

/// The balancer: `$EVENKEEL`, or the one beside this test, which is built if need be.
pub fn evenkeel() -> PathBuf {
    if let Some(path) = std::env::var_os("EVENKEEL") {
        return path.into();
    }
    let path = Path::new(MINIGRAM).with_file_name("evenkeel");
    if !path.is_file() {
        let status = Command::new(env!("CARGO")).args(["build", "--package", "evenkeel"]).status().unwrap();
        assert!(status.success(), "evenkeel does not compile");
    }
    path
}
