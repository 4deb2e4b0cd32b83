//! Values, and who fetches them.

use std::time::Duration;

use bytes::Bytes;
use minigram::ports::cache::{Cache, Counts, FETCH_TIME, Fill, Found, Key, Kind, Outdated, REMEMBERED};
use minigram::ports::position::{Position, Positions};

use crate::subject::Subject;

const TTL: Duration = Duration::from_secs(10);

fn key(name: &str) -> Key {
    Key::new(Kind::Profile, name)
}

async fn missing(cache: &dyn Cache, key: &Key) -> Fill {
    match cache.look(key).await.unwrap() {
        Found::Missing(fill) => fill,
        other => panic!("expected to be asked to fetch, got {other:?}"),
    }
}

fn at(lsn: u64) -> Position {
    Position { database: 0, timeline: 1, lsn }
}

pub async fn a_value_is_found_until_its_lifetime_is_over(subject: Subject<dyn Cache>) {
    let (cache, key) = (&*subject.port, key("a"));
    assert_eq!(cache.get(&key).await.unwrap(), None);
    cache.set(&key, "1".into(), TTL).await.unwrap();
    cache.set(&key, "2".into(), TTL).await.unwrap();
    assert_eq!(cache.get(&key).await.unwrap(), Some(Bytes::from("2")));
    assert_eq!(cache.look(&key).await.unwrap(), Found::Fresh("2".into()));
    assert_eq!(cache.get(&Key::new(Kind::Feed, "a")).await.unwrap(), None);
    subject.pass(TTL).await;
    assert_eq!(cache.get(&key).await.unwrap(), None);
    assert!(matches!(cache.look(&key).await.unwrap(), Found::Missing(_)));
}

pub async fn hits_and_misses_are_counted_by_kind(subject: Subject<dyn Cache>) {
    let (cache, key) = (&*subject.port, key("a"));
    assert_eq!(cache.counts(Kind::Profile).ratio(), None);
    cache.get(&key).await.unwrap();
    cache.set(&key, "1".into(), TTL).await.unwrap();
    cache.get(&key).await.unwrap();
    cache.look(&key).await.unwrap();
    cache.look(&key).await.unwrap();
    assert_eq!(cache.counts(Kind::Profile), Counts { hits: 3, misses: 1 });
    assert_eq!(cache.counts(Kind::Profile).ratio(), Some(0.75));
    assert_eq!(cache.counts(Kind::Feed), Counts::default());
}

pub async fn one_who_looks_fetches_and_the_others_wait(subject: Subject<dyn Cache>) {
    let (cache, key) = (&*subject.port, key("a"));
    let fill = missing(cache, &key).await;
    for _ in 0..3 {
        assert_eq!(cache.look(&key).await.unwrap(), Found::Fetching(Positions::none()));
    }
    assert!(cache.fill(&fill, "1".into(), TTL).await.unwrap());
    assert_eq!(cache.look(&key).await.unwrap(), Found::Fresh("1".into()));
    assert!(!cache.fill(&fill, "2".into(), TTL).await.unwrap(), "a task is done once");
    assert_eq!(cache.get(&key).await.unwrap(), Some("1".into()));
}

pub async fn a_fetch_that_failed_or_took_too_long_is_given_to_another(subject: Subject<dyn Cache>) {
    let (cache, key) = (&*subject.port, key("a"));
    let first = missing(cache, &key).await;
    cache.release(&first).await.unwrap();
    let second = missing(cache, &key).await;
    cache.release(&first).await.unwrap();
    assert!(
        matches!(cache.look(&key).await.unwrap(), Found::Fetching(_)),
        "only its owner gives a task back"
    );
    subject.pass(FETCH_TIME).await;
    let third = missing(cache, &key).await;
    assert!(!cache.fill(&second, "late".into(), TTL).await.unwrap());
    assert!(cache.fill(&third, "right".into(), TTL).await.unwrap());
    assert_eq!(cache.get(&key).await.unwrap(), Some("right".into()));
}

pub async fn an_aging_value_is_refreshed_by_one_and_served_to_all(subject: Subject<dyn Cache>) {
    let (cache, key) = (&*subject.port, key("a"));
    cache.set(&key, "old".into(), TTL).await.unwrap();
    subject.pass(TTL * 9 / 10).await;
    let Found::Aging(value, fill) = cache.look(&key).await.unwrap() else {
        panic!("the first one to look refreshes");
    };
    assert_eq!(value, "old");
    assert_eq!(cache.look(&key).await.unwrap(), Found::Fresh("old".into()));
    assert!(cache.fill(&fill, "new".into(), TTL).await.unwrap());
    subject.pass(TTL / 2).await;
    assert_eq!(cache.look(&key).await.unwrap(), Found::Fresh("new".into()));
}

