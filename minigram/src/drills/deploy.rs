//! A new version of servers and workers, one process after the other.

use std::time::Duration;

use anyhow::Context;

use super::scene::Scene;
use crate::process::wait_until;

/// How long a process may take to leave, and its successor to be ready.
const BOUND: Duration = Duration::from_secs(60);
/// The processes of workers.
const WORKERS: [&str; 2] = ["worker-1", "worker-2"];

/// Asks each server to leave, and goes on with the next one when its successor takes requests; then each worker.
pub async fn roll(scene: &Scene) -> anyhow::Result<()> {
    for server in scene.servers() {
        replace(scene, &server).await?;
        scene.wait_ready(&server, BOUND).await?;
    }
    for worker in WORKERS {
        replace(scene, worker).await?;
    }
    Ok(())
}

async fn replace(scene: &Scene, name: &str) -> anyhow::Result<()> {
    let old = scene.process(name).with_context(|| format!("{name} does not run"))?;
    scene.faults.end(name)?;
    let is_new = || async { scene.process(name).is_some_and(|new| new != old) };
    wait_until(&format!("{name} is a new process"), BOUND, is_new).await
}
