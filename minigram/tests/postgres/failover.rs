//! The primary is lost, and its replica takes over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use minigram::ids::{PhotoId, UserId};
use minigram::ports::position::{Position, Positions};
use minigram::ports::store::{Photos, StoreError, Users};
use minigram::ports::{Retriable, Retry};
use minigram::real::postgres::{DatabaseSettings, PostgresSettings, PostgresStore};
use tokio::time::{Instant, sleep, timeout};

use crate::fixture::{add_photo, add_user, new_photo};
use crate::postgres::Cluster;
use crate::relay::Relay;

const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promotion_loses_no_acknowledged_write_and_no_read() {
    let cluster =
        tokio::task::spawn_blocking(|| Cluster::start("synchronous_standby_names = '*'")).await.unwrap();
    cluster.database("store");
    let (write, read) = (Relay::start(cluster.primary.port).await, cluster.replica.url("store"));
    let at = DatabaseSettings { write: write.url("store"), read: Some(read) };
    let store = PostgresStore::connect(PostgresSettings::new(vec![at])).await.unwrap();
    let ada = add_user(&store, "ada").await;
    let old = store.add_photo(&new_photo(ada, 1_000_000), &[]).await.unwrap();
    wait_until_seen(&store, ada).await;

    let stop = Arc::new(AtomicBool::new(false));
    let written = Arc::new(AtomicU64::new(0));
    let writer = tokio::spawn(write_on(store.clone(), ada, stop.clone(), written.clone()));
    let reader = tokio::spawn(read_on(store.clone(), ada, stop.clone()));
    wait_for_writes(&written, 20).await;
    cluster.primary.kill();
    // What Patroni does before it promotes the only replica.
    cluster.replica.query("postgres", "ALTER SYSTEM SET synchronous_standby_names = ''");
    cluster.replica.query("postgres", "SELECT pg_reload_conf()");
    cluster.replica.promote();
    write.lead_to(cluster.replica.port);
    let before = written.load(Ordering::SeqCst);
    wait_for_writes(&written, before + 20).await;
    stop.store(true, Ordering::SeqCst);
    let (acknowledged, last) = timeout(DEADLINE, writer).await.unwrap().unwrap();
    assert!(timeout(DEADLINE, reader).await.unwrap().unwrap() > 0);

    assert_eq!((old.timeline, last.timeline), (1, 2));
    for page in acknowledged.chunks(100) {
        let found = store.photos(page, &last.into()).await.unwrap();
        assert_eq!(found.len(), page.len(), "acknowledged photos are lost");
    }
    // Far ahead in a log that is history.
    let ahead = Position { lsn: old.lsn + (1 << 40), ..old };
    assert!(store.user(ada, &ahead.into()).await.unwrap().is_some());
    let error = store.user(ada, &Position { timeline: 3, ..last }.into()).await.unwrap_err();
    assert!(matches!(error, StoreError::Behind { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_to_a_primary_that_no_longer_writes_is_closed() {
    let cluster = tokio::task::spawn_blocking(|| Cluster::start("")).await.unwrap();
    cluster.database("store");
    let at = DatabaseSettings { write: cluster.primary.url("store"), read: None };
    let mut settings = PostgresSettings::new(vec![at]);
    settings.timeouts.retry = Duration::from_millis(300);
    let store = PostgresStore::connect(settings).await.unwrap();
    let ada = add_user(&store, "ada").await;
    let connections = || {
        let sql = "SELECT string_agg(pid::text, ',' ORDER BY pid) FROM pg_stat_activity \
            WHERE application_name = 'minigram'";
        cluster.primary.query("postgres", sql)
    };
    let before = connections();
    assert!(!before.is_empty());

    set_read_only(&cluster, "on");
    let begun = Instant::now();
    loop {
        let failed = store.add_photo(&new_photo(ada, 1), &[]).await;
        match failed {
            Err(error) => {
                assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
                assert_eq!(error.retry(), Retry::Soon);
                break;
            }
            Ok(_) => assert!(begun.elapsed() < DEADLINE, "the primary takes writes"),
        }
    }
    // The others have not met the error yet.
    let closed = || {
        let now = connections();
        before.split(',').any(|known| now.split(',').all(|pid| pid != known))
    };
    crate::postgres::wait_for("the connection is closed", closed);
    set_read_only(&cluster, "off");
    let begun = Instant::now();
    while store.add_photo(&new_photo(ada, 2), &[]).await.is_err() {
        assert!(begun.elapsed() < DEADLINE, "the primary takes no writes");
    }
}

fn set_read_only(cluster: &Cluster, value: &str) {
    cluster.primary.query("postgres", &format!("ALTER SYSTEM SET default_transaction_read_only = {value}"));
    cluster.primary.query("postgres", "SELECT pg_reload_conf()");
}

/// Adds photos until it shall stop, each until it is acknowledged; which ones, and the position of the last.
async fn write_on(
    store: PostgresStore,
    user: UserId,
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
) -> (Vec<PhotoId>, Position) {
    let (mut acknowledged, mut last) = (Vec::new(), None);
    for n in 0.. {
        let photo = new_photo(user, n);
        let begun = Instant::now();
        loop {
            match store.add_photo(&photo, &[]).await {
                Ok(position) => last = Some(position),
                // The answer to the try before was lost.
                Err(StoreError::IdTaken) => {}
                Err(error) => {
                    assert_eq!(error.retry(), Retry::Soon, "{error}");
                    assert!(begun.elapsed() < DEADLINE, "{error}");
                    continue;
                }
            }
            break;
        }
        acknowledged.push(photo.id);
        written.fetch_add(1, Ordering::SeqCst);
        if stop.load(Ordering::SeqCst) {
            break;
        }
    }
    (acknowledged, last.unwrap())
}

/// Reads until it shall stop; none may fail. How often.
async fn read_on(store: PostgresStore, user: UserId, stop: Arc<AtomicBool>) -> u64 {
    let mut reads = 0;
    while !stop.load(Ordering::SeqCst) {
        let begun = Instant::now();
        assert!(store.user(user, &Positions::none()).await.unwrap().is_some());
        assert!(begun.elapsed() < Duration::from_secs(3), "a read waits for the primary");
        reads += 1;
        sleep(Duration::from_millis(2)).await;
    }
    reads
}

async fn wait_for_writes(written: &AtomicU64, wanted: u64) {
    let begun = Instant::now();
    while written.load(Ordering::SeqCst) < wanted {
        assert!(begun.elapsed() < DEADLINE, "no writes");
        sleep(Duration::from_millis(5)).await;
    }
}

async fn wait_until_seen(store: &PostgresStore, user: UserId) {
    add_photo(store, user, 2_000_000).await;
    let begun = Instant::now();
    while store.user(user, &Positions::none()).await.unwrap().is_none() {
        assert!(begun.elapsed() < DEADLINE, "the replica does not follow");
        sleep(Duration::from_millis(5)).await;
    }
}
