//! PostgreSQL passes the contract of the store: with a primary and a replica, and with shards over two databases.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use minigram::clock::Clock;
use minigram::ports::store::{IdempotencyKey, KEPT, NewPhoto, Once, Photos, Store};
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
    let at = tokio::task::spawn_blocking(move || (0..databases).map(|_| database().1).collect());
    let mut settings = PostgresSettings::new(at.await.unwrap());
    settings.celebrity_followers = crate::store::CELEBRITY_FOLLOWERS;
    settings.connections_max = 4;
    let store = PostgresStore::connect(settings).await.unwrap();
    Subject::new(Arc::new(store), Clock::System, ())
}

/// A new database: its name, and where it is.
fn database() -> (String, DatabaseSettings) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("store_{}", COUNT.fetch_add(1, Ordering::SeqCst));
    CLUSTER.database(&name);
    let at = DatabaseSettings { write: CLUSTER.primary.url(&name), read: Some(CLUSTER.replica.url(&name)) };
    (name, at)
}

/// Keys of posts do not gather: each post removes some that are over.
#[tokio::test]
async fn the_store_removes_the_keys_that_are_over() {
    let (name, at) = tokio::task::spawn_blocking(database).await.unwrap();
    let store = PostgresStore::connect(PostgresSettings::new(vec![at])).await.unwrap();
    let ada = crate::store::fixture::add_user(&store, "ada").await;
    let post = async |n: u64, kept: Duration| {
        let key = IdempotencyKey::new(&format!("key{n}")).unwrap();
        let once = Some(Once { kept, ..Once::new(key, &[b"x"]) });
        let photo = NewPhoto { once, ..crate::store::fixture::new_photo(ada, n) };
        store.add_photo(&photo, &[]).await.unwrap();
    };
    for n in 0..12 {
        post(n, Duration::ZERO).await;
    }
    post(12, KEPT).await;
    post(13, KEPT).await;
    let left = move || CLUSTER.primary.query(&name, "SELECT string_agg(key, ',' ORDER BY key) FROM once");
    assert_eq!(tokio::task::spawn_blocking(left).await.unwrap(), "key12,key13");
}
