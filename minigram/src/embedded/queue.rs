//! The queue in one SQLite file, so that jobs survive the process, and workers may be processes of their own.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::sqlite::{Database, count};
use crate::clock::{Clock, Time};
use crate::ports::queue::{
    DeadLetter, Depth, Fate, NewJob, Policy, Pushed, Queue, QueueError, QueueResult, Receipt, Taken,
};

const MIGRATIONS: [(i64, &str, &str); 2] = [
    (1, "first", include_str!("../../migrations/queue/0001_first.sql")),
    (2, "accepted", include_str!("../../migrations/queue/0002_accepted.sql")),
];

/// How often a worker that waits looks for jobs that another process pushed.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Keys that one push forgets at most.
const FORGET_MAX: i64 = 100;

const NO_ANSWER: &str = "the worker neither finished nor failed in time";

/// The queue of one machine.
#[derive(Debug)]
pub struct SqliteQueue {
    database: Database,
    clock: Clock,
    policy: Policy,
    /// Wakes workers of this process that wait.
    pushed: Notify,
}

impl SqliteQueue {
    /// Opens the queue in `file`.
    ///
    /// # Errors
    /// The file cannot be opened, or was written by a newer version.
    pub async fn open(file: &Path, clock: Clock, policy: Policy) -> QueueResult<Self> {
        let database = Database::open(file, &MIGRATIONS).await.map_err(unavailable)?;
        Ok(Self { database, clock, policy, pushed: Notify::new() })
    }

    /// Finishes what is going on and closes the file.
    pub async fn close(&self) {
        self.database.close().await;
    }

    async fn write(&self) -> QueueResult<Transaction<'static, Sqlite>> {
        self.database.write().await.map_err(unavailable)
    }

    /// Whether a job of `topic` is due. Workers that wait look often, and must not hold up who writes.
    async fn is_due(&self, topic: &str, now: Time) -> QueueResult<bool> {
        let due = sqlx::query(
            "SELECT 1 FROM jobs WHERE topic = ? AND state IN ('waiting', 'taken') AND due <= ? LIMIT 1",
        );
        let due = due.bind(topic).bind(now.to_sql()).fetch_optional(self.database.readers());
        Ok(due.await.map_err(unavailable)?.is_some())
    }

    async fn try_take(&self, topic: &str) -> QueueResult<Option<Taken>> {
        let now = self.clock.now();
        if !self.is_due(topic, now).await? {
            return Ok(None);
        }
        let mut write = self.write().await?;
        self.bury_unanswered(&mut write, topic, now).await?;
        let row = sqlx::query(
            "UPDATE jobs SET state = 'taken', due = ?1, attempts = attempts + 1, deliveries = deliveries + 1
             WHERE id = (SELECT id FROM jobs WHERE topic = ?2 AND state IN ('waiting', 'taken') AND due <= ?3
                         ORDER BY due, id LIMIT 1)
             RETURNING id, deliveries, key, payload, attempts",
        )
        .bind(now.plus(self.policy.visibility).to_sql())
        .bind(topic)
        .bind(now.to_sql())
        .fetch_optional(&mut *write)
        .await
        .map_err(unavailable)?;
        write.commit().await.map_err(unavailable)?;
        Ok(row.map(|row| Taken {
            receipt: Receipt { job: row.get::<i64, _>(0).to_string(), delivery: count(row.get(1)) },
            job: NewJob { topic: topic.to_owned(), key: row.get(2), payload: payload(&row, 3) },
            attempt: u32::try_from(row.get::<i64, _>(4)).unwrap_or(u32::MAX),
        }))
    }

    /// Makes dead letters of jobs whose last worker did not answer.
    async fn bury_unanswered(
        &self,
        write: &mut Transaction<'static, Sqlite>,
        topic: &str,
        now: Time,
    ) -> QueueResult<()> {
        sqlx::query(
            "UPDATE jobs SET state = 'dead', reason = ?1
             WHERE topic = ?2 AND state = 'taken' AND due <= ?3 AND attempts >= ?4",
        )
        .bind(NO_ANSWER)
        .bind(topic)
        .bind(now.to_sql())
        .bind(i64::from(self.policy.attempts_max))
        .execute(&mut **write)
        .await
        .map_err(unavailable)?;
        Ok(())
    }

    /// The attempts of the job that `receipt` is for, if no other worker got it since. Its time may be over: a late
    /// acknowledgement is better than doing the job twice.
    async fn attempts(
        &self,
        write: &mut Transaction<'static, Sqlite>,
        receipt: &Receipt,
    ) -> QueueResult<u32> {
        let row =
            sqlx::query("SELECT attempts FROM jobs WHERE id = ? AND deliveries = ? AND state = 'taken'")
                .bind(receipt.job.parse::<i64>().map_err(|_| QueueError::Late)?)
                .bind(i64::try_from(receipt.delivery).map_err(|_| QueueError::Late)?)
                .fetch_optional(&mut **write)
                .await
                .map_err(unavailable)?;
        let attempts: i64 = row.ok_or(QueueError::Late)?.get(0);
        Ok(u32::try_from(attempts).unwrap_or(u32::MAX))
    }

    /// Gives a job its next state, due at `due`.
    async fn settle(
        &self,
        mut write: Transaction<'static, Sqlite>,
        receipt: &Receipt,
        state: &'static str,
        due: Time,
        reason: &str,
    ) -> QueueResult<()> {
        sqlx::query("UPDATE jobs SET state = ?, due = ?, reason = ? WHERE id = CAST(? AS INTEGER)")
            .bind(state)
            .bind(due.to_sql())
            .bind(reason)
            .bind(&receipt.job)
            .execute(&mut *write)
            .await
            .map_err(unavailable)?;
        write.commit().await.map_err(unavailable)
    }
}

