//! Reading through a cache: one fetch for many callers, and a refresh before the value expires.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};
use tracing::Instrument;

use super::{Cache, FETCH_TIME, Fill, Found, Key, Positions};

const POLL_FIRST: Duration = Duration::from_millis(2);
const POLL_MAX: Duration = Duration::from_millis(50);

/// The value from the cache, or else from `fetch`, which is given what its read must not be behind. The value is
/// kept for `ttl`.
///
/// A fetch goes on when its caller goes away, because others wait for it. Callers wait for another's fetch for at
/// most [`FETCH_TIME`], and then fetch for themselves. If the cache is unavailable, every caller fetches.
///
/// # Errors
/// What `fetch` fails with.
pub async fn read_through<E, F, W>(
    cache: &Arc<dyn Cache>,
    key: &Key,
    ttl: Duration,
    fetch: F,
) -> Result<Bytes, E>
where
    E: Send + 'static,
    F: FnOnce(Positions) -> W + Send + 'static,
    W: Future<Output = Result<Bytes, E>> + Send + 'static,
{
    let deadline = Instant::now() + FETCH_TIME;
    let mut pause = POLL_FIRST;
    loop {
        match cache.look(key).await {
            Ok(Found::Fresh(value)) => return Ok(value),
            Ok(Found::Aging(value, fill)) => {
                tokio::spawn(fetch_and_fill(Arc::clone(cache), fill, ttl, fetch).in_current_span());
                return Ok(value);
            }
            Ok(Found::Missing(fill)) => {
                let task =
                    tokio::spawn(fetch_and_fill(Arc::clone(cache), fill, ttl, fetch).in_current_span());
                return task.await.unwrap_or_else(|error| match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => unreachable!("nothing cancels the task while its caller runs"),
                });
            }
            Ok(Found::Fetching(_)) if Instant::now() < deadline => {
                sleep(pause).await;
                pause = (pause * 2).min(POLL_MAX);
            }
            Ok(Found::Fetching(after)) => return fetch(after).await,
            Err(_) => return fetch(Positions::none()).await,
        }
    }
}

async fn fetch_and_fill<E, F, W>(
    cache: Arc<dyn Cache>,
    fill: Fill,
    ttl: Duration,
    fetch: F,
) -> Result<Bytes, E>
where
    F: FnOnce(Positions) -> W,
    W: Future<Output = Result<Bytes, E>>,
{
    let result = fetch(fill.after.clone()).await;
    // Without the cache the value is as good, and the next caller fetches again.
    match &result {
        Ok(value) => drop(cache.fill(&fill, value.clone(), ttl).await),
        Err(_) => drop(cache.release(&fill).await),
    }
    result
}
