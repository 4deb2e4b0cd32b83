//! The embedded engines pass the contracts.

use std::sync::Arc;

use minigram::clock::{Clock, Time};
use minigram::embedded::blobs::ObjectBlobs;
use minigram::embedded::bus::MemoryBus;
use minigram::embedded::cache::MemoryCache;
use minigram::embedded::queue::SqliteQueue;
use minigram::embedded::sessions::MemorySessions;
use minigram::embedded::store::SqliteStore;
use minigram::ports::blobs::Blobs;
use minigram::ports::bus::Bus;
use minigram::ports::cache::Cache;
use minigram::ports::queue::Queue;
use minigram::ports::sessions::Sessions;
use minigram::ports::store::Store;
use tempfile::TempDir;

use crate::subject::Subject;

store_contract!(store, crate::embedded::start_store);
sessions_contract!(sessions, crate::embedded::start_sessions);
cache_contract!(cache, crate::embedded::start_cache);
queue_contract!(queue, crate::embedded::start_queue);
bus_contract!(bus, crate::embedded::start_bus);
blobs_contract!(blobs, crate::embedded::start_blobs);

fn clock() -> Clock {
    // In 2026.
    Clock::manual(Time(1_780_000_000_000))
}

async fn start_store() -> Subject<dyn Store> {
    let (clock, directory) = (clock(), TempDir::new().unwrap());
    let file = directory.path().join("store.sqlite");
    let store = SqliteStore::open(&file, clock.clone(), crate::store::CELEBRITY_FOLLOWERS).await.unwrap();
    Subject::new(Arc::new(store), clock, directory)
}

async fn start_sessions() -> Subject<dyn Sessions> {
    let clock = clock();
    Subject::new(Arc::new(MemorySessions::new(clock.clone(), 1000)), clock, ())
}

async fn start_cache() -> Subject<dyn Cache> {
    let clock = clock();
    Subject::new(Arc::new(MemoryCache::new(clock.clone(), 1 << 20)), clock, ())
}

async fn start_queue() -> Subject<dyn Queue> {
    let (clock, directory) = (clock(), TempDir::new().unwrap());
    let file = directory.path().join("queue.sqlite");
    let queue = SqliteQueue::open(&file, clock.clone(), crate::queue::policy()).await.unwrap();
    Subject::new(Arc::new(queue), clock, directory)
}

async fn start_bus() -> Subject<dyn Bus> {
    Subject::new(Arc::new(MemoryBus::new(100, crate::bus::BEHIND_MAX)), clock(), ())
}

async fn start_blobs() -> Subject<dyn Blobs> {
    let directory = TempDir::new().unwrap();
    Subject::new(Arc::new(ObjectBlobs::local(directory.path()).unwrap()), clock(), directory)
}

/// What only an engine in files can show: it is closed, opened again, and has lost nothing.
mod restart {
    use std::time::Duration;

    use super::*;
    use minigram::ports::position::Positions;
    use minigram::ports::queue::NewJob;
    use minigram::ports::store::{Follows, Users};

    #[tokio::test]
    async fn jobs_survive_the_process_and_so_does_the_time_that_a_worker_has() {
        let (clock, directory) = (clock(), TempDir::new().unwrap());
        let file = directory.path().join("queue.sqlite");
        let open = || SqliteQueue::open(&file, clock.clone(), crate::queue::policy());
        let job = |key: &str| NewJob { topic: "t".into(), key: key.into(), payload: "p".into() };

        let queue = open().await.unwrap();
        queue.push(&job("taken")).await.unwrap();
        queue.push(&job("waiting")).await.unwrap();
        let taken = queue.take("t", Duration::ZERO).await.unwrap().unwrap();
        queue.close().await;

        let queue = open().await.unwrap();
        let other = queue.take("t", Duration::ZERO).await.unwrap().unwrap();
        assert_eq!((taken.job.key.as_str(), other.job.key.as_str()), ("taken", "waiting"));
        assert_eq!(queue.take("t", Duration::ZERO).await.unwrap(), None);
        clock.advance(crate::queue::policy().visibility);
        let again = queue.take("t", Duration::ZERO).await.unwrap().unwrap();
        assert_eq!((again.job.key.as_str(), again.attempt), ("taken", 2));
    }

    #[tokio::test]
    async fn the_store_goes_on_at_its_position() {
        let (clock, directory) = (clock(), TempDir::new().unwrap());
        let file = directory.path().join("store.sqlite");
        let open = || SqliteStore::open(&file, clock.clone(), 3);
        let store = open().await.unwrap();
        let user = crate::store::fixture::add_user(&store, "ada").await;
        let written = store.follow(user, user).await.unwrap();
        store.close().await;

        let store = open().await.unwrap();
        assert!(store.user(user, &Positions::from(written)).await.unwrap().is_some());
        let next = store.follow(user, user).await.unwrap();
        assert!(written.is_within(next) && !next.is_within(written));
    }
}

/// Keys of posts do not gather in the file.
#[tokio::test]
async fn the_store_removes_the_keys_that_are_over() {
    use minigram::ports::store::{IdempotencyKey, KEPT, NewPhoto, Once, Photos};
    use sqlx::{Connection, Row};

    let (clock, directory) = (clock(), TempDir::new().unwrap());
    let file = directory.path().join("store.sqlite");
    let store = SqliteStore::open(&file, clock.clone(), 3).await.unwrap();
    let ada = crate::store::fixture::add_user(&store, "ada").await;
    let post = async |n: u64| {
        let once = Once::new(IdempotencyKey::new(&format!("key{n}")).unwrap(), &[b"x"]);
        let photo = NewPhoto { once: Some(once), ..crate::store::fixture::new_photo(ada, n) };
        store.add_photo(&photo, &[]).await.unwrap();
    };
    for n in 0..30 {
        post(n).await;
    }
    clock.advance(KEPT);
    for n in 30..33 {
        post(n).await;
    }
    let url = format!("sqlite://{}", file.display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let row = sqlx::query("SELECT count(*) FROM once").fetch_one(&mut connection).await.unwrap();
    assert_eq!(row.get::<i64, _>(0), 3);
}
