//! Photos in PostgreSQL.

use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::errors::refused;
use super::link::Statement;
use super::rows::{count, get, page};
use crate::clock::Time;
use crate::ids::{PhotoId, UserId};
use crate::media::MediaType;
use crate::ports::position::{Position, Positions};
use crate::ports::queue::NewJob;
use crate::ports::store::{Caption, NewPhoto, PAGE_MAX, Photo, PhotoState, Photos, StoreError, StoreResult};
use crate::text::Malformed;

#[async_trait]
impl Photos for PostgresStore {
    async fn add_photo(&self, photo: &NewPhoto, jobs: &[NewJob]) -> StoreResult<Position> {
        let mut write = self.shared.begin(photo.id.shard()).await?;
        if let Some(once) = &photo.once {
            write = write.first_time(once, &photo.post()).await?;
        }
        let add = Statement::new(
            "WITH added AS (
                 INSERT INTO photos (id, author, caption, media, bytes, created)
                 VALUES ($1, $2, $3, $4, $5, $6) RETURNING author)
             UPDATE users SET photos = photos + 1 FROM added WHERE id = added.author",
        )
        .int(photo.id.to_sql())
        .int(photo.author.to_sql())
        .text(photo.caption.as_str())
        .text(photo.media.extension())
        .int(i64::try_from(photo.bytes).unwrap_or(i64::MAX))
        .int(photo.created.to_sql());
        write.run(add).await.map_err(|error| refused(error, StoreError::NoSuchUser))?;
        write.add_jobs(jobs).await?;
        write.commit().await
    }

    async fn set_ready(&self, id: PhotoId) -> StoreResult<Position> {
        let mut write = self.shared.begin(id.shard()).await?;
        let set =
            Statement::new("UPDATE photos SET ready = TRUE WHERE id = $1 RETURNING id").int(id.to_sql());
        if write.run(set).await?.is_empty() {
            return Err(StoreError::NoSuchPhoto);
        }
        write.commit().await
    }

    async fn delete_photo(&self, id: PhotoId, jobs: &[NewJob]) -> StoreResult<Position> {
        let mut write = self.shared.begin(id.shard()).await?;
        let delete = Statement::new(
            "WITH deleted AS (DELETE FROM photos WHERE id = $1 RETURNING author)
             UPDATE users SET photos = photos - 1 FROM deleted WHERE id = deleted.author RETURNING id",
        );
        if write.run(delete.int(id.to_sql())).await?.is_empty() {
            return Err(StoreError::NoSuchPhoto);
        }
        write.add_jobs(jobs).await?;
        write.commit().await
    }

    async fn photo(&self, id: PhotoId, after: &Positions) -> StoreResult<Option<Photo>> {
        let find = Statement::new("SELECT * FROM photos WHERE id = $1").int(id.to_sql());
        let rows = self.shared.read(id.shard(), find, after).await?;
        rows.first().map(photo).transpose()
    }

    async fn photos(&self, ids: &[PhotoId], after: &Positions) -> StoreResult<Vec<Photo>> {
        let find = |ids| Statement::new("SELECT * FROM photos WHERE id = ANY($1)").ints(ids);
        let rows = self.shared.read_many(ids.iter().map(|id| id.to_sql()), after, find).await?;
        let mut found = HashMap::new();
        for row in &rows {
            let photo = photo(row)?;
            found.insert(photo.id, photo);
        }
        Ok(ids.iter().take(PAGE_MAX as usize).filter_map(|id| found.get(id).cloned()).collect())
    }

    async fn processing(&self, posted: Time, from: Option<PhotoId>, limit: u32) -> StoreResult<Vec<Photo>> {
        // Of a shard that moves, only the rows that count.
        let find = Statement::new(
            "SELECT * FROM photos WHERE NOT ready AND created < $1 AND id > $2
             AND ((id >> 16) & 63) IN (SELECT shard FROM shards WHERE state IN ('open', 'fenced'))
             ORDER BY id LIMIT $3",
        )
        .int(posted.to_sql())
        .int(from.map_or(0, PhotoId::to_sql))
        .int(page(limit));
        let mut photos = Vec::new();
        for database in &self.shared.databases {
            let rows = database.primary().await?.run(find.clone()).await?;
            for row in &rows {
                photos.push(photo(row)?);
            }
        }
        photos.sort_by_key(|photo| photo.id);
        photos.truncate(limit.min(PAGE_MAX) as usize);
        Ok(photos)
    }

    async fn photos_by(
        &self,
        authors: &[UserId],
        before: Option<PhotoId>,
        limit: u32,
        after: &Positions,
    ) -> StoreResult<Vec<Photo>> {
        // The index is by author, so each author is asked for the newest ones, and these are merged.
        let find = |ids| {
            Statement::new(
                "SELECT newest.* FROM (SELECT DISTINCT unnest($1::bigint[]) AS author) AS authors,
                 LATERAL (SELECT * FROM photos WHERE photos.author = authors.author AND id < $2
                          ORDER BY id DESC LIMIT $3) AS newest
                 ORDER BY id DESC LIMIT $3",
            )
            .ints(ids)
            .int(before.map_or(i64::MAX, PhotoId::to_sql))
            .int(page(limit))
        };
        let rows = self.shared.read_many(authors.iter().map(|id| id.to_sql()), after, find).await?;
        let mut photos: Vec<Photo> = rows.iter().map(photo).collect::<StoreResult<_>>()?;
        photos.sort_by_key(|photo| std::cmp::Reverse(photo.id));
        photos.truncate(limit.min(PAGE_MAX) as usize);
        Ok(photos)
    }
}

fn photo(row: &PgRow) -> StoreResult<Photo> {
    let malformed = |error: Malformed| StoreError::Failed(error.into());
    let media: &str = get(row, "media")?;
    let unknown = || StoreError::Failed(format!("photo of unknown type `{media}`").into());
    Ok(Photo {
        id: PhotoId::from_sql(get(row, "id")?),
        author: UserId::from_sql(get(row, "author")?),
        caption: Caption::new(get(row, "caption")?).map_err(malformed)?,
        media: MediaType::of_extension(media).ok_or_else(unknown)?,
        bytes: count(get(row, "bytes")?),
        state: if get(row, "ready")? { PhotoState::Ready } else { PhotoState::Processing },
        created: Time::from_sql(get(row, "created")?),
    })
}
