//! A client that writes numbered rows through the write port, and one that reads through the read port, all the time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::engines::Engines;

/// How long a client waits for a session, and for the answer to a statement.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two statements.
const PAUSE: Duration = Duration::from_millis(5);

/// A client at work.
pub struct Client {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Seen>,
}

/// What a client has seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Numbers whose statements were acknowledged.
    pub acknowledged: BTreeSet<i64>,
    /// Statements and sessions that failed.
    pub failed: u32,
    /// The longest time between two that were acknowledged.
    pub gap: Duration,
}

impl Client {
    /// Writes rows with numbers from `first` on.
    pub fn write(engines: &Engines, first: i64) -> Self {
        let [url, _] = engines.endpoints.database_urls(&engines.endpoints.databases[0]).unwrap();
        Self::start(url, "INSERT INTO rows (number) VALUES ($1)", first)
    }

    /// Reads.
    pub fn read(engines: &Engines) -> Self {
        let [_, url] = engines.endpoints.database_urls(&engines.endpoints.databases[0]).unwrap();
        Self::start(url, "SELECT count(*) FROM rows WHERE number = $1", 0)
    }

    fn start(url: String, statement: &'static str, first: i64) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let (mut seen, mut session, mut last) = (Seen::default(), None, Instant::now());
            for number in first.. {
                if stopped.load(SeqCst) {
                    break;
                }
                if run(&mut session, &url, statement, number).await {
                    seen.acknowledged.insert(number);
                    seen.gap = seen.gap.max(last.elapsed());
                    last = Instant::now();
                } else {
                    seen.failed += 1;
                }
                sleep(PAUSE).await;
            }
            seen
        });
        Self { stop, task }
    }

    /// Ends it; what it has seen.
    pub async fn finish(self) -> Seen {
        self.stop.store(true, SeqCst);
        self.task.await.unwrap()
    }
}

/// Runs a statement over the session if there is one. A session that fails is dropped.
async fn run(session: &mut Option<PgConnection>, url: &str, statement: &'static str, number: i64) -> bool {
    let mut open = match session.take() {
        Some(open) => open,
        None => match timeout(PATIENCE, PgConnection::connect(url)).await {
            Ok(Ok(open)) => open,
            _ => return false,
        },
    };
    let done = timeout(PATIENCE, sqlx::query(statement).bind(number).execute(&mut open)).await;
    let is_done = matches!(done, Ok(Ok(_)));
    *session = is_done.then_some(open);
    is_done
}

/// All numbers in the table, read through the write port.
pub async fn rows(engines: &Engines) -> BTreeSet<i64> {
    let [url, _] = engines.endpoints.database_urls(&engines.endpoints.databases[0]).unwrap();
    let mut session = PgConnection::connect(&url).await.unwrap();
    let rows = sqlx::query("SELECT number FROM rows").fetch_all(&mut session).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}
