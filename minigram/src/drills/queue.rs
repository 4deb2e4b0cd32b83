//! Faults of the queue: its leader is lost, or it is full.

use std::time::Duration;

use anyhow::{Context, ensure};
use async_nats::jetstream;
use async_nats::jetstream::stream::Stream;
use tokio::time::{Instant, sleep};

use super::load::Load;
use super::scene::Scene;
use crate::process::wait_until;

/// The stream of jobs.
const STREAM: &str = "minigram_jobs";
/// Subjects of jobs that no worker takes.
const FILLING: &str = "minigram.jobs.drill";
/// Jobs that are added until the queue is full.
const JOBS: i64 = 50;
/// How long it is full.
const FULL: Duration = Duration::from_secs(10);
/// Between two jobs that are pushed to see that it still is.
const PUSH_EVERY: Duration = Duration::from_millis(200);

async fn stream(scene: &Scene) -> anyhow::Result<(jetstream::Context, Stream)> {
    let client = async_nats::connect(scene.endpoints()?.queue_url()).await.context("the queue")?;
    let context = jetstream::new(client);
    let stream = context.get_stream(STREAM).await.context("the stream of jobs")?;
    Ok((context, stream))
}

/// Kills the server that leads the stream of jobs; returns when it is back.
pub async fn kill_leader(scene: &Scene, bound: Duration) -> anyhow::Result<()> {
    let (_, mut stream) = stream(scene).await?;
    let leader = stream.info().await.context("the stream of jobs")?.cluster.as_ref();
    let leader = leader.and_then(|cluster| cluster.leader.clone()).context("the queue has no leader")?;
    ensure!(
        scene.endpoints()?.nats.contains_key(&leader),
        "{leader}, which leads the queue, is none of ours"
    );
    scene.faults.kill(&leader)?;
    let is_back = || async { scene.process(&leader).is_some() };
    wait_until(&format!("{leader} runs again"), bound, is_back).await
}

/// Lowers the limit of jobs, pushes jobs that no worker takes until it is reached, and takes them out again later. Photos
/// that are posted meanwhile have their jobs in the outbox.
pub async fn fill(scene: &Scene, load: &Load, photos: usize) -> anyhow::Result<()> {
    let (context, mut stream) = stream(scene).await?;
    let info = stream.info().await.context("the stream of jobs")?.clone();
    let mut config = info.config.clone();
    config.max_messages = i64::try_from(info.state.messages)? + JOBS;
    context.update_stream(&config).await.context("the limit of jobs cannot be lowered")?;
    let filled = tokio::join!(keep_full(&context), load.post(photos)).0;
    // Also after a failure, or the queue stays full.
    let raised = context.update_stream(&info.config).await.context("the limit of jobs cannot be raised");
    let purged =
        stream.purge().filter(format!("{FILLING}.*")).await.context("jobs of the drill cannot be removed");
    raised?;
    purged?;
    ensure!(filled? > 0, "the queue did not become full");
    Ok(())
}

/// Pushes jobs for a while; how many did not fit.
async fn keep_full(context: &jetstream::Context) -> anyhow::Result<u64> {
    let (mut refused, mut number) = (0, 0_u64);
    let mut end = Instant::now() + 6 * FULL;
    while Instant::now() < end {
        number += 1;
        let pushed = context.publish(format!("{FILLING}.{number}"), "".into()).await?.await;
        if pushed.is_err() {
            if refused == 0 {
                end = Instant::now() + FULL;
            }
            refused += 1;
            sleep(PUSH_EVERY).await;
        }
    }
    Ok(refused)
}
