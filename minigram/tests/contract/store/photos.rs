//! Photos, comments, and the outbox.

use std::time::Duration;

use minigram::clock::Time;
use minigram::ids::{PhotoId, UserId};
use minigram::ports::position::Positions;
use minigram::ports::store::{CommentText, NewComment, PhotoState, Store, StoreError};

use super::fixture::{NOW, add_photo, add_user, ids, job, new_photo};
use crate::subject::Subject;

const LEASE: Duration = Duration::from_secs(1);

pub async fn a_photo_and_its_jobs_are_added_together_or_not_at_all(subject: Subject<dyn Store>) {
    let store = &*subject.port;
    let ada = add_user(store, "ada").await;
    let new = new_photo(ada, 1);
    let written = store.add_photo(&new, &[job("a"), job("b")]).await.unwrap();
    let photo = store.photo(new.id, &written.into()).await.unwrap().unwrap();
    assert_eq!((photo.author, &photo.caption, photo.media), (ada, &new.caption, new.media));
    assert_eq!((photo.bytes, photo.state, photo.created), (new.bytes, PhotoState::Processing, new.created));
    assert_eq!(store.outbox_len().await.unwrap(), 2);

    let error = store.add_photo(&new, &[job("c")]).await.unwrap_err();
    assert!(matches!(error, StoreError::IdTaken), "{error}");
    let error = store.add_photo(&new_photo(UserId::from_sql(1), 2), &[job("d")]).await.unwrap_err();
    assert!(matches!(error, StoreError::NoSuchUser), "{error}");
    assert_eq!(store.outbox_len().await.unwrap(), 2);
    assert_eq!(store.user(ada, &Positions::none()).await.unwrap().unwrap().photos, 1);
}

pub async fn photos_are_listed_from_new_to_old_page_by_page(subject: Subject<dyn Store>) {
    let (store, all) = (&*subject.port, Positions::none());
    let (ada, bob, eve) =
        (add_user(store, "ada").await, add_user(store, "bob").await, add_user(store, "eve").await);
    let mut expected = Vec::new();
    for n in 0..5 {
        expected.push(add_photo(store, if n % 2 == 0 { ada } else { bob }, n).await);
        add_photo(store, eve, n).await;
    }
    expected.reverse();
    let mut seen: Vec<PhotoId> = Vec::new();
    loop {
        let page = store.photos_by(&[ada, bob], seen.last().copied(), 2, &all).await.unwrap();
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        seen.extend(page.iter().map(|photo| photo.id));
    }
    assert_eq!(seen, expected);
    assert!(store.photos_by(&[], None, 10, &all).await.unwrap().is_empty());
}

pub async fn photos_come_in_the_order_that_was_asked_for(subject: Subject<dyn Store>) {
    let store = &*subject.port;
    let ada = add_user(store, "ada").await;
    let (first, second) = (add_photo(store, ada, 1).await, add_photo(store, ada, 2).await);
    let absent = PhotoId::from_sql(1);
    let photos = store.photos(&[second, absent, first], &Positions::none()).await.unwrap();
    assert_eq!(photos.iter().map(|photo| photo.id).collect::<Vec<_>>(), [second, first]);
}

pub async fn a_deleted_photo_takes_likes_and_comments_along(subject: Subject<dyn Store>) {
    let (store, all) = (&*subject.port, Positions::none());
    let ada = add_user(store, "ada").await;
    let photo = add_photo(store, ada, 1).await;
    store.like(ada, photo, NOW).await.unwrap();
    store.add_comment(&new_comment(photo, ada), &[]).await.unwrap();
    store.delete_photo(photo, &[job("delete blobs")]).await.unwrap();

    assert_eq!(store.photo(photo, &all).await.unwrap(), None);
    assert_eq!(store.like_counts(&[photo], &all).await.unwrap(), [0]);
    assert_eq!(store.likes(ada, &[photo], &all).await.unwrap(), [false]);
    assert!(store.comments(photo, None, 10, &all).await.unwrap().is_empty());
    assert_eq!(store.user(ada, &all).await.unwrap().unwrap().photos, 0);
    assert_eq!(store.outbox_len().await.unwrap(), 1);

    let error = store.delete_photo(photo, &[job("again")]).await.unwrap_err();
    assert!(matches!(error, StoreError::NoSuchPhoto), "{error}");
    assert_eq!(store.outbox_len().await.unwrap(), 1);
}

pub async fn a_photo_becomes_ready_once_its_sizes_are_there(subject: Subject<dyn Store>) {
    let store = &*subject.port;
    let ada = add_user(store, "ada").await;
    let photo = add_photo(store, ada, 1).await;
    for _ in 0..2 {
        let written = store.set_ready(photo).await.unwrap();
        let state = store.photo(photo, &written.into()).await.unwrap().unwrap().state;
        assert_eq!(state, PhotoState::Ready);
    }
    let error = store.set_ready(PhotoId::from_sql(1)).await.unwrap_err();
    assert!(matches!(error, StoreError::NoSuchPhoto), "{error}");
}

