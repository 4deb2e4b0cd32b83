//! Comments in PostgreSQL.

use async_trait::async_trait;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::errors::refused;
use super::link::Statement;
use super::rows::{count, get, numbers, page};
use crate::clock::Time;
use crate::ids::{CommentId, PhotoId, UserId};
use crate::ports::position::{Position, Positions};
use crate::ports::queue::NewJob;
use crate::ports::store::{Comment, CommentText, Comments, NewComment, PAGE_MAX, StoreError, StoreResult};

#[async_trait]
impl Comments for PostgresStore {
    async fn add_comment(&self, comment: &NewComment, jobs: &[NewJob]) -> StoreResult<Position> {
        let mut write = self.shared.begin(comment.photo.shard()).await?;
        if let Some(once) = &comment.once {
            write = write.first_time(once, &comment.post()).await?;
        }
        let add = Statement::new(
            "INSERT INTO comments (id, photo, author, text, created) VALUES ($1, $2, $3, $4, $5)",
        )
        .int(comment.id.to_sql())
        .int(comment.photo.to_sql())
        .int(comment.author.to_sql())
        .text(comment.text.as_str())
        .int(comment.created.to_sql());
        write.run(add).await.map_err(|error| refused(error, StoreError::NoSuchPhoto))?;
        write.add_jobs(jobs).await?;
        write.commit().await
    }

    async fn delete_comment(&self, id: CommentId, author: UserId) -> StoreResult<Position> {
        let mut write = self.shared.begin(id.shard()).await?;
        let delete = Statement::new("DELETE FROM comments WHERE id = $1 AND author = $2");
        write.run(delete.int(id.to_sql()).int(author.to_sql())).await?;
        write.commit().await
    }

    async fn comments(
        &self,
        photo: PhotoId,
        before: Option<CommentId>,
        limit: u32,
        after: &Positions,
    ) -> StoreResult<Vec<Comment>> {
        let find =
            Statement::new("SELECT * FROM comments WHERE photo = $1 AND id < $2 ORDER BY id DESC LIMIT $3")
                .int(photo.to_sql())
                .int(before.map_or(i64::MAX, CommentId::to_sql))
                .int(page(limit));
        let rows = self.shared.read(photo.shard(), find, after).await?;
        rows.iter().map(comment).collect()
    }

    async fn comment_counts(&self, photos: &[PhotoId], after: &Positions) -> StoreResult<Vec<u64>> {
        let find = |ids| {
            Statement::new("SELECT photo, count(*) FROM comments WHERE photo = ANY($1) GROUP BY photo")
                .ints(ids)
        };
        let rows = self.shared.read_many(photos.iter().map(|id| id.to_sql()), after, find).await?;
        let counts = numbers(&rows)?;
        let of = |id: &PhotoId| counts.get(&id.to_sql()).copied().map_or(0, count);
        Ok(photos.iter().take(PAGE_MAX as usize).map(of).collect())
    }
}

fn comment(row: &PgRow) -> StoreResult<Comment> {
    let text = CommentText::new(get(row, "text")?).map_err(|error| StoreError::Failed(error.into()))?;
    Ok(Comment {
        id: CommentId::from_sql(get(row, "id")?),
        photo: PhotoId::from_sql(get(row, "photo")?),
        author: UserId::from_sql(get(row, "author")?),
        text,
        created: Time::from_sql(get(row, "created")?),
    })
}