pub async fn what_was_fetched_before_an_invalidation_is_refused(subject: Subject<dyn Cache>) {
    let (cache, key) = (&*subject.port, key("a"));
    let before = missing(cache, &key).await;
    cache.invalidate(&key, at(7)).await.unwrap();
    assert!(!cache.fill(&before, "old".into(), TTL).await.unwrap());
    assert_eq!(cache.get(&key).await.unwrap(), None);

    cache.set(&key, "old".into(), TTL).await.unwrap();
    subject.pass(TTL * 9 / 10).await;
    let Found::Aging(_, refresh) = cache.look(&key).await.unwrap() else { panic!("it is aging") };
    cache.invalidate(&key, at(8)).await.unwrap();
    assert!(!cache.fill(&refresh, "old".into(), TTL).await.unwrap());
    assert_eq!(cache.get(&key).await.unwrap(), None);
}

pub async fn a_fetch_after_an_invalidation_learns_what_to_read_behind(subject: Subject<dyn Cache>) {
    let (cache, key) = (&*subject.port, key("a"));
    for written in [at(8), Position { database: 3, ..at(5) }, at(7)] {
        cache.invalidate(&key, written).await.unwrap();
    }
    let mut after = Positions::from(at(8));
    after.note(Position { database: 3, ..at(5) });
    let fill = missing(cache, &key).await;
    for database in [0, 3] {
        assert_eq!(fill.after.of(database), after.of(database));
    }
    let Found::Fetching(waiting) = cache.look(&key).await.unwrap() else { panic!("it is being fetched") };
    assert_eq!(waiting.of(0), Some(at(8)));

    // A value that came and went does not make it forget.
    assert!(cache.fill(&fill, "1".into(), TTL).await.unwrap());
    subject.pass(TTL).await;
    let fill = missing(cache, &key).await;
    assert_eq!(fill.after.of(0), Some(at(8)));
    cache.release(&fill).await.unwrap();
    subject.pass(REMEMBERED).await;
    assert!(missing(cache, &key).await.after.of(0).is_none_or(|position| position == at(8)));
}

async fn outdated(cache: &dyn Cache, key: &Key, lsn: u64) -> Outdated {
    cache.outdate(key, at(lsn)).await.unwrap().expect("there is a value")
}

pub async fn an_outdated_value_is_served_until_it_is_fetched_anew(subject: Subject<dyn Cache>) {
    let (cache, key) = (&*subject.port, key("a"));
    cache.set(&key, "old".into(), TTL).await.unwrap();
    subject.pass(TTL / 5).await;
    let first = outdated(cache, &key, 7).await;
    assert_eq!((first.fill.after.of(0), first.left), (Some(at(7)), TTL * 4 / 5));
    assert_eq!(cache.look(&key).await.unwrap(), Found::Fresh("old".into()), "one caller fetches");
    let second = outdated(cache, &key, 8).await;
    assert_eq!((second.fill.after.of(0), second.left), (Some(at(8)), TTL * 4 / 5));
    assert!(
        !cache.fill(&first.fill, "older".into(), first.left).await.unwrap(),
        "it may lack the second write"
    );
    assert_eq!(cache.get(&key).await.unwrap(), Some("old".into()));
    assert!(cache.fill(&second.fill, "new".into(), second.left).await.unwrap());
    subject.pass(TTL * 3 / 5).await;
    assert_eq!(
        cache.get(&key).await.unwrap(),
        Some("new".into()),
        "a value that was filled is no longer outdated"
    );
    subject.pass(TTL / 5).await;
    assert_eq!(cache.get(&key).await.unwrap(), None, "its lifetime is that of the old value");

    cache.set(&key, "old".into(), TTL).await.unwrap();
    let refused = outdated(cache, &key, 9).await;
    cache.invalidate(&key, at(10)).await.unwrap();
    assert!(!cache.fill(&refused.fill, "older".into(), refused.left).await.unwrap());
    assert_eq!(cache.get(&key).await.unwrap(), None);
}

pub async fn an_outdated_value_ends_when_it_is_not_fetched(subject: Subject<dyn Cache>) {
    let (cache, key) = (&*subject.port, key("a"));
    cache.set(&key, "old".into(), TTL).await.unwrap();
    let first = outdated(cache, &key, 7).await;
    subject.pass(FETCH_TIME / 2).await;
    outdated(cache, &key, 8).await;
    assert_eq!(cache.get(&key).await.unwrap(), Some("old".into()));
    subject.pass(FETCH_TIME / 2).await;
    assert_eq!(cache.get(&key).await.unwrap(), None, "counted from the first write that made it old");
    assert!(!cache.fill(&first.fill, "older".into(), first.left).await.unwrap());
    subject.pass(FETCH_TIME).await;
    assert_eq!(missing(cache, &key).await.after.of(0), Some(at(8)));
}

pub async fn an_absent_value_is_not_outdated(subject: Subject<dyn Cache>) {
    let (cache, key) = (&*subject.port, key("a"));
    assert_eq!(cache.outdate(&key, at(6)).await.unwrap(), None);
    let before = missing(cache, &key).await;
    assert_eq!(before.after.of(0), Some(at(6)));
    assert_eq!(cache.outdate(&key, at(7)).await.unwrap(), None);
    assert!(!cache.fill(&before, "old".into(), TTL).await.unwrap(), "its fetch may lack the write");
    assert_eq!(missing(cache, &key).await.after.of(0), Some(at(7)));
    assert_eq!(cache.counts(Kind::Profile), Counts { hits: 0, misses: 2 }, "outdating is no look");
}
