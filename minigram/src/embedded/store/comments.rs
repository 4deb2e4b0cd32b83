//! Comments in SQLite.

use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{SqliteStore, add_jobs, commit, count, failed, list, page, refused};
use crate::clock::Time;
use crate::ids::{CommentId, PhotoId, UserId};
use crate::ports::position::{Position, Positions};
use crate::ports::queue::NewJob;
use crate::ports::store::{Comment, CommentText, Comments, NewComment, PAGE_MAX, StoreError, StoreResult};

#[async_trait]
impl Comments for SqliteStore {
    async fn add_comment(&self, comment: &NewComment, jobs: &[NewJob]) -> StoreResult<Position> {
        let mut write = self.write().await?;
        if let Some(once) = &comment.once {
            write = self.first_time(write, once, &comment.post()).await?;
        }
        sqlx::query("INSERT INTO comments (id, photo, author, text, created) VALUES (?, ?, ?, ?, ?)")
            .bind(comment.id.to_sql())
            .bind(comment.photo.to_sql())
            .bind(comment.author.to_sql())
            .bind(comment.text.as_str())
            .bind(comment.created.to_sql())
            .execute(&mut *write)
            .await
            .map_err(|error| refused(error, StoreError::NoSuchPhoto))?;
        add_jobs(&mut write, jobs).await?;
        commit(write).await
    }

    async fn delete_comment(&self, id: CommentId, author: UserId) -> StoreResult<Position> {
        let mut write = self.write().await?;
        sqlx::query("DELETE FROM comments WHERE id = ? AND author = ?")
            .bind(id.to_sql())
            .bind(author.to_sql())
            .execute(&mut *write)
            .await
            .map_err(failed)?;
        commit(write).await
    }

    async fn comments(
        &self,
        photo: PhotoId,
        before: Option<CommentId>,
        limit: u32,
        after: &Positions,
    ) -> StoreResult<Vec<Comment>> {
        let rows = sqlx::query("SELECT * FROM comments WHERE photo = ? AND id < ? ORDER BY id DESC LIMIT ?")
            .bind(photo.to_sql())
            .bind(before.map_or(i64::MAX, CommentId::to_sql))
            .bind(page(limit))
            .fetch_all(self.read(after).await?)
            .await
            .map_err(failed)?;
        rows.iter().map(comment).collect()
    }

    async fn comment_counts(&self, photos: &[PhotoId], after: &Positions) -> StoreResult<Vec<u64>> {
        let rows = sqlx::query(
            "SELECT photo, COUNT(*) FROM comments
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
}

fn comment(row: &SqliteRow) -> StoreResult<Comment> {
    let text = CommentText::new(row.get("text")).map_err(|error| StoreError::Failed(error.into()))?;
    Ok(Comment {
        id: CommentId::from_sql(row.get("id")),
        photo: PhotoId::from_sql(row.get("photo")),
        author: UserId::from_sql(row.get("author")),
        text,
        created: Time::from_sql(row.get("created")),
    })
}