pub async fn photos_that_are_processing_are_listed_by_age(subject: Subject<dyn Store>) {
    let store = &*subject.port;
    let users = [add_user(store, "ada").await, add_user(store, "bob").await, add_user(store, "eve").await];
    let mut photos = Vec::new();
    for n in 0..6 {
        photos.push(add_photo(store, users[n % 3], 10 * n as u64).await);
    }
    store.set_ready(photos[1]).await.unwrap();
    store.delete_photo(photos[2], &[]).await.unwrap();
    let posted = Time(NOW.0 + 50);
    let mut seen: Vec<PhotoId> = Vec::new();
    loop {
        let page = store.processing(posted, seen.last().copied(), 2).await.unwrap();
        assert!(page.iter().all(|photo| photo.state == PhotoState::Processing) && page.len() <= 2);
        if page.is_empty() {
            break;
        }
        seen.extend(page.iter().map(|photo| photo.id));
    }
    assert_eq!(seen, [photos[0], photos[3], photos[4]], "the last one is too young");
}

pub async fn a_job_in_the_outbox_is_leased_and_comes_back_until_it_was_sent(subject: Subject<dyn Store>) {
    let store = &*subject.port;
    let ada = add_user(store, "ada").await;
    store.add_photo(&new_photo(ada, 1), &[job("a"), job("b")]).await.unwrap();
    let taken = store.take_outbox(10, LEASE).await.unwrap();
    assert_eq!(taken.iter().map(|t| t.job.clone()).collect::<Vec<_>>(), [job("a"), job("b")]);
    assert!(store.take_outbox(10, LEASE).await.unwrap().is_empty());
    store.mark_sent(&[taken[0].id]).await.unwrap();
    subject.pass(LEASE).await;
    let again = store.take_outbox(10, LEASE).await.unwrap();
    assert_eq!(again, taken[1..]);
    store.mark_sent(&[again[0].id, taken[0].id]).await.unwrap();
    subject.pass(LEASE).await;
    assert!(store.take_outbox(10, LEASE).await.unwrap().is_empty());
    assert_eq!(store.outbox_len().await.unwrap(), 0);
}

pub async fn two_relays_share_the_outbox(subject: Subject<dyn Store>) {
    let ada = add_user(&*subject.port, "ada").await;
    let jobs: Vec<_> = (0..40).map(|n| job(&format!("{n:02}"))).collect();
    subject.port.add_photo(&new_photo(ada, 1), &jobs).await.unwrap();
    let mut relays = Vec::new();
    for _ in 0..2 {
        let store = subject.port.clone();
        relays.push(tokio::spawn(async move {
            let mut keys = Vec::new();
            loop {
                let taken = store.take_outbox(3, LEASE * 60).await.unwrap();
                if taken.is_empty() {
                    return keys;
                }
                keys.extend(taken.into_iter().map(|t| t.job.key));
            }
        }));
    }
    let mut keys = Vec::new();
    for relay in relays {
        keys.extend(relay.await.unwrap());
    }
    keys.sort();
    assert_eq!(keys, jobs.iter().map(|job| job.key.clone()).collect::<Vec<_>>());
}

pub async fn comments_belong_to_their_photo_and_their_author(subject: Subject<dyn Store>) {
    let (store, all) = (&*subject.port, Positions::none());
    let (ada, bob) = (add_user(store, "ada").await, add_user(store, "bob").await);
    let (photo, other) = (add_photo(store, ada, 1).await, add_photo(store, ada, 2).await);
    let (first, second) = (new_comment(photo, ada), new_comment(photo, bob));
    store.add_comment(&first, &[job("notify")]).await.unwrap();
    store.add_comment(&second, &[]).await.unwrap();
    let error = store.add_comment(&second, &[job("twice")]).await.unwrap_err();
    assert!(matches!(error, StoreError::IdTaken), "{error}");
    let error = store.add_comment(&new_comment(PhotoId::from_sql(1), ada), &[job("none")]).await.unwrap_err();
    assert!(matches!(error, StoreError::NoSuchPhoto), "{error}");
    assert_eq!(store.outbox_len().await.unwrap(), 1);

    let comments = store.comments(photo, None, 10, &all).await.unwrap();
    assert_eq!(comments.iter().map(|c| c.id).collect::<Vec<_>>(), [second.id, first.id]);
    assert_eq!((comments[1].author, &comments[1].text), (ada, &first.text));
    let page = store.comments(photo, Some(second.id), 10, &all).await.unwrap();
    assert_eq!(page.iter().map(|c| c.id).collect::<Vec<_>>(), [first.id]);
    assert_eq!(store.comment_counts(&[other, photo], &all).await.unwrap(), [0, 2]);

    store.delete_comment(first.id, bob).await.unwrap();
    assert_eq!(store.comment_counts(&[photo], &all).await.unwrap(), [2]);
    store.delete_comment(first.id, ada).await.unwrap();
    assert_eq!(store.comment_counts(&[photo], &all).await.unwrap(), [1]);
}

fn new_comment(photo: PhotoId, author: UserId) -> NewComment {
    let text = CommentText::new("what a view").unwrap();
    NewComment { id: ids().comment(photo, NOW), photo, author, text, created: NOW, once: None }
}