#[async_trait]
impl Queue for SqliteQueue {
    async fn push(&self, job: &NewJob) -> QueueResult<Pushed> {
        let now = self.clock.now();
        let mut write = self.write().await?;
        sqlx::query(
            "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE state = 'done' AND due <= ? LIMIT ?)
             OR (topic = ? AND key = ? AND state = 'done' AND due <= ?)",
        )
        .bind(now.to_sql())
        .bind(FORGET_MAX)
        .bind(&job.topic)
        .bind(&job.key)
        .bind(now.to_sql())
        .execute(&mut *write)
        .await
        .map_err(unavailable)?;
        let known = sqlx::query("SELECT 1 FROM jobs WHERE topic = ? AND key = ?")
            .bind(&job.topic)
            .bind(&job.key)
            .fetch_optional(&mut *write)
            .await
            .map_err(unavailable)?;
        if known.is_some() {
            write.commit().await.map_err(unavailable)?;
            return Ok(Pushed::Known);
        }
        let added = sqlx::query(
            "INSERT INTO jobs (topic, key, payload, due, accepted) SELECT ?, ?, ?, ?, ?
             WHERE (SELECT COUNT(*) FROM jobs WHERE state IN ('waiting', 'taken')) < ?",
        )
        .bind(&job.topic)
        .bind(&job.key)
        .bind(&job.payload[..])
        .bind(now.to_sql())
        .bind(now.to_sql())
        .bind(i64::try_from(self.policy.jobs_max).unwrap_or(i64::MAX))
        .execute(&mut *write)
        .await
        .map_err(unavailable)?;
        write.commit().await.map_err(unavailable)?;
        if added.rows_affected() == 0 {
            return Err(QueueError::Full(self.policy.jobs_max));
        }
        self.pushed.notify_waiters();
        Ok(Pushed::New)
    }

