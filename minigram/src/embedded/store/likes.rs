//! Likes in SQLite, with the slots that databases with many writers need, so that the tables are the same.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use sqlx::{Row, Sqlite, Transaction};

use super::{SqliteStore, commit, count, failed, list, refused};
use crate::clock::Time;
use crate::ids::{PhotoId, UserId};
use crate::ports::position::Positions;
use crate::ports::store::{Liked, Likes, NewLike, PAGE_MAX, StoreError, StoreResult};
use crate::ports::{Retriable, Retry};

/// Slots of one photo. A user's likes and unlikes go to the same one, so that none becomes negative.
const SLOTS: i64 = 64;

#[async_trait]
impl Likes for SqliteStore {
    async fn like(&self, user: UserId, photo: PhotoId, now: Time) -> StoreResult<Liked> {
        let mut write = self.write().await?;
        let changed = add(&mut write, NewLike { user, photo, created: now }).await?;
        Ok(Liked { position: commit(write).await?, changed })
    }

    async fn like_many(&self, likes: &[NewLike]) -> Vec<StoreResult<Liked>> {
        let likes = &likes[..likes.len().min(PAGE_MAX as usize)];
        match self.add_all(likes).await {
            Ok(added) => added,
            Err(error) => likes.iter().map(|_| Err(same(&error))).collect(),
        }
    }

    async fn unlike(&self, user: UserId, photo: PhotoId) -> StoreResult<Liked> {
        let mut write = self.write().await?;
        let rows = sqlx::query("DELETE FROM likes WHERE photo = ? AND user = ?")
            .bind(photo.to_sql())
            .bind(user.to_sql())
            .execute(&mut *write)
            .await
            .map_err(failed)?
            .rows_affected();
        count_in_slot(&mut write, user, photo, rows, -1).await?;
        Ok(Liked { position: commit(write).await?, changed: rows > 0 })
    }

    async fn like_counts(&self, photos: &[PhotoId], after: &Positions) -> StoreResult<Vec<u64>> {
        let rows = sqlx::query(
            "SELECT photo, SUM(likes) FROM like_slots
             WHERE photo IN (SELECT value FROM json_each(?)) GROUP BY photo",
        );
        let rows = rows
            .bind(list(photos.iter().map(|id| id.to_sql())))
            .fetch_all(self.read(after).await?)
            .await
            .map_err(failed)?;
        let counts: HashMap<i64, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let of = |id: &PhotoId| counts.get(&id.to_sql()).copied().map_or(0, count);
        Ok(photos.iter().take(PAGE_MAX as usize).map(of).collect())
    }

    async fn likes(&self, user: UserId, photos: &[PhotoId], after: &Positions) -> StoreResult<Vec<bool>> {
        let rows = sqlx::query(
            "SELECT photo FROM likes WHERE photo IN (SELECT value FROM json_each(?)) AND user = ?",
        );
        let rows = rows
            .bind(list(photos.iter().map(|id| id.to_sql())))
            .bind(user.to_sql())
            .fetch_all(self.read(after).await?)
            .await
            .map_err(failed)?;
        let liked: HashSet<i64> = rows.iter().map(|row| row.get(0)).collect();
        Ok(photos.iter().take(PAGE_MAX as usize).map(|id| liked.contains(&id.to_sql())).collect())
    }
}

impl SqliteStore {
    async fn add_all(&self, likes: &[NewLike]) -> StoreResult<Vec<StoreResult<Liked>>> {
        let mut write = self.write().await?;
        let mut added = Vec::with_capacity(likes.len());
        for like in likes {
            match add(&mut write, *like).await {
                // SQLite undoes the statement alone, and the transaction goes on.
                Err(StoreError::NoSuchPhoto) => added.push(Err(StoreError::NoSuchPhoto)),
                Err(error) => return Err(error),
                Ok(changed) => added.push(Ok(changed)),
            }
        }
        let position = commit(write).await?;
        Ok(added.into_iter().map(|one| one.map(|changed| Liked { position, changed })).collect())
    }
}

/// Adds a like, and says whether it was not there.
async fn add(write: &mut Transaction<'static, Sqlite>, like: NewLike) -> StoreResult<bool> {
    // Not `INSERT OR IGNORE`, so that a photo that does not exist is an error.
    let rows = sqlx::query(
        "INSERT INTO likes (photo, user, created) VALUES (?, ?, ?) ON CONFLICT (photo, user) DO NOTHING",
    )
    .bind(like.photo.to_sql())
    .bind(like.user.to_sql())
    .bind(like.created.to_sql())
    .execute(&mut **write)
    .await
    .map_err(|error| refused(error, StoreError::NoSuchPhoto))?
    .rows_affected();
    count_in_slot(write, like.user, like.photo, rows, 1).await?;
    Ok(rows > 0)
}

async fn count_in_slot(
    write: &mut Transaction<'static, Sqlite>,
    user: UserId,
    photo: PhotoId,
    rows: u64,
    change: i64,
) -> StoreResult<()> {
    if rows > 0 {
        sqlx::query(
            "INSERT INTO like_slots (photo, slot, likes) VALUES (?1, ?2, ?3)
             ON CONFLICT (photo, slot) DO UPDATE SET likes = likes + ?3",
        )
        .bind(photo.to_sql())
        .bind(user.to_sql().rem_euclid(SLOTS))
        .bind(change)
        .execute(&mut **write)
        .await
        .map_err(failed)?;
    }
    Ok(())
}

/// The error of a transaction, once more for each of its likes.
fn same(error: &StoreError) -> StoreError {
    match error.retry() {
        Retry::Soon => StoreError::Unavailable(error.to_string().into()),
        Retry::Never => StoreError::Failed(error.to_string().into()),
    }
}
