//! Reading one's own writes.

use minigram::ids::Shard;
use minigram::ports::position::{Position, Positions};
use minigram::ports::store::{Store, StoreError};
use minigram::ports::{Retriable, Retry};

use super::fixture::{add_photo, add_user, new_photo, new_user};
use crate::subject::Subject;

pub async fn a_read_shows_the_write_whose_position_it_is_given(subject: Subject<dyn Store>) {
    let store = &*subject.port;
    let ada = add_user(store, "ada").await;
    let mut positions = Positions::none();
    for n in 0..50 {
        let photo = new_photo(ada, n);
        positions.note(store.add_photo(&photo, &[]).await.unwrap());
        let seen = store.photos_by(&[ada], None, 1, &positions).await.unwrap();
        assert_eq!(seen[0].id, photo.id);
    }
}

pub async fn a_read_never_shows_less_than_it_is_asked_for(subject: Subject<dyn Store>) {
    let store = &*subject.port;
    let ada = add_user(store, "ada").await;
    let photo = add_photo(store, ada, 1).await;
    let reached = reached(store).await;
    for ahead in [
        Position { lsn: reached.lsn + (1 << 40), ..reached },
        Position { timeline: reached.timeline + 1, ..reached },
    ] {
        let after = Positions::from(ahead);
        let error = store.photo(photo, &after).await.unwrap_err();
        assert!(matches!(error, StoreError::Behind { needed, .. } if needed == ahead), "{error}");
        assert_eq!(error.retry(), Retry::Soon);
        assert!(store.user(ada, &after).await.is_err());
        assert!(store.feed(ada, None, 10, &after).await.is_err());
        assert!(store.search("a", 10, &after).await.is_err());
        assert!(store.like_counts(&[photo], &after).await.is_err());
        assert!(store.comments(photo, None, 10, &after).await.is_err());
        assert!(store.followers(ada, None, 10, &after).await.is_err());
    }
}

pub async fn a_position_of_an_older_timeline_is_reached_by_a_newer_one(subject: Subject<dyn Store>) {
    let store = &*subject.port;
    let ada = add_user(store, "ada").await;
    let reached = reached(store).await;
    assert!(reached.timeline > 0, "timelines count from 1");
    let old = Position { timeline: reached.timeline - 1, lsn: u64::MAX, ..reached };
    assert!(store.user(ada, &old.into()).await.unwrap().is_some());
}

async fn reached(store: &dyn Store) -> Position {
    store.reached(Shard::of_name(&new_user("ada").name)).await.unwrap()
}