    async fn take(&self, topic: &str, wait: Duration) -> QueueResult<Option<Taken>> {
        let deadline = Instant::now() + wait;
        loop {
            // Registered before the look, so that a push between look and wait is not missed.
            let pushed = self.pushed.notified();
            tokio::pin!(pushed);
            pushed.as_mut().enable();
            if let Some(taken) = self.try_take(topic).await? {
                return Ok(Some(taken));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            drop(timeout(left.min(LOOK_EVERY), pushed).await);
        }
    }

    async fn ack(&self, receipt: &Receipt) -> QueueResult<()> {
        let mut write = self.write().await?;
        self.attempts(&mut write, receipt).await?;
        let forgotten = self.clock.now().plus(self.policy.remembered);
        self.settle(write, receipt, "done", forgotten, "").await
    }

    async fn fail(&self, receipt: &Receipt, reason: &str) -> QueueResult<Fate> {
        let mut write = self.write().await?;
        let attempts = self.attempts(&mut write, receipt).await?;
        let now = self.clock.now();
        if attempts >= self.policy.attempts_max {
            self.settle(write, receipt, "dead", now, reason).await?;
            return Ok(Fate::Dead);
        }
        let backoff = self.policy.backoff(attempts);
        self.settle(write, receipt, "waiting", now.plus(backoff), reason).await?;
        Ok(Fate::Again(backoff))
    }

    async fn bury(&self, receipt: &Receipt, reason: &str) -> QueueResult<Fate> {
        let mut write = self.write().await?;
        self.attempts(&mut write, receipt).await?;
        self.settle(write, receipt, "dead", self.clock.now(), reason).await?;
        Ok(Fate::Dead)
    }

    async fn extend(&self, receipt: &Receipt) -> QueueResult<()> {
        let mut write = self.write().await?;
        self.attempts(&mut write, receipt).await?;
        let due = self.clock.now().plus(self.policy.visibility);
        self.settle(write, receipt, "taken", due, "").await
    }

    async fn dead(&self, topic: &str, limit: u32) -> QueueResult<Vec<DeadLetter>> {
        let mut write = self.write().await?;
        self.bury_unanswered(&mut write, topic, self.clock.now()).await?;
        let rows = sqlx::query(
            "SELECT key, payload, attempts, reason, due FROM jobs
             WHERE topic = ? AND state = 'dead' ORDER BY due, id LIMIT ?",
        )
        .bind(topic)
        .bind(limit)
        .fetch_all(&mut *write)
        .await
        .map_err(unavailable)?;
        write.commit().await.map_err(unavailable)?;
        let letter = |row: &SqliteRow| DeadLetter {
            job: NewJob { topic: topic.to_owned(), key: row.get(0), payload: payload(row, 1) },
            attempts: row.get(2),
            reason: row.get(3),
            died: Time::from_sql(row.get(4)),
        };
        Ok(rows.iter().map(letter).collect())
    }

    async fn replay(&self, topic: &str, keys: &[String]) -> QueueResult<u64> {
        let now = self.clock.now();
        let mut write = self.write().await?;
        self.bury_unanswered(&mut write, topic, now).await?;
        let mut replayed = 0;
        for key in keys {
            let changed = sqlx::query(
                "UPDATE jobs SET state = 'waiting', attempts = 0, due = ?1, accepted = ?1
                 WHERE topic = ?2 AND key = ?3 AND state = 'dead'",
            )
            .bind(now.to_sql())
            .bind(topic)
            .bind(key)
            .execute(&mut *write)
            .await
            .map_err(unavailable)?;
            replayed += changed.rows_affected();
        }
        write.commit().await.map_err(unavailable)?;
        self.pushed.notify_waiters();
        Ok(replayed)
    }

    async fn depth(&self, topic: &str) -> QueueResult<Depth> {
        // A job whose worker did not answer in time is what the next `take` would make of it.
        let row = sqlx::query(
            "WITH seen AS (SELECT state, due <= ?1 AS due, attempts >= ?2 AS last FROM jobs WHERE topic = ?3)
             SELECT COUNT(*) FILTER (WHERE due AND (state = 'waiting' OR state = 'taken' AND NOT last)),
                    COUNT(*) FILTER (WHERE state = 'waiting' AND NOT due),
                    COUNT(*) FILTER (WHERE state = 'taken' AND NOT due),
                    COUNT(*) FILTER (WHERE state = 'dead' OR state = 'taken' AND due AND last)
             FROM seen",
        )
        .bind(self.clock.now().to_sql())
        .bind(i64::from(self.policy.attempts_max))
        .bind(topic)
        .fetch_one(self.database.readers())
        .await
        .map_err(unavailable)?;
        Ok(Depth {
            ready: count(row.get(0)),
            delayed: count(row.get(1)),
            taken: count(row.get(2)),
            dead: count(row.get(3)),
        })
    }

    async fn oldest(&self, topic: &str) -> QueueResult<Option<Time>> {
        let row = sqlx::query(
            "SELECT MIN(accepted) FROM jobs WHERE topic = ?1
             AND (state = 'waiting' OR state = 'taken' AND (due > ?2 OR attempts < ?3))",
        )
        .bind(topic)
        .bind(self.clock.now().to_sql())
        .bind(i64::from(self.policy.attempts_max))
        .fetch_one(self.database.readers())
        .await
        .map_err(unavailable)?;
        Ok(row.get::<Option<i64>, _>(0).map(Time::from_sql))
    }
}

fn payload(row: &SqliteRow, column: usize) -> bytes::Bytes {
    row.get::<Vec<u8>, _>(column).into()
}

fn unavailable(error: sqlx::Error) -> QueueError {
    QueueError::Unavailable(error.into())
}
