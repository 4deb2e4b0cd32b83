//! The steps of a move. The rows of `shards` in both databases say how far it has got, so that it can be taken up again.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use tokio::time::{Instant, sleep};

use super::copy::{self, run};
use super::tables::{TABLES, Table};
use super::{MoveBounds, Moved, connect, failed, row_value};
use crate::ids::Shard;
use crate::ports::store::{StoreError, StoreResult};
use crate::real::postgres::settings::PostgresSettings;
use crate::real::postgres::write::SHARD_LOCKS;

/// The fence closes when no more changes than these are left, or after as many rounds as [`ROUNDS_MAX`].
const CHANGES_LEFT: usize = 50;
const ROUNDS_MAX: u32 = 1000;

/// How long a change of the triggers waits for the writers of a table, while further ones queue behind it; and how
/// often it is tried.
const TRIGGER_WAIT: &str = "500ms";
const TRIGGER_TRIES: u32 = 20;

/// A move under way.
pub struct Move {
    shard: Shard,
    /// The map says that it is there. A move that broke off may have left old rows.
    already: bool,
    to_number: u16,
    bounds: MoveBounds,
    /// How long servers may go by an old map.
    grace: Duration,
    first: PgConnection,
    from: PgConnection,
    to: PgConnection,
    others: Vec<PgConnection>,
    moved: Moved,
}

impl Move {
    /// Connects to all databases.
    pub async fn new(
        settings: &PostgresSettings,
        shard: Shard,
        from: u16,
        to: u16,
        bounds: MoveBounds,
        first: PgConnection,
    ) -> StoreResult<Self> {
        let already = from == to;
        let (from, target) = (connect(settings, from).await?, connect(settings, to).await?);
        let mut others = Vec::new();
        for number in 0..u16::try_from(settings.databases.len()).unwrap_or(u16::MAX) {
            if number != to {
                others.push(connect(settings, number).await?);
            }
        }
        let timeouts = settings.timeouts;
        let moved =
            Moved { copied: 0, caught_up: 0, fenced: Duration::ZERO, replicas_knew: false, deleted: 0 };
        let grace = timeouts.map_age_max + timeouts.wait();
        Ok(Self { shard, already, to_number: to, bounds, grace, first, from, to: target, others, moved })
    }

    /// Does what is left to do.
    pub async fn run(mut self) -> StoreResult<Moved> {
        if self.already {
            self.clean_up().await?;
            return Ok(self.moved);
        }
        for connection in [&mut self.from, &mut self.to] {
            check_sees_replicas(connection).await?;
        }
        let (here, there) =
            (state(&mut self.from, self.shard).await?, state(&mut self.to, self.shard).await?);
        match (here.as_str(), there.as_str()) {
            ("open" | "fenced", "" | "gone" | "arriving") => self.copy().await?,
            // A move broke off between its last steps. What was copied was complete.
            ("gone", "arriving" | "open") => tracing::info!("taking up the move after its copy"),
            _ => {
                let what = format!("the shard is `{here}` where it is, and `{there}` where it should go");
                return Err(StoreError::Failed(what.into()));
            }
        }
        let closed = |error| {
            let what = format!("the shard is closed until the move is run again: {error}");
            StoreError::Unavailable(what.into())
        };
        self.open().await.map_err(closed)?;
        self.clean_up().await?;
        Ok(self.moved)
    }

    /// Copies, with the shard open; then the rest, with it fenced; then closes it. If that fails, it is open again.
    async fn copy(&mut self) -> StoreResult<()> {
        let number = self.shard.number();
        change_triggers(&mut self.from, Some(self.shard)).await?;
        let arriving = format!(
            "INSERT INTO shards (shard, state) VALUES ({number}, 'arriving')
             ON CONFLICT (shard) DO UPDATE SET state = 'arriving'"
        );
        run(&mut self.to, arriving).await.map_err(failed)?;
        copy::delete_all(&mut self.to, self.shard).await.map_err(failed)?;
        for other in &mut self.others {
            copy::copy_celebrities(other, &mut self.to).await.map_err(failed)?;
        }
        let copied = copy::copy_all(&mut self.from, &mut self.to, self.shard).await;
        self.moved.copied = copied.map_err(failed)?;
        for _ in 0..ROUNDS_MAX {
            if self.catch_up().await? <= CHANGES_LEFT {
                break;
            }
        }
        let begun = Instant::now();
        let closed = self.fence_and_close().await;
        self.moved.fenced = begun.elapsed();
        if closed.is_err() {
            let open =
                format!("UPDATE shards SET state = 'open' WHERE shard = {number} AND state = 'fenced'");
            run(&mut self.from, open).await.map_err(failed)?;
            change_triggers(&mut self.from, None).await?;
        }
        closed
    }

    async fn catch_up(&mut self) -> StoreResult<usize> {
        let changes = copy::catch_up(&mut self.from, &mut self.to).await.map_err(failed)?;
        self.moved.caught_up += changes as u64;
        Ok(changes)
    }

