//! Photos in SQLite.

use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{SqliteStore, add_jobs, commit, count, failed, list, page, refused};
use crate::clock::Time;
use crate::ids::{PhotoId, UserId};
use crate::media::MediaType;
use crate::ports::position::{Position, Positions};
use crate::ports::queue::NewJob;
use crate::ports::store::{Caption, NewPhoto, Photo, PhotoState, Photos, StoreError, StoreResult};
use crate::text::Malformed;

#[async_trait]
impl Photos for SqliteStore {
    async fn add_photo(&self, photo: &NewPhoto, jobs: &[NewJob]) -> StoreResult<Position> {
        let mut write = self.write().await?;
        if let Some(once) = &photo.once {
            write = self.first_time(write, once, &photo.post()).await?;
        }
        sqlx::query(
            "INSERT INTO photos (id, author, caption, media, bytes, created) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(photo.id.to_sql())
        .bind(photo.author.to_sql())
        .bind(photo.caption.as_str())
        .bind(photo.media.extension())
        .bind(i64::try_from(photo.bytes).unwrap_or(i64::MAX))
        .bind(photo.created.to_sql())
        .execute(&mut *write)
        .await
        .map_err(|error| refused(error, StoreError::NoSuchUser))?;
        sqlx::query("UPDATE users SET photos = photos + 1 WHERE id = ?")
            .bind(photo.author.to_sql())
            .execute(&mut *write)
            .await
            .map_err(failed)?;
        add_jobs(&mut write, jobs).await?;
        commit(write).await
    }

    async fn set_ready(&self, id: PhotoId) -> StoreResult<Position> {
        let mut write = self.write().await?;
        let changed = sqlx::query("UPDATE photos SET ready = 1 WHERE id = ?").bind(id.to_sql());
        if changed.execute(&mut *write).await.map_err(failed)?.rows_affected() == 0 {
            return Err(StoreError::NoSuchPhoto);
        }
        commit(write).await
    }

    async fn delete_photo(&self, id: PhotoId, jobs: &[NewJob]) -> StoreResult<Position> {
        let mut write = self.write().await?;
        let author = sqlx::query("DELETE FROM photos WHERE id = ? RETURNING author").bind(id.to_sql());
        let author = author.fetch_optional(&mut *write).await.map_err(failed)?;
        let author: i64 = author.ok_or(StoreError::NoSuchPhoto)?.get(0);
        sqlx::query("UPDATE users SET photos = photos - 1 WHERE id = ?")
            .bind(author)
            .execute(&mut *write)
            .await
            .map_err(failed)?;
        add_jobs(&mut write, jobs).await?;
        commit(write).await
    }

    async fn photo(&self, id: PhotoId, after: &Positions) -> StoreResult<Option<Photo>> {
        let row = sqlx::query("SELECT * FROM photos WHERE id = ?").bind(id.to_sql());
        let row = row.fetch_optional(self.read(after).await?).await.map_err(failed)?;
        row.as_ref().map(photo).transpose()
    }

    async fn photos(&self, ids: &[PhotoId], after: &Positions) -> StoreResult<Vec<Photo>> {
        let rows = sqlx::query("SELECT * FROM photos WHERE id IN (SELECT value FROM json_each(?))")
            .bind(list(ids.iter().map(|id| id.to_sql())))
            .fetch_all(self.read(after).await?)
            .await
            .map_err(failed)?;
        let mut found = HashMap::new();
        for row in &rows {
            let photo = photo(row)?;
            found.insert(photo.id, photo);
        }
        Ok(ids.iter().filter_map(|id| found.get(id).cloned()).collect())
    }

    async fn processing(&self, posted: Time, from: Option<PhotoId>, limit: u32) -> StoreResult<Vec<Photo>> {
        let rows = sqlx::query(
            "SELECT * FROM photos WHERE ready = 0 AND created < ? AND id > ? ORDER BY id LIMIT ?",
        );
        let rows = rows
            .bind(posted.to_sql())
            .bind(from.map_or(0, PhotoId::to_sql))
            .bind(page(limit))
            .fetch_all(self.database.readers())
            .await
            .map_err(failed)?;
        rows.iter().map(photo).collect()
    }

    async fn photos_by(
        &self,
        authors: &[UserId],
        before: Option<PhotoId>,
        limit: u32,
        after: &Positions,
    ) -> StoreResult<Vec<Photo>> {
        let rows = sqlx::query(
            "SELECT * FROM photos WHERE author IN (SELECT value FROM json_each(?)) AND id < ?
             ORDER BY id DESC LIMIT ?",
        );
        let rows = rows
            .bind(list(authors.iter().map(|id| id.to_sql())))
            .bind(before.map_or(i64::MAX, PhotoId::to_sql))
            .bind(page(limit))
            .fetch_all(self.read(after).await?)
            .await
            .map_err(failed)?;
        rows.iter().map(photo).collect()
    }
}

fn photo(row: &SqliteRow) -> StoreResult<Photo> {
    let malformed = |error: Malformed| StoreError::Failed(error.into());
    let media: &str = row.get("media");
    let unknown = || StoreError::Failed(format!("photo of unknown type `{media}`").into());
    Ok(Photo {
        id: PhotoId::from_sql(row.get("id")),
        author: UserId::from_sql(row.get("author")),
        caption: Caption::new(row.get("caption")).map_err(malformed)?,
        media: MediaType::of_extension(media).ok_or_else(unknown)?,
        bytes: count(row.get("bytes")),
        state: if row.get("ready") { PhotoState::Ready } else { PhotoState::Processing },
        created: Time::from_sql(row.get("created")),
    })
}
