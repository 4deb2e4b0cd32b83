//! Reading many values through a cache, with one fetch for all that are missing.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use tracing::Instrument;

use super::{Cache, Fill, Found, Key, Positions, read_through};

/// Why a single value is not there.
enum Lack<E> {
    Absent,
    Failed(E),
}

/// The values of `keys` in this order, from the cache, or else from `fetch`; `None` for what `fetch` does not find.
///
/// `fetch` is given the places in `keys` of what is missing, and what its read must not be behind. It returns as many
/// values, in this order. They are kept for `ttl`. What another caller is fetching is waited for, as
/// [`read_through()`] does.
///
/// # Errors
/// What `fetch` fails with.
pub async fn read_many<E, F, W>(
    cache: &Arc<dyn Cache>,
    keys: &[Key],
    ttl: Duration,
    fetch: F,
) -> Result<Vec<Option<Bytes>>, E>
where
    E: Send + 'static,
    F: Fn(Vec<usize>, Positions) -> W + Clone + Send + Sync + 'static,
    W: Future<Output = Result<Vec<Option<Bytes>>, E>> + Send + 'static,
{
    let mut values: Vec<Option<Bytes>> = vec![None; keys.len()];
    let (mut missing, mut aging, mut others, mut unknown) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (place, found) in cache.look_many(keys).await.into_iter().enumerate() {
        match found {
            Ok(Found::Fresh(value)) => values[place] = Some(value),
            Ok(Found::Aging(value, fill)) => {
                values[place] = Some(value);
                aging.push((place, fill));
            }
            Ok(Found::Missing(fill)) => missing.push((place, fill)),
            Ok(Found::Fetching(_)) => others.push(place),
            Err(_) => unknown.push(place),
        }
    }
    if !aging.is_empty() {
        tokio::spawn(fetch_and_fill(Arc::clone(cache), aging, ttl, fetch.clone()).in_current_span());
    }
    if !missing.is_empty() {
        // It goes on when its caller goes away, because others wait for it.
        let task =
            tokio::spawn(fetch_and_fill(Arc::clone(cache), missing, ttl, fetch.clone()).in_current_span());
        let fetched = task.await.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => unreachable!("nothing cancels the task while its caller runs"),
        });
        fetched?.into_iter().for_each(|(place, value)| values[place] = value);
    }
    if !unknown.is_empty() {
        let fetched = fetch(unknown.clone(), Positions::none()).await?;
        unknown.into_iter().zip(fetched).for_each(|(place, value)| values[place] = value);
    }
    let waits = others.into_iter().map(|place| wait(cache, &keys[place], place, ttl, fetch.clone()));
    for (place, value) in try_join_all(waits).await? {
        values[place] = value;
    }
    Ok(values)
}

/// The value that another caller is fetching.
async fn wait<E, F, W>(
    cache: &Arc<dyn Cache>,
    key: &Key,
    place: usize,
    ttl: Duration,
    fetch: F,
) -> Result<(usize, Option<Bytes>), E>
where
    E: Send + 'static,
    F: Fn(Vec<usize>, Positions) -> W + Send + Sync + 'static,
    W: Future<Output = Result<Vec<Option<Bytes>>, E>> + Send + 'static,
{
    let one = move |after| async move {
        let fetched = fetch(vec![place], after).await.map_err(Lack::Failed)?;
        fetched.into_iter().next().flatten().ok_or(Lack::Absent)
    };
    match read_through(cache, key, ttl, one).await {
        Ok(value) => Ok((place, Some(value))),
        Err(Lack::Absent) => Ok((place, None)),
        Err(Lack::Failed(error)) => Err(error),
    }
}

async fn fetch_and_fill<E, F, W>(
    cache: Arc<dyn Cache>,
    fills: Vec<(usize, Fill)>,
    ttl: Duration,
    fetch: F,
) -> Result<Vec<(usize, Option<Bytes>)>, E>
where
    F: Fn(Vec<usize>, Positions) -> W,
    W: Future<Output = Result<Vec<Option<Bytes>>, E>>,
{
    let mut after = Positions::none();
    fills.iter().for_each(|(_, fill)| after.merge(&fill.after));
    let fetched = fetch(fills.iter().map(|(place, _)| *place).collect(), after).await;
    let values = fetched.as_ref().map_or(&[][..], Vec::as_slice);
    // Without the cache the values are as good, and the next caller fetches again.
    join_all(fills.iter().enumerate().map(|(n, (_, fill))| {
        let (cache, value) = (&cache, values.get(n).cloned().flatten());
        async move {
            match value {
                Some(value) => drop(cache.fill(fill, value, ttl).await),
                None => drop(cache.release(fill).await),
            }
        }
    }))
    .await;
    Ok(fills.into_iter().map(|(place, _)| place).zip(fetched?).collect())
}
