//! Likes in PostgreSQL, counted in slots, so that many at once do not wait for one row.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;

use super::PostgresStore;
use super::errors::refused;
use super::link::Statement;
use super::rows::{count, get, numbers};
use super::write::Write;
use crate::clock::Time;
use crate::ids::{PhotoId, Shard, UserId};
use crate::ports::position::Positions;
use crate::ports::store::{Liked, Likes, NewLike, PAGE_MAX, StoreError, StoreResult};
use crate::ports::{Retriable, Retry};

/// Slots of one photo, a power of two. A user's likes and unlikes go to the same one, so that none becomes negative.
const SLOTS: i64 = 64;

#[async_trait]
impl Likes for PostgresStore {
    async fn like(&self, user: UserId, photo: PhotoId, now: Time) -> StoreResult<Liked> {
        let mut write = self.shared.begin(photo.shard()).await?;
        let like = Statement::new(
            "WITH added AS (
                 INSERT INTO likes (photo, user_id, created) VALUES ($1, $2, $4)
                 ON CONFLICT (photo, user_id) DO NOTHING RETURNING photo)
             INSERT INTO like_slots (photo, slot, likes) SELECT photo, $3, 1 FROM added
             ON CONFLICT (photo, slot) DO UPDATE SET likes = like_slots.likes + 1 RETURNING slot",
        );
        let like = like.int(photo.to_sql()).int(user.to_sql()).int(slot(user)).int(now.to_sql());
        let changed = write.run(like).await.map_err(|error| refused(error, StoreError::NoSuchPhoto))?;
        Ok(Liked { position: write.commit().await?, changed: !changed.is_empty() })
    }

    async fn like_many(&self, likes: &[NewLike]) -> Vec<StoreResult<Liked>> {
        let likes = &likes[..likes.len().min(PAGE_MAX as usize)];
        let mut results: BTreeMap<usize, StoreResult<Liked>> = BTreeMap::new();
        let mut left: Vec<(usize, NewLike)> = likes.iter().copied().enumerate().collect();
        while let Some((_, first)) = left.first() {
            let first = first.photo.shard();
            let others: Vec<Shard> = left.iter().map(|(_, like)| like.photo.shard()).collect();
            let begun = self.shared.begin_with(first, &others).await;
            let map = self.shared.map.now();
            let is_here = |shard: Shard| match &begun {
                Ok((_, shards)) => shards.contains(&shard),
                Err(_) => map.database_of(shard) == map.database_of(first),
            };
            let (here, elsewhere): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|(_, like)| is_here(like.photo.shard()));
            let added = match begun {
                Ok((write, _)) => add_all(write, &here).await,
                Err(error) => Err(error),
            };
            match added {
                Ok(added) => results.extend(here.iter().map(|(place, _)| *place).zip(added)),
                Err(error) => results.extend(here.iter().map(|(place, _)| (*place, Err(same(&error))))),
            }
            left = elsewhere;
        }
        results.into_values().collect()
    }

    async fn unlike(&self, user: UserId, photo: PhotoId) -> StoreResult<Liked> {
        let mut write = self.shared.begin(photo.shard()).await?;
        let unlike = Statement::new(
            "WITH removed AS (DELETE FROM likes WHERE photo = $1 AND user_id = $2 RETURNING photo)
             UPDATE like_slots SET likes = likes - 1 FROM removed
             WHERE like_slots.photo = removed.photo AND slot = $3 RETURNING slot",
        );
        let unlike = unlike.int(photo.to_sql()).int(user.to_sql()).int(slot(user));
        let changed = write.run(unlike).await?;
        Ok(Liked { position: write.commit().await?, changed: !changed.is_empty() })
    }

    async fn like_counts(&self, photos: &[PhotoId], after: &Positions) -> StoreResult<Vec<u64>> {
        let sum = |ids| {
            Statement::new(
                "SELECT photo, sum(likes)::bigint FROM like_slots WHERE photo = ANY($1) GROUP BY photo",
            )
            .ints(ids)
        };
        let rows = self.shared.read_many(photos.iter().map(|id| id.to_sql()), after, sum).await?;
        let counts = numbers(&rows)?;
        let of = |id: &PhotoId| counts.get(&id.to_sql()).copied().map_or(0, count);
        Ok(photos.iter().take(PAGE_MAX as usize).map(of).collect())
    }

    async fn likes(&self, user: UserId, photos: &[PhotoId], after: &Positions) -> StoreResult<Vec<bool>> {
        let find = |ids| {
            Statement::new("SELECT photo FROM likes WHERE photo = ANY($1) AND user_id = $2")
                .ints(ids)
                .int(user.to_sql())
        };
        let rows = self.shared.read_many(photos.iter().map(|id| id.to_sql()), after, find).await?;
        let liked: HashSet<i64> = rows.iter().map(|row| get(row, 0)).collect::<StoreResult<_>>()?;
        Ok(photos.iter().take(PAGE_MAX as usize).map(|id| liked.contains(&id.to_sql())).collect())
    }
}

/// Adds likes to one database. Rows are locked in the order of their keys, so that batches do not wait for each other
/// in a circle.
async fn add_all(mut write: Write, likes: &[(usize, NewLike)]) -> StoreResult<Vec<StoreResult<Liked>>> {
    // The lock keeps the photos from being deleted meanwhile.
    let lock = Statement::new("SELECT id FROM photos WHERE id = ANY($1) ORDER BY id FOR KEY SHARE")
        .ints(likes.iter().map(|(_, like)| like.photo.to_sql()).collect());
    let rows = write.run(lock).await?;
    let known: HashSet<i64> = rows.iter().map(|row| get(row, 0)).collect::<StoreResult<_>>()?;
    let known = |like: &NewLike| known.contains(&like.photo.to_sql());
    let new: Vec<&NewLike> = likes.iter().map(|(_, like)| like).filter(|like| known(like)).collect();
    let add = Statement::new(
        "WITH added AS (
             INSERT INTO likes (photo, user_id, created)
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS new (photo, user_id, created)
             ORDER BY photo, user_id ON CONFLICT (photo, user_id) DO NOTHING RETURNING photo, user_id),
         counted AS (
             INSERT INTO like_slots (photo, slot, likes)
             SELECT photo, user_id & ($4 - 1), count(*) FROM added GROUP BY 1, 2 ORDER BY 1, 2
             ON CONFLICT (photo, slot) DO UPDATE SET likes = like_slots.likes + EXCLUDED.likes)
         SELECT photo, user_id FROM added",
    )
    .ints(new.iter().map(|like| like.photo.to_sql()).collect())
    .ints(new.iter().map(|like| like.user.to_sql()).collect())
    .ints(new.iter().map(|like| like.created.to_sql()).collect())
    .int(SLOTS);
    let rows = write.run(add).await?;
    let position = write.commit().await?;
    let mut added: HashSet<(i64, i64)> =
        rows.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?))).collect::<StoreResult<_>>()?;
    let result = |(_, like): &(usize, NewLike)| match known(like) {
        true => Ok(Liked { position, changed: added.remove(&(like.photo.to_sql(), like.user.to_sql())) }),
        false => Err(StoreError::NoSuchPhoto),
    };
    Ok(likes.iter().map(result).collect())
}

/// The error of a database, for one of the likes that it fails.
fn same(error: &StoreError) -> StoreError {
    match error.retry() {
        Retry::Soon => StoreError::Unavailable(error.to_string().into()),
        Retry::Never => StoreError::Failed(error.to_string().into()),
    }
}

fn slot(user: UserId) -> i64 {
    user.to_sql().rem_euclid(SLOTS)
}
