//! Reading through the cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use minigram::ports::cache::{Cache, Key, Kind, read_through};
use minigram::ports::position::{Position, Positions};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::subject::Subject;

const TTL: Duration = Duration::from_secs(10);
const DEADLINE: Duration = Duration::from_secs(10);

fn key() -> Key {
    Key::new(Kind::Profile, "ada")
}

/// Waits until the cache has `expected`.
async fn holds(cache: &dyn Cache, expected: &'static str) {
    let deadline = Instant::now() + DEADLINE;
    while cache.get(&key()).await.unwrap().as_deref() != Some(expected.as_bytes()) {
        assert!(Instant::now() < deadline, "the cache never had {expected}");
        sleep(Duration::from_millis(1)).await;
    }
}

pub async fn many_callers_cause_one_fetch(subject: Subject<dyn Cache>) {
    let cache = subject.port.clone();
    let (fetches, go) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
    let mut callers = Vec::new();
    for _ in 0..50 {
        let (cache, fetches, go) = (cache.clone(), fetches.clone(), go.clone());
        callers.push(tokio::spawn(async move {
            let fetch = move |_: Positions| async move {
                fetches.fetch_add(1, Ordering::SeqCst);
                go.notified().await;
                Ok::<_, ()>(Bytes::from("value"))
            };
            read_through(&cache, &key(), TTL, fetch).await
        }));
    }
    let looks = async {
        while cache.counts(Kind::Profile).misses < 50 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(DEADLINE, looks).await.expect("all callers look");
    go.notify_one();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), Ok(Bytes::from("value")));
    }
    assert_eq!(fetches.load(Ordering::SeqCst), 1);
}

pub async fn a_fetch_goes_on_without_its_caller(subject: Subject<dyn Cache>) {
    let cache = subject.port.clone();
    let (started, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let caller = tokio::spawn({
        let (cache, started, go) = (cache.clone(), started.clone(), go.clone());
        async move {
            let fetch = move |_: Positions| async move {
                started.notify_one();
                go.notified().await;
                Ok::<_, ()>(Bytes::from("value"))
            };
            read_through(&cache, &key(), TTL, fetch).await
        }
    });
    started.notified().await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    go.notify_one();
    holds(&*cache, "value").await;
}

pub async fn a_failed_fetch_is_not_kept(subject: Subject<dyn Cache>) {
    let cache = subject.port.clone();
    cache.invalidate(&key(), Position { database: 0, timeline: 1, lsn: 5 }).await.unwrap();
    let failing = |_: Positions| async { Err::<Bytes, _>("down") };
    assert_eq!(read_through(&cache, &key(), TTL, failing).await, Err("down"));
    let working = |after: Positions| async move {
        assert_eq!(after.of(0).map(|position| position.lsn), Some(5));
        Ok::<_, &str>(Bytes::from("value"))
    };
    assert_eq!(read_through(&cache, &key(), TTL, working).await, Ok(Bytes::from("value")));
    assert_eq!(read_through(&cache, &key(), TTL, failing).await, Ok(Bytes::from("value")));
}

pub async fn a_refresh_happens_behind_the_caller(subject: Subject<dyn Cache>) {
    let cache = subject.port.clone();
    cache.set(&key(), "old".into(), TTL).await.unwrap();
    subject.pass(TTL * 9 / 10).await;
    let go = Arc::new(Notify::new());
    let gate = go.clone();
    let fetch = move |_: Positions| async move {
        gate.notified().await;
        Ok::<_, ()>(Bytes::from("new"))
    };
    assert_eq!(read_through(&cache, &key(), TTL, fetch).await, Ok(Bytes::from("old")));
    go.notify_one();
    holds(&*cache, "new").await;
}
