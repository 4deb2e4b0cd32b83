//! Relays: they bring jobs from the outbox of the store into the queue.

use std::sync::Arc;

use tokio::time::timeout;

use super::metrics::Metrics;
use super::pause::Pause;
use super::settings::WorkerSettings;
use crate::domain::jobs::relay;
use crate::engines::Engines;
use crate::leave::Leave;

/// Relays until leaving is requested. Any number may run, in any number of processes.
pub async fn run(engines: Engines, settings: Arc<WorkerSettings>, metrics: Arc<Metrics>, mut leave: Leave) {
    let mut pause = Pause::new();
    while !leave.is_requested() {
        match relay(&*engines.store, &*engines.queue).await {
            Ok(sent) => {
                pause.over();
                metrics.relayed(sent);
                if sent == 0 {
                    drop(timeout(settings.relay_every, leave.requested()).await);
                }
            }
            // What was not sent stays in the outbox; its lease ends, and a relay takes it again.
            Err(error) => pause.after(&error, "the outbox was not emptied", "outbox", &mut leave).await,
        }
    }
}
