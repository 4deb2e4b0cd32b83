//! Workers: processes that do what servers need not wait for. Any number of them may run beside any number of servers.
//!
//! [`run`] starts relays, which bring jobs from the outbox into the queue, and for each topic as many workers as the
//! settings say. A job is done at least once, and doing it twice changes nothing. One that fails is tried again after
//! the pause of the queue's policy, and becomes a [dead letter](dead_letters) at last.

use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::domain::feeds::HomeFeeds;
use crate::domain::jobs::{Failure, FanOut, Notify, RemoveFiles, Thumbnails};
use crate::engines::Engines;
use crate::leave::Leave;

pub mod dead_letters;
mod fan_out;
mod hand;
mod metrics;
mod notify;
mod observe;
mod pause;
pub mod pictures;
mod relay;
mod remove_files;
mod settings;
mod thumbnails;

use hand::Hand;
use metrics::Metrics;
pub use settings::WorkerSettings;
use thumbnails::Thumbnailer;

/// Relays and works until leaving is requested, then finishes what is being done within `settings.finish_within`, and
/// gives the rest back to the queue. A future that is dropped stops at once; its jobs come back after their visibility.
///
/// # Errors
/// `settings.listen` cannot be bound, or a task panicked.
pub async fn run(engines: Engines, settings: WorkerSettings, leave: Leave) -> anyhow::Result<()> {
    let listener = match settings.listen {
        Some(address) => {
            Some(TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?)
        }
        None => None,
    };
    serve(engines, settings, listener, leave).await
}

/// As [`run`], with a listener for `/metrics` and `/healthz` that is bound already.
///
/// # Errors
/// A task panicked.
pub async fn serve(
    engines: Engines,
    settings: WorkerSettings,
    listener: Option<TcpListener>,
    leave: Leave,
) -> anyhow::Result<()> {
    let (settings, metrics) = (Arc::new(settings), Arc::new(Metrics::new()));
    let mut tasks = JoinSet::new();
    for _ in 0..settings.relays {
        tasks.spawn(relay::run(engines.clone(), settings.clone(), metrics.clone(), leave.clone()));
    }
    tasks.spawn(observe::gauges(engines.clone(), settings.clone(), metrics.clone(), leave.clone()));
    spawn_hands(&mut tasks, &engines, &settings, &metrics, &leave);
    let mut observed = JoinSet::new();
    if let Some(listener) = listener {
        observed.spawn(observe::serve(listener, metrics));
    }
    tracing::info!(worker = settings.name, "workers are ready");
    // Ends when every task has noticed that it should leave. The listener serves until then.
    while let Some(ended) = tasks.join_next().await {
        ended.context("a task of the worker panicked")?;
    }
    tracing::info!(worker = settings.name, "workers have left");
    Ok(())
}

fn spawn_hands(
    tasks: &mut JoinSet<()>,
    engines: &Engines,
    settings: &Arc<WorkerSettings>,
    metrics: &Arc<Metrics>,
    leave: &Leave,
) {
    let hand = |topic| Hand {
        topic,
        queue: engines.queue.clone(),
        settings: settings.clone(),
        metrics: metrics.clone(),
    };
    let feeds = Arc::new(HomeFeeds::new(engines.store.clone()));
    for _ in 0..settings.fan_out {
        let (engines, feeds) = (engines.clone(), feeds.clone());
        tasks.spawn(hand(FanOut::TOPIC).run(leave.clone(), move |job| {
            let (engines, feeds) = (engines.clone(), feeds.clone());
            async move {
                let job = FanOut::read(&job).map_err(Failure::for_good)?;
                fan_out::fan_out(&engines, &feeds, job).await
            }
        }));
    }
    let thumbnailer = Arc::new(Thumbnailer::new(engines.clone(), settings, metrics));
    for _ in 0..settings.thumbnails {
        let thumbnailer = thumbnailer.clone();
        tasks.spawn(hand(Thumbnails::TOPIC).run(leave.clone(), move |job| {
            let thumbnailer = thumbnailer.clone();
            async move { thumbnailer.make(Thumbnails::read(&job).map_err(Failure::for_good)?).await }
        }));
    }
    for _ in 0..settings.notify {
        let engines = engines.clone();
        tasks.spawn(hand(Notify::TOPIC).run(leave.clone(), move |job| {
            let engines = engines.clone();
            async move { notify::notify(&engines, Notify::read(&job).map_err(Failure::for_good)?).await }
        }));
    }
    for _ in 0..settings.remove_files {
        let blobs = engines.blobs.clone();
        tasks.spawn(
            hand(RemoveFiles::TOPIC).run(leave.clone(), move |job| {
                let blobs = blobs.clone();
                async move {
                    remove_files::remove(&*blobs, RemoveFiles::read(&job).map_err(Failure::for_good)?).await
                }
            }),
        );
    }
}
