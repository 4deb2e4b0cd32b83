//! A replica that lags never hides from users what they wrote, and answers all it can.

use std::time::Duration;

use minigram::ports::position::Positions;
use minigram::ports::store::{Likes, Photos, Reads, Store, Users};
use minigram::real::postgres::{DatabaseSettings, PostgresSettings, PostgresStore};
use tokio::time::{Instant, sleep};

use crate::fixture::{NOW, add_user, new_photo};
use crate::postgres::Cluster;

const USERS: usize = 4;
const WRITES: u64 = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_writes_are_read_at_once_and_replicas_answer_the_rest() {
    let cluster = tokio::task::spawn_blocking(|| Cluster::start("")).await.unwrap();
    cluster.database("store");
    cluster.replica.query("postgres", "ALTER SYSTEM SET recovery_min_apply_delay = '30ms'");
    cluster.replica.query("postgres", "SELECT pg_reload_conf()");
    let at =
        DatabaseSettings { write: cluster.primary.url("store"), read: Some(cluster.replica.url("store")) };
    let store = PostgresStore::connect(PostgresSettings::new(vec![at])).await.unwrap();

    let mut tasks = Vec::new();
    for n in 0..USERS {
        let store = store.clone();
        tasks.push(tokio::spawn(async move { write_and_read(&store, &format!("user{n}")).await }));
    }
    let mut missed_without_position = 0;
    for task in tasks {
        missed_without_position += task.await.unwrap();
    }
    assert!(missed_without_position > 0, "the replica does not lag, so this shows nothing");

    // Once it has caught up, the replica answers those with positions, too.
    let ada = add_user(&store, "ada").await;
    let written = store.add_photo(&new_photo(ada, 1), &[]).await.unwrap();
    let begun = Instant::now();
    loop {
        let before = store.reads();
        assert_eq!(store.photos_by(&[ada], None, 10, &written.into()).await.unwrap().len(), 1);
        if store.reads() == (Reads { replica: before.replica + 1, ..before }) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "the replica does not catch up");
        sleep(Duration::from_millis(10)).await;
    }
    let before = store.reads();
    for _ in 0..100 {
        store.user(ada, &written.into()).await.unwrap().unwrap();
    }
    assert_eq!(store.reads(), Reads { replica: before.replica + 100, ..before });
}

/// How many of its writes a user missed who read them without a position; one who reads with it misses none.
async fn write_and_read(store: &PostgresStore, name: &str) -> u64 {
    let user = add_user(store, name).await;
    let (mut positions, mut missed) = (Positions::none(), 0);
    for n in 0..WRITES {
        let photo = new_photo(user, n);
        positions.note(store.add_photo(&photo, &[]).await.unwrap());
        missed += u64::from(store.photo(photo.id, &Positions::none()).await.unwrap().is_none());
        assert!(store.photo(photo.id, &positions).await.unwrap().is_some(), "{name} misses photo {n}");
        positions.note(store.like(user, photo.id, NOW).await.unwrap().position);
        assert_eq!(store.likes(user, &[photo.id], &positions).await.unwrap(), [true]);
    }
    missed
}
