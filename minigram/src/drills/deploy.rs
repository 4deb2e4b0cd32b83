//! A new version of servers and workers, one process after the other.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use super::scene::Scene;
use crate::process::tree::Member;
use crate::process::wait_until;
use crate::up::version;

/// How long a process may take to leave, and its successor to be ready.
const BOUND: Duration = Duration::from_secs(60);
/// The processes of workers.
const WORKERS: [&str; 2] = ["worker-1", "worker-2"];

/// Installs the program of this process as the new version. Asks each server to leave, and goes on with the next one when its successor
/// takes requests; then each worker.
pub async fn roll(scene: &Scene) -> anyhow::Result<()> {
    let this = std::env::current_exe().context("the path of this program is not known")?;
    let new = version::install(scene.state(), &this)?;
    version::set(scene.state(), &new)?;
    for server in scene.servers() {
        replace(scene, &server, &new).await?;
        scene.wait_ready(&server, BOUND).await?;
    }
    for worker in WORKERS {
        replace(scene, worker, &new).await?;
    }
    Ok(())
}

async fn replace(scene: &Scene, name: &str, version: &Path) -> anyhow::Result<()> {
    let old = scene.process(name).with_context(|| format!("{name} does not run"))?;
    scene.faults.end(name)?;
    let is_new = |new: Member| new != old && new.file().as_deref() == Some(version);
    let runs = || async { scene.process(name).is_some_and(is_new) };
    wait_until(&format!("{name} is a new process, of {}", version.display()), BOUND, runs).await
}
