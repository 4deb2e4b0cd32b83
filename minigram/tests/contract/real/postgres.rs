//! PostgreSQL passes the contract of the store: with a primary and a replica, and with shards over two databases.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use minigram::clock::Clock;
use minigram::ports::store::Store;
use minigram::real::postgres::{DatabaseSettings, PostgresSettings, PostgresStore};

use crate::subject::Subject;
use crate::support::postgres::Cluster;

store_contract!(store, crate::real::postgres::start_store);
store_contract!(sharded, crate::real::postgres::start_sharded);

/// A commit waits until the replica shows it, because the cases read without positions what they have just written.
/// `tests/postgres` has replicas that lag.
const SETTINGS: &str = "synchronous_standby_names = '*'\nsynchronous_commit = remote_apply";

/// One for all tests of this program.
static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| Cluster::start(SETTINGS));

async fn start_store() -> Subject<dyn Store> {
    start(1).await
}

async fn start_sharded() -> Subject<dyn Store> {
    start(2).await
}

async fn start(databases: usize) -> Subject<dyn Store> {
    let at = tokio::task::spawn_blocking(move || (0..databases).map(|_| database()).collect());
    let mut settings = PostgresSettings::new(at.await.unwrap());
    settings.celebrity_followers = crate::store::CELEBRITY_FOLLOWERS;
    settings.connections_max = 4;
    let store = PostgresStore::connect(settings).await.unwrap();
    Subject::new(Arc::new(store), Clock::System, ())
}

fn database() -> DatabaseSettings {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("store_{}", COUNT.fetch_add(1, Ordering::SeqCst));
    CLUSTER.database(&name);
    DatabaseSettings { write: CLUSTER.primary.url(&name), read: Some(CLUSTER.replica.url(&name)) }
}
