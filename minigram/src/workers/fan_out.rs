//! Jobs of the topic `fan-out`: a photo into the feeds of its author's followers, and what was cached of these feeds
//! dropped.

use std::collections::HashMap;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::domain::feeds::HomeFeeds;
use crate::domain::jobs::{Failure, FanOut};
use crate::domain::views::keys;
use crate::engines::Engines;
use crate::ids::{Shard, UserId};
use crate::ports::position::Position;

/// Calls to store and cache on their way at once, of one job.
const CALLS: usize = 16;

/// Pushes page by page.
///
/// # Errors
/// The engines fail; some followers may have the photo then.
pub async fn fan_out(engines: &Engines, feeds: &HomeFeeds, job: FanOut) -> Result<(), Failure> {
    let mut last = None;
    loop {
        let followers = feeds.fan_out_page(job, last).await.map_err(Failure::again)?;
        let Some(end) = followers.last() else { return Ok(()) };
        last = Some(*end);
        forget(engines, &followers).await?;
    }
}

/// Drops the cached feeds of these users. What is cached next is not older than the push.
async fn forget(engines: &Engines, followers: &[UserId]) -> Result<(), Failure> {
    let mut shards: Vec<Shard> = followers.iter().map(|follower| follower.shard()).collect();
    shards.sort_unstable();
    shards.dedup();
    let reached = |shard: Shard| async move {
        let reached = engines.store.reached(shard).await.map_err(Failure::again)?;
        Ok::<_, Failure>((shard, reached))
    };
    let reached: HashMap<Shard, Position> =
        stream::iter(shards.into_iter().map(reached)).buffer_unordered(CALLS).try_collect().await?;
    let forget = |follower: UserId| {
        let written = reached.get(&follower.shard()).copied();
        async move {
            let Some(written) = written else { return Ok(()) };
            engines.cache.invalidate(&keys::feed(follower), written).await.map_err(Failure::again)
        }
    };
    let calls = stream::iter(followers.iter().copied().map(forget));
    calls.buffer_unordered(CALLS).try_collect::<Vec<()>>().await.map(drop)
}
