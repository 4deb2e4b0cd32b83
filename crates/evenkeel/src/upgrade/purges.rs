//! Purges after an upgrade: what the old process purges while it finishes its requests is purged in the new one as well.

use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;

use evenkeel_net::Channel;
use evenkeel_proxy::{CacheStore, OutgoingPurges};

use super::message::{Message, receive, send};

/// Between two looks whether the new process is still there.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long to wait for the next purges at a time.
const WAIT: Duration = Duration::from_secs(60);

/// Sends the new process what is purged here, until this process ends.
pub fn send_all(channel: Channel, purges: Option<OutgoingPurges>) {
    let Some(purges) = purges else { return };
    let run = move || {
        while let Some(some) = purges.next(LOOK_EVERY) {
            let is_there = receive(&channel, Duration::ZERO).map(drop);
            if some.is_empty() && is_there.is_err() {
                // From here on, requests to purge are refused.
                drop(purges);
                tracing::info!(
                    "the new process has ended: what this one purges from its cache is purged nowhere else any more"
                );
                return;
            }
            if some.is_empty() {
                continue;
            }
            if let Err(error) = is_there.and_then(|()| send(&channel, &Message::Purged(some), &[])) {
                tracing::warn!(%error, "the new process does not learn what this one purges from its cache");
                return;
            }
        }
    };
    // Without a thread, requests to purge are refused.
    drop(Builder::new().name("upgrade-purges".into()).spawn(run));
}

/// Purges what the old process purges, until that ends.
pub fn take_all(channel: Arc<Channel>, cache: Arc<CacheStore>) {
    let run = move || {
        loop {
            match receive(&channel, WAIT) {
                Ok(Some((Message::Purged(some), _))) => some.iter().for_each(|purge| cache.take_purge(purge)),
                Ok(_) => {}
                Err(_) => return,
            }
        }
    };
    // Without a thread, the channel is closed, and the old process refuses requests to purge.
    drop(Builder::new().name("upgrade-purges".into()).spawn(run));
}
