//! Reading many values through the cache.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use minigram::ports::cache::{Cache, Found, Key, Kind, read_many};
use minigram::ports::position::{Position, Positions};
use tokio::time::{Instant, sleep};

use crate::subject::Subject;

const TTL: Duration = Duration::from_secs(10);
const DEADLINE: Duration = Duration::from_secs(10);

fn keys(names: &[&str]) -> Vec<Key> {
    names.iter().map(|name| Key::new(Kind::Photo, *name)).collect()
}

/// What was fetched: the places, and what the read was not to be behind.
type Fetches = Arc<Mutex<Vec<(Vec<usize>, Positions)>>>;

/// Reads values that are called as their places, and those in `absent` are not there.
async fn read(
    cache: &Arc<dyn Cache>,
    keys: &[Key],
    absent: &'static [usize],
    fetches: &Fetches,
) -> Vec<Option<Bytes>> {
    let fetches = fetches.clone();
    let fetch = move |places: Vec<usize>, after: Positions| {
        let values = places.iter().map(|place| (!absent.contains(place)).then(|| place.to_string().into()));
        let values: Vec<Option<Bytes>> = values.collect();
        fetches.lock().unwrap().push((places, after));
        async move { Ok::<_, ()>(values) }
    };
    read_many(cache, keys, TTL, fetch).await.unwrap()
}

fn values(texts: &[Option<&'static str>]) -> Vec<Option<Bytes>> {
    texts.iter().map(|text| text.map(Bytes::from)).collect()
}

pub async fn values_that_are_missing_are_fetched_together(subject: Subject<dyn Cache>) {
    let (cache, fetches) = (subject.port.clone(), Fetches::default());
    let all = keys(&["a", "b", "c", "d"]);
    cache.set(&all[1], "kept".into(), TTL).await.unwrap();
    let expected = values(&[Some("0"), Some("kept"), None, Some("3")]);
    assert_eq!(read(&cache, &all, &[2], &fetches).await, expected);
    assert_eq!(fetches.lock().unwrap().as_slice(), [(vec![0, 2, 3], Positions::none())]);
    // What was not there is looked for again.
    assert_eq!(
        read(&cache, &all, &[], &fetches).await,
        values(&[Some("0"), Some("kept"), Some("2"), Some("3")])
    );
    assert_eq!(fetches.lock().unwrap()[1].0, [2]);
    assert!(read(&cache, &[], &[], &fetches).await.is_empty());
}

pub async fn many_values_are_not_read_behind_their_invalidations(subject: Subject<dyn Cache>) {
    let (cache, fetches) = (subject.port.clone(), Fetches::default());
    let all = keys(&["a", "b"]);
    let written = Position { database: 0, timeline: 1, lsn: 7 };
    cache.invalidate(&all[1], written).await.unwrap();
    read(&cache, &all, &[], &fetches).await;
    assert_eq!(fetches.lock().unwrap().as_slice(), [(vec![0, 1], Positions::from(written))]);
}

pub async fn a_value_that_another_caller_fetches_is_waited_for(subject: Subject<dyn Cache>) {
    let (cache, fetches) = (subject.port.clone(), Fetches::default());
    let all = keys(&["a", "b"]);
    let Found::Missing(fill) = cache.look(&all[0]).await.unwrap() else { panic!("nothing is there") };
    let reading = tokio::spawn({
        let (cache, all, fetches) = (cache.clone(), all.clone(), fetches.clone());
        async move { read(&cache, &all, &[], &fetches).await }
    });
    let end = Instant::now() + DEADLINE;
    while fetches.lock().unwrap().is_empty() {
        assert!(Instant::now() < end, "the other value was not fetched");
        sleep(Duration::from_millis(1)).await;
    }
    assert!(cache.fill(&fill, "by another".into(), TTL).await.unwrap());
    assert_eq!(reading.await.unwrap(), values(&[Some("by another"), Some("1")]));
    assert_eq!(fetches.lock().unwrap().len(), 1);
}
