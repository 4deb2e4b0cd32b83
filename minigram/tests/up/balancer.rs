//! `minigram up` without `--evenkeel`: one command is all that a user needs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::client::Client;
use crate::world::{World, evenkeel, up_of};

/// A folder with a copy of the program, on the file system that has the original.
fn copy(folder: &str) -> (TempDir, PathBuf) {
    let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let folder = root.path().join(folder);
    fs::create_dir_all(&folder).unwrap();
    let program = folder.join("minigram");
    fs::hard_link(env!("CARGO_BIN_EXE_minigram"), &program).unwrap();
    (root, program)
}

async fn answers(world: &World) {
    assert!(Client::new(world.running.address).get("/").await.status().is_success());
}

/// A script stands for cargo, whose build takes minutes: it is called as cargo would be, and leaves what cargo would leave.
#[tokio::test]
async fn a_program_that_cargo_built_has_cargo_build_the_balancer_by_the_same_profile() {
    let (root, program) = copy("target/release");
    let target = root.path().join("target");
    fs::write(target.join("CACHEDIR.TAG"), "").unwrap();
    let (called, built) = (root.path().join("called"), target.join("release/evenkeel"));
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let world = World::up_by(|state| {
        let mut up = up_of(&program, state);
        up.args(["--photos", "0"]).env("CARGO", package.join("tests/support/cargo-stand-in"));
        up.env("CALLED", &called).env("EVENKEEL", evenkeel().canonicalize().unwrap()).env("BUILT", built);
        up
    });
    answers(&world).await;
    let manifest = package.with_file_name("Cargo.toml");
    let (manifest, target) = (manifest.to_str().unwrap(), target.to_str().unwrap());
    let wanted = ["build", "--package", "evenkeel", "--bin", "evenkeel", "--profile", "release"];
    let wanted = [&wanted[..], &["--manifest-path", manifest, "--target-dir", target]].concat();
    assert_eq!(fs::read_to_string(called).unwrap().lines().collect::<Vec<_>>(), wanted);
}

#[tokio::test]
async fn a_program_that_was_installed_takes_the_balancer_beside_it() {
    let (root, program) = copy("bin");
    symlink(evenkeel().canonicalize().unwrap(), root.path().join("bin/evenkeel")).unwrap();
    let world = World::up_by(|state| {
        let mut up = up_of(&program, state);
        up.args(["--photos", "0"]);
        up
    });
    answers(&world).await;
}
