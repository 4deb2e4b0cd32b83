//! The outbox in PostgreSQL: each database has its own, and relays share it without waiting for each other.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::database::Database;
use super::link::Statement;
use super::rows::{count, get, page};
use super::shared::Shared;
use super::write::Write;
use crate::ports::queue::NewJob;
use crate::ports::store::{Outbox, OutboxId, OutboxJob, PAGE_MAX, StoreError, StoreResult};

#[async_trait]
impl Outbox for PostgresStore {
    /// From all databases in turn, beginning with any. One that is down does not keep back the jobs of the others.
    async fn take_outbox(&self, limit: u32, lease: Duration) -> StoreResult<Vec<OutboxJob>> {
        let (databases, limit) = (&self.shared.databases, limit.min(PAGE_MAX));
        let first = fastrand::usize(..databases.len().max(1));
        let (mut jobs, mut failure) = (Vec::new(), None);
        for database in databases.iter().cycle().skip(first).take(databases.len()) {
            let taken = u32::try_from(jobs.len()).unwrap_or(u32::MAX);
            if taken >= limit {
                break;
            }
            match self.shared.take_from(database, limit - taken, lease).await {
                Ok(taken) => jobs.extend(taken),
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if jobs.is_empty() => Err(error),
            _ => Ok(jobs),
        }
    }

    async fn mark_sent(&self, ids: &[OutboxId]) -> StoreResult<()> {
        for database in &self.shared.databases {
            let here = ids.iter().filter(|id| id.database == database.number);
            let numbers: Vec<i64> = here.map(|id| id.number).collect();
            if !numbers.is_empty() {
                let mut write = self.shared.begin_outbox(database).await?;
                write.run(Statement::new("DELETE FROM outbox WHERE number = ANY($1)").ints(numbers)).await?;
                write.commit().await?;
            }
        }
        Ok(())
    }

    async fn outbox_len(&self) -> StoreResult<u64> {
        let mut jobs = 0;
        for database in &self.shared.databases {
            let rows = database.primary().await?.run(Statement::new("SELECT count(*) FROM outbox")).await?;
            jobs += rows.first().map_or(Ok(0), |row| get(row, 0).map(count))?;
        }
        Ok(jobs)
    }
}

impl Shared {
    async fn begin_outbox(&self, database: &Arc<Database>) -> StoreResult<Write> {
        let write = self.begin_in(database, &[], self.end()).await?;
        write.ok_or_else(|| StoreError::Failed("the outbox belongs to no shard".into()))
    }

    async fn take_from(
        &self,
        database: &Arc<Database>,
        limit: u32,
        lease: Duration,
    ) -> StoreResult<Vec<OutboxJob>> {
        let mut write = self.begin_outbox(database).await?;
        let take = Statement::new(
            "UPDATE outbox SET leased_until = clock_timestamp() + make_interval(secs => $1)
             WHERE number IN (
                 SELECT number FROM outbox WHERE leased_until <= clock_timestamp()
                 ORDER BY number LIMIT $2 FOR UPDATE SKIP LOCKED)
             RETURNING number, topic, key, payload",
        );
        let rows = write.run(take.seconds(lease).int(page(limit))).await?;
        if !rows.is_empty() {
            write.commit().await?;
        }
        let mut jobs: Vec<OutboxJob> =
            rows.iter().map(|row| job(row, database.number)).collect::<StoreResult<_>>()?;
        jobs.sort_by_key(|job| job.id.number);
        Ok(jobs)
    }
}

fn job(row: &PgRow, database: u16) -> StoreResult<OutboxJob> {
    Ok(OutboxJob {
        id: OutboxId { database, number: get(row, 0)? },
        job: NewJob { topic: get(row, 1)?, key: get(row, 2)?, payload: get::<Vec<u8>, _>(row, 3)?.into() },
    })
}
