//! Likes in PostgreSQL, counted in slots, so that many at once do not wait for one row.

use std::collections::HashSet;

use async_trait::async_trait;

use super::errors::refused;
use super::link::Statement;
use super::{PostgresStore, count, get, numbers};
use crate::clock::Time;
use crate::ids::{PhotoId, UserId};
use crate::ports::position::Positions;
use crate::ports::store::{Liked, Likes, PAGE_MAX, StoreError, StoreResult};

/// Slots of one photo. A user's likes and unlikes go to the same one, so that none becomes negative.
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

fn slot(user: UserId) -> i64 {
    user.to_sql().rem_euclid(SLOTS)
}
