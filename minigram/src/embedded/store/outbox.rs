//! The outbox in SQLite.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::Row;

use super::{DATABASE, SqliteStore, count, failed, page};
use crate::ports::queue::NewJob;
use crate::ports::store::{Outbox, OutboxId, OutboxJob, StoreResult};

#[async_trait]
impl Outbox for SqliteStore {
    async fn take_outbox(&self, limit: u32, lease: Duration) -> StoreResult<Vec<OutboxJob>> {
        let now = self.clock.now();
        let mut write = self.write().await?;
        let rows = sqlx::query(
            "UPDATE outbox SET leased_until = ?1 WHERE number IN
             (SELECT number FROM outbox WHERE leased_until <= ?2 ORDER BY number LIMIT ?3)
             RETURNING number, topic, key, payload",
        )
        .bind(now.plus(lease).to_sql())
        .bind(now.to_sql())
        .bind(page(limit))
        .fetch_all(&mut *write)
        .await
        .map_err(failed)?;
        write.commit().await.map_err(failed)?;
        let job = |row: &sqlx::sqlite::SqliteRow| OutboxJob {
            id: OutboxId { database: DATABASE, number: row.get(0) },
            job: NewJob { topic: row.get(1), key: row.get(2), payload: row.get::<Vec<u8>, _>(3).into() },
        };
        let mut jobs: Vec<OutboxJob> = rows.iter().map(job).collect();
        jobs.sort_by_key(|job| job.id.number);
        Ok(jobs)
    }

    async fn mark_sent(&self, ids: &[OutboxId]) -> StoreResult<()> {
        let mut write = self.write().await?;
        for id in ids.iter().filter(|id| id.database == DATABASE) {
            let removed = sqlx::query("DELETE FROM outbox WHERE number = ?").bind(id.number);
            removed.execute(&mut *write).await.map_err(failed)?;
        }
        write.commit().await.map_err(failed)
    }

    async fn outbox_len(&self) -> StoreResult<u64> {
        let row = sqlx::query("SELECT COUNT(*) FROM outbox");
        let row = row.fetch_one(self.database.readers()).await.map_err(failed)?;
        Ok(count(row.get(0)))
    }
}