    async fn fence_and_close(&mut self) -> StoreResult<()> {
        let (number, end) = (self.shard.number(), Instant::now() + self.bounds.fence);
        let late = || StoreError::Unavailable("the rest of the shard did not move within the fence".into());
        // The lock waits for the writers that are under way; those that come later find the fence.
        let locked = |change: String| {
            format!(
                "BEGIN; SET LOCAL lock_timeout = '{}ms'; SELECT pg_advisory_xact_lock({SHARD_LOCKS}, {number});
                 {change}; COMMIT",
                self.bounds.fence.as_millis().max(1)
            )
        };
        let seconds = self.bounds.fence.as_secs_f64();
        let fence = locked(format!(
            "UPDATE shards SET state = 'fenced', fenced_until = clock_timestamp() + make_interval(secs => {seconds})
             WHERE shard = {number}"
        ));
        // The fence ends by itself in the database, so that a move that dies does not keep writers out.
        let close = locked(format!(
            "UPDATE shards SET state = 'gone', fenced_until = NULL
             WHERE shard = {number} AND state = 'fenced' AND fenced_until > clock_timestamp()"
        ));
        in_transaction(&mut self.from, fence).await?;
        while self.catch_up().await? > 0 {
            if Instant::now() > end {
                return Err(late());
            }
        }
        let differs = copy::difference(&mut self.from, &mut self.to, self.shard).await.map_err(failed)?;
        if let Some(differs) = differs {
            return Err(StoreError::Failed(format!("the copy differs: {differs}").into()));
        }
        in_transaction(&mut self.from, close).await?;
        match state(&mut self.from, self.shard).await?.as_str() {
            "gone" => Ok(()),
            _ => Err(late()),
        }
    }

    /// Opens the shard where it has arrived, when the replicas know that it has left, and changes the map.
    async fn open(&mut self) -> StoreResult<()> {
        let begun = Instant::now();
        let end = begun + self.bounds.replicas;
        self.moved.replicas_knew =
            replayed(&mut self.from, end).await? && replayed(&mut self.to, end).await?;
        let (number, to) = (self.shard.number(), self.to_number);
        let open = format!("UPDATE shards SET state = 'open', fenced_until = NULL WHERE shard = {number}");
        run(&mut self.to, open).await.map_err(failed)?;
        self.moved.fenced += begun.elapsed();
        let map = format!(
            "BEGIN; UPDATE shard_map SET number = {to} WHERE shard = {number};
             UPDATE shard_map_version SET version = version + 1; COMMIT"
        );
        in_transaction(&mut self.first, map).await
    }

    /// Deletes old rows in all other databases, when no server can read them by an old map any more.
    async fn clean_up(&mut self) -> StoreResult<()> {
        for other in &mut self.others {
            change_triggers(other, None).await?;
            copy::copy_celebrities(other, &mut self.to).await.map_err(failed)?;
        }
        sleep(self.grace).await;
        for other in &mut self.others {
            self.moved.deleted += copy::delete_all(other, self.shard).await.map_err(failed)?;
        }
        Ok(())
    }
}

/// Notes the changes of this shard from now on, or of none. This waits for the writers that are under way, so that
/// nothing is missed between the notes and the copy.
async fn change_triggers(connection: &mut PgConnection, shard: Option<Shard>) -> StoreResult<()> {
    let stop: String = TABLES.iter().map(Table::stop_noting).collect();
    let start: String = TABLES.iter().filter_map(|table| Some(table.note_changes(shard?))).collect();
    let change = format!(
        "BEGIN; SET LOCAL lock_timeout = '{TRIGGER_WAIT}'; {stop} DELETE FROM shard_changes; {start} COMMIT"
    );
    let mut tries = 1;
    loop {
        match in_transaction(connection, change.clone()).await {
            Err(StoreError::Unavailable(error)) if tries < TRIGGER_TRIES => {
                tracing::info!(%error, "the triggers of the move are changed later");
                tries += 1;
            }
            changed => return changed,
        }
    }
}

/// Runs statements that begin and commit; if one fails, the rest is rolled back.
async fn in_transaction(connection: &mut PgConnection, sql: String) -> StoreResult<()> {
    let done = run(connection, sql).await;
    if done.is_err() {
        let _ = run(connection, "ROLLBACK").await;
    }
    done.map(drop).map_err(failed)
}

/// What a database knows of a shard; empty for nothing.
async fn state(connection: &mut PgConnection, shard: Shard) -> StoreResult<String> {
    let find = format!("SELECT coalesce((SELECT state FROM shards WHERE shard = {}), '')", shard.number());
    row_value(&run(connection, find).await.map_err(failed)?)
}

/// Refuses a user to whom PostgreSQL does not show how far the replicas are.
async fn check_sees_replicas(primary: &mut PgConnection) -> StoreResult<()> {
    let sees = "SELECT pg_has_role('pg_read_all_stats', 'USAGE')";
    if row_value(&run(primary, sees).await.map_err(failed)?)? {
        return Ok(());
    }
    let user = run(primary, "SELECT quote_ident(current_user)").await.map_err(failed)?;
    let user: String = row_value(&user)?;
    let what = format!(
        "{user} cannot see how far the replicas are; run as a superuser: GRANT pg_read_all_stats TO {user}"
    );
    Err(StoreError::Failed(what.into()))
}

/// Whether all replicas that are connected show all that was committed so far, by `end`.
async fn replayed(primary: &mut PgConnection, end: Instant) -> StoreResult<bool> {
    let now = run(primary, "SELECT pg_current_wal_flush_lsn()::text").await.map_err(failed)?;
    let now: String = row_value(&now)?;
    let all = format!(
        "SELECT coalesce(bool_and(coalesce(replay_lsn >= '{now}', FALSE)), TRUE) FROM pg_stat_replication"
    );
    loop {
        if row_value(&run(primary, all.clone()).await.map_err(failed)?)? {
            return Ok(true);
        }
        if Instant::now() >= end {
            return Ok(false);
        }
        sleep(Duration::from_millis(5)).await;
    }
}
