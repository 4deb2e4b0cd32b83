//! Jobs of the topic `fan-out`: a photo into the feeds of its author's followers, and what was cached of these feeds
//! read anew.

use std::collections::HashMap;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::domain::feeds::HomeFeeds;
use crate::domain::jobs::{Failure, FanOut};
use crate::domain::views::{first_of_feed, keys};
use crate::engines::Engines;
use crate::ids::{Shard, UserId};
use crate::ports::cache::Outdated;
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
        refresh(engines, feeds, &followers).await?;
    }
}

/// Reads the cached feeds of these users anew. What is cached next is not older than the push.
async fn refresh(engines: &Engines, feeds: &HomeFeeds, followers: &[UserId]) -> Result<(), Failure> {
    let mut shards: Vec<Shard> = followers.iter().map(|follower| follower.shard()).collect();
    shards.sort_unstable();
    shards.dedup();
    let reached = |shard: Shard| async move {
        let reached = engines.store.reached(shard).await.map_err(Failure::again)?;
        Ok::<_, Failure>((shard, reached))
    };
    let reached: HashMap<Shard, Position> =
        stream::iter(shards.into_iter().map(reached)).buffer_unordered(CALLS).try_collect().await?;
    let refresh = |follower: UserId| {
        let written = reached.get(&follower.shard()).copied();
        async move {
            let Some(written) = written else { return Ok(()) };
            refresh_one(engines, feeds, follower, written).await
        }
    };
    let calls = stream::iter(followers.iter().copied().map(refresh));
    calls.buffer_unordered(CALLS).try_collect::<Vec<()>>().await.map(drop)
}

/// Of a user who is about, so that the next look finds the feed. That of another user is not in the cache, and is not read.
async fn refresh_one(
    engines: &Engines,
    feeds: &HomeFeeds,
    follower: UserId,
    written: Position,
) -> Result<(), Failure> {
    let (cache, key) = (&engines.cache, keys::feed(follower));
    let Some(Outdated { fill, left }) = cache.outdate(&key, written).await.map_err(Failure::again)? else {
        return Ok(());
    };
    let filled = match first_of_feed(feeds, follower, &fill.after).await {
        // Refused if a later write has outdated it again, whose job reads it then.
        Ok(feed) => cache.fill(&fill, feed, left).await.map(drop),
        // The user who looks next reads it, and fails if the store still does.
        Err(_) => cache.invalidate(&key, written).await,
    };
    filled.map_err(Failure::again)
}
